// How much one user, and one address, may ask for: requests and connections, counted on each node for itself, because they must
// cost nothing; joins, seats and rooms, counted for the whole cluster.
//
// A user is known only where somebody says who it is (caller.ts). Whoever is known has limits of their own, and their address
// has its own still, which is wider: there are many behind one.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Config } from "../config.ts";
import type { ErrorCode } from "../errors.ts";
import type { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";
import { addressOf } from "./address.ts";
import { keysOf, type Caller, type UserOf } from "./caller.ts";
import type { DoorCounts, Reason } from "./counts.ts";
import { NewRooms } from "./new-rooms.ts";
import { OPEN_MS, type OpenSeat, OpenSeats, type SeatKey } from "./open-seats.ts";
import { Rate } from "./rate.ts";
import { isSignIn } from "./request-rules.ts";

/** How long, how often and how many may wait for seats of their own to be taken. */
const SEAT_WAIT_MS = 2_000;
const SEAT_RETRY_MS = 150;
const WAITING_MAX = 100;

export interface LimitsParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly link: Pick<RedisLink, "commands">;
  readonly counts: DoorCounts;
  readonly userOf: UserOf;
}

export interface Exceeded {
  readonly code: ErrorCode;
  readonly why: Reason;
  readonly retryAfterMs: number;
}

type Counted = readonly [rate: Rate, key: string | undefined, why: Reason];

export class Limits {
  readonly rooms: NewRooms;
  readonly #parts: LimitsParts;
  readonly #seats: OpenSeats;
  #waiting = 0;
  readonly #requests: Rate;
  readonly #signIns: Rate;
  readonly #upgrades: { readonly byAddress: Rate; readonly byUser: Rate };
  readonly #joins: { readonly byAddress: Rate; readonly byUser: Rate };

  constructor(parts: LimitsParts) {
    this.#parts = parts;
    const { config, clock, counts, link } = parts;
    this.rooms = new NewRooms(config, link, counts);
    this.#seats = new OpenSeats({ clock, link });
    this.#requests = new Rate({ name: "requests", max: config.requestsPerAddress });
    this.#signIns = new Rate({ name: "sign-ins", max: config.signInsPerAddress, link });
    this.#upgrades = {
      byAddress: new Rate({ name: "upgrades:address", max: config.upgradesPerAddress }),
      byUser: new Rate({ name: "upgrades:user", max: config.upgradesPerUser }),
    };
    this.#joins = {
      byAddress: new Rate({ name: "joins:address", max: config.joinsPerAddress, link }),
      byUser: new Rate({ name: "joins:user", max: config.joinsPerUser, link }),
    };
  }

  /** Who asks; an address alone when nobody can say more. */
  async callerOf(request: IncomingMessage): Promise<Caller> {
    const address = addressOf(request);
    try {
      return { address, userId: await this.#parts.userOf(request) };
    } catch {
      return { address, userId: undefined };
    }
  }

  /** Any request. */
  async request(request: IncomingMessage): Promise<Exceeded | undefined> {
    const { byAddress } = keysOf({ address: addressOf(request), userId: undefined });
    const any: Counted = [this.#requests, byAddress, "address-requests"];
    // Whoever could be another user each time would have no limit as a user.
    return this.#take(isSignIn(request) ? [any, [this.#signIns, byAddress, "address-sign-ins"]] : [any]);
  }

  /** A player's connection. */
  async upgrade(caller: Caller): Promise<Exceeded | undefined> {
    const { byAddress, byUser } = keysOf(caller);
    return this.#take([
      [this.#upgrades.byUser, byUser, "user-upgrades"],
      [this.#upgrades.byAddress, byAddress, "address-upgrades"],
    ]);
  }

  /** A player asks for a seat: how that ends is to be told, or it is too much. */
  async join(caller: Caller): Promise<Exceeded | OpenSeat> {
    const { byAddress, byUser } = keysOf(caller);
    const exceeded = await this.#take([
      [this.#joins.byUser, byUser, "user-joins"],
      [this.#joins.byAddress, byAddress, "address-joins"],
    ]);
    if (exceeded !== undefined) return exceeded;
    const { openSeatsPerAddress, openSeatsPerUser } = this.#parts.config;
    const seat = await this.#openSeat([
      { key: byUser === undefined ? undefined : `user:${byUser}`, max: openSeatsPerUser },
      { key: byAddress === undefined ? undefined : `address:${byAddress}`, max: openSeatsPerAddress },
    ]);
    if (typeof seat === "object") return seat;
    // Any of them may lapse, or be taken, before that; but one that asks at once asks in vain.
    const why = seat === 0 ? "user-seats" : "address-seats";
    return { code: "TOO_MANY_SEATS", why, retryAfterMs: OPEN_MS / 3 };
  }

  /** A party behind one address may well ask for all its seats at once; it takes them as quickly, and a few have to wait for that. */
  async #openSeat(owners: readonly SeatKey[]): Promise<OpenSeat | number> {
    const { clock } = this.#parts;
    let seat = await this.#seats.open(owners);
    if (typeof seat === "object" || this.#waiting >= WAITING_MAX) return seat;
    this.#waiting += 1;
    const endsMs = clock.monotonicMs() + SEAT_WAIT_MS;
    while (typeof seat === "number" && clock.monotonicMs() < endsMs) {
      await clock.sleep(SEAT_RETRY_MS);
      seat = await this.#seats.open(owners);
    }
    this.#waiting -= 1;
    return seat;
  }

  /** A player is in their seat. */
  seated(sessionId: string): void {
    void this.#seats.taken(sessionId);
  }

  async #take(all: readonly Counted[]): Promise<Exceeded | undefined> {
    const waits = await Promise.all(all.map(([rate, key]) => rate.take(key)));
    const over = waits.findIndex((waitMs) => waitMs !== undefined);
    const why = all[over]?.[2];
    return why === undefined ? undefined : { code: "TOO_OFTEN", why, retryAfterMs: waits[over] ?? 0 };
  }
}

/**
 * Looks at how a request for a seat is answered, without touching the answer.
 *
 * @param onAnswered called once, with the session whose seat was reserved, if one was
 */
export function watchSeat(
  response: ServerResponse,
  onAnswered: (sessionId: string | undefined) => void,
): void {
  const chunks: Buffer[] = [];
  const keep = (chunk: unknown): void => {
    if (typeof chunk === "string" || chunk instanceof Uint8Array)
      chunks.push(Buffer.from(chunk as Uint8Array));
  };
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  response.write = (...args: unknown[]) => {
    keep(args[0]);
    return write(...args);
  };
  let isTold = false;
  const tell = (sessionId: string | undefined): void => {
    if (!isTold) onAnswered(sessionId);
    isTold = true;
  };
  response.end = (...args: unknown[]) => {
    keep(args[0]);
    tell(response.statusCode === 200 ? sessionIn(chunks) : undefined); // before the player can know it, and come
    return end(...args);
  };
  response.once("close", () => tell(undefined));
}

function sessionIn(chunks: readonly Buffer[]): string | undefined {
  try {
    const { sessionId } = JSON.parse(Buffer.concat(chunks).toString()) as { sessionId?: unknown };
    return typeof sessionId === "string" ? sessionId : undefined;
  } catch {
    return undefined;
  }
}
