// Who plays the arena and the shop while the ledgers are watched: ordinary games, which must come through as well.

import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { ArenaState } from "../../rooms/arena/arena-state.ts";
import { WELCOME_COINS } from "../../rooms/shop/shop-rules.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { Shopper } from "../kit/shopper.ts";
import { until } from "../kit/until.ts";
import { seededRandom } from "../load/random.ts";
import { Connection, joinUntil, type Door } from "./connection.ts";
import type { Recorder } from "./recorder.ts";
import { PACE, SETTINGS } from "./settings.ts";

const STEP_MS = 400;
const BUY_EVERY_MS = { min: 700, max: 1_400 };
const SETTLES_MS = 20_000 * PACE;
/** As long as faults last nobody is promised an answer; who still waits when all is healed is told of by the run. */
const INSISTS_MS = 3_600_000;
/** 4002: there is no seat any more; told sooner than the player was away for so long, it is a broken promise. */
const NO_SEAT = 4002;
const SEAT_GONE_MS = SETTINGS.seatHoldMs - 1_000;

export interface BystanderOptions {
  readonly recorder: Recorder;
  readonly door: Door;
  readonly seed: number;
  readonly playing: AbortSignal;
  readonly running: AbortSignal;
}

/** Walks about an arena. */
export class Walker {
  readonly #options: BystanderOptions;
  readonly #random: () => number;
  readonly name: string;
  #connection: Connection<ArenaState> | undefined;

  constructor(name: string, options: BystanderOptions) {
    this.name = name;
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  get connection(): Connection<ArenaState> {
    if (this.#connection === undefined) throw new Error(`${this.name} has not joined`);
    return this.#connection;
  }

  async join(roomId?: string): Promise<string> {
    const { door, recorder, running } = this.#options;
    const room = await joinUntil<ArenaState>(recorder, running, async () => {
      const client = await door();
      const options = { name: this.name };
      return roomId === undefined
        ? client.create<ArenaState>("arena", options)
        : client.joinById<ArenaState>(roomId, options);
    });
    if (room === undefined) throw new Error(`${this.name} could not join`);
    this.#connection = new Connection(this.name, room, recorder);
    return room.roomId;
  }

  async play(): Promise<void> {
    const { playing } = this.#options;
    while (!playing.aborted) {
      await systemClock.sleep(STEP_MS, playing).catch(() => {});
      if (this.connection.hasEnded && !playing.aborted) await this.join(this.connection.roomId);
      const angle = this.#random() * 2 * Math.PI;
      if (this.connection.isOpen)
        this.connection.room.send("move", { x: Math.cos(angle), y: Math.sin(angle) });
    }
  }

  /** @returns what is wrong, if anything is */
  async verify(): Promise<string | undefined> {
    const { room } = this.connection;
    try {
      await until(`${this.name} is connected`, () => this.connection.isOpen, { ms: SETTLES_MS });
      const from = room.state.tick;
      await until(`${this.name} sees the arena go on`, () => room.state.tick !== from, { ms: SETTLES_MS });
      await until(`${this.name} is in the arena`, () => room.state.players.has(room.sessionId), {
        ms: SETTLES_MS,
      });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }
}

/** Buys arrows, and asks again with the same key until there is an answer. */
export class Buyer {
  readonly #options: BystanderOptions;
  readonly #random: () => number;
  readonly name: string;
  #shopper: Shopper | undefined;
  /** Those that it was before, until their seat was gone. */
  readonly #former: Shopper[] = [];
  /** When the market was heard last. */
  #heardAt = 0;
  readonly #wrong: string[] = [];
  #left = WELCOME_COINS;

  constructor(name: string, options: BystanderOptions) {
    this.name = name;
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  get shopper(): Shopper {
    if (this.#shopper === undefined) throw new Error(`${this.name} has not joined`);
    return this.#shopper;
  }

  async join(market?: string): Promise<string> {
    const { door, recorder, running } = this.#options;
    let shopper: Shopper | undefined;
    await joinUntil(recorder, running, async () => {
      const client = await door();
      shopper = market === undefined ? await Shopper.open(client) : await Shopper.join(client, market);
      return shopper.player.room;
    });
    if (shopper === undefined) throw new Error(`${this.name} could not join`);
    if (this.#shopper !== undefined) this.#former.push(this.#shopper);
    this.#shopper = shopper;
    this.#left = WELCOME_COINS;
    const heard = (): void => void (this.#heardAt = systemClock.nowMs());
    heard();
    shopper.player.room.reconnection.maxRetries = 1_000;
    shopper.player.room.onStateChange(heard);
    shopper.player.room.onReconnect(heard);
    shopper.player.room.onMessage("*", heard);
    return shopper.market;
  }

  async play(): Promise<void> {
    const { playing } = this.#options;
    const { min, max } = BUY_EVERY_MS;
    while (!playing.aborted) {
      await systemClock.sleep(min + this.#random() * (max - min), playing).catch(() => {});
      if (playing.aborted || this.#left < 10) continue;
      try {
        const { paid, left } = await this.shopper.buy("arrow", INSISTS_MS);
        // Each answer stands on the one before.
        if (left !== this.#left - paid)
          this.#wrong.push(`${this.name} paid ${paid} of ${this.#left}, and has ${left}`);
        this.#left = left;
      } catch (error) {
        const { leftWith } = this.shopper.player;
        if (leftWith === NO_SEAT && systemClock.nowMs() - this.#heardAt >= SEAT_GONE_MS) {
          await this.join(this.shopper.market);
          continue;
        }
        this.#wrong.push(
          `${this.name} could not buy: ${messageOf(error)}${leftWith === undefined ? "" : `, left with ${leftWith}`}`,
        );
        return;
      }
    }
  }

  /** The run is over. */
  close(): void {
    const { room } = this.shopper.player;
    room.reconnection.enabled = false;
    room.connection.close();
  }

  /** @returns what is wrong: players, room and table must agree to the coin */
  async verify(cluster: TestCluster): Promise<readonly string[]> {
    const { shopper } = this;
    const rows = await cluster.sql<{ payer: string; key: string; coins: number }>(
      "SELECT payer, key, coins FROM public.shop_ledger WHERE market = $1 AND payer <> 'market'",
      [shopper.market],
    );
    for (const { key } of [...this.#former, shopper].flatMap(({ bought }) => bought)) {
      const own = rows.filter((row) => row.key === key);
      if (own.length !== 1) this.#wrong.push(`${this.name}'s purchase ${key} has ${own.length} rows`);
    }
    const agree = (): boolean => {
      const customers = Object.entries(shopper.customers);
      return (
        customers.length > 0 &&
        customers.every(([playerId, { coins }]) => {
          const paid = rows
            .filter(({ payer }) => payer === playerId)
            .reduce((sum, row) => sum + row.coins, 0);
          return coins === WELCOME_COINS - paid;
        })
      );
    };
    await until(`${this.name}'s market agrees with the table`, agree, { ms: SETTLES_MS }).catch(
      (error: unknown) => this.#wrong.push(messageOf(error)),
    );
    return this.#wrong;
  }
}
