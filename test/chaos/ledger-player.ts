// A player of a ledger: appends fresh ids, plain and committed, and reads everything back, one thing at a time. What was
// asked for and what came of it goes into the record, as does each state that the player is shown.

import { systemClock } from "../../src/runtime/clock.ts";
import { seededRandom } from "../load/random.ts";
import { Connection, joinUntil, type Door } from "./connection.ts";
import type { Frame, Outcome } from "./history.ts";
import type { Appended, Contents, LedgerState } from "./ledger-room.ts";
import type { Recorder } from "./recorder.ts";

const THINK_MS = { min: 60, max: 300 };
const ANSWER_MS = 5_000;
/** Who asks again at once is no help. */
const AGAIN_MS = 150;
/** How long a commit is asked for again. */
const INSIST_MS = 25_000;
const GIVE_UP_SHARE = 0.3;
const SHARES = { append: 0.35, commit: 0.8 };

/** Of these a room says that nothing was written (src/commit/commit.ts). */
const NOTHING_WRITTEN: ReadonlySet<unknown> = new Set([
  "COMMIT_REFUSED",
  "STALE_EPOCH",
  "LEASE_LOST",
  "ROOM_MOVING",
  "ROOM_TOO_LARGE",
  "POSTGRES_UNREACHABLE",
  "TOO_MANY",
]);

export interface LedgerPlayerOptions {
  readonly name: string;
  readonly seed: number;
  readonly recorder: Recorder;
  readonly door: Door;
  /** Asks no more of the room from then on; the connection stays. */
  readonly playing: AbortSignal;
  /** The end of the run. */
  readonly running: AbortSignal;
}

export class LedgerPlayer {
  readonly #options: LedgerPlayerOptions;
  readonly #random: () => number;
  #connection: Connection<LedgerState> | undefined;
  #lives = 0;
  #ids = 0;

  constructor(options: LedgerPlayerOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  get connection(): Connection<LedgerState> {
    if (this.#connection === undefined) throw new Error(`${this.#options.name} has not joined`);
    return this.#connection;
  }

  /** Takes a seat in a ledger, a new one if no room is given. */
  async join(roomId?: string): Promise<string> {
    const { door, recorder, running, name } = this.#options;
    const room = await joinUntil<LedgerState>(recorder, running, async () => {
      const client = await door();
      const options = { name };
      return roomId === undefined
        ? client.create<LedgerState>("ledger", options)
        : client.joinById<LedgerState>(roomId, options);
    });
    if (room === undefined) throw new Error(`${name} could not join`);
    this.#lives += 1;
    const own = this.#lives === 1 ? name : `${name}/${this.#lives}`;
    this.#connection = new Connection(own, room, recorder);
    logFrames(own, this.#connection, recorder);
    return room.roomId;
  }

  async play(): Promise<void> {
    const { playing } = this.#options;
    while (!playing.aborted) {
      const { min, max } = THINK_MS;
      await systemClock.sleep(min + this.#random() * (max - min), playing).catch(() => {});
      if (playing.aborted) return;
      const { connection } = this;
      if (connection.hasEnded) await this.join(connection.roomId);
      else if (connection.isOpen) await this.#act();
    }
  }

  async #act(): Promise<void> {
    const drawn = this.#random();
    if (drawn < SHARES.append) await this.#append();
    else if (drawn < SHARES.commit) await this.#commit();
    else await this.read();
  }

  async #append(): Promise<void> {
    const { client, roomId, invokedAt } = this.#begin();
    const id = this.#newId("p");
    let outcome: Outcome = "ok";
    let why: string | undefined;
    let at: { epoch: number; index: number } | undefined;
    try {
      const { epoch, index } = await this.#ask<Appended>("append", { id });
      at = { epoch, index };
    } catch (error) {
      [outcome, why] = ["unknown", String(error)];
    }
    this.#options.recorder.ops.push({
      kind: "plain",
      id,
      client,
      roomId,
      invokedAt,
      outcome,
      endedAt: systemClock.nowMs(),
      ...(why === undefined ? {} : { why }),
      ...(at === undefined ? {} : { at }),
    });
  }

  /** Asks with the same key until it is known what came of it, or for long enough. */
  async #commit(): Promise<void> {
    const { client, roomId, invokedAt } = this.#begin();
    const id = this.#newId("c");
    let outcome: Outcome | undefined;
    let mayStand = false;
    let why: string | undefined;
    let at: Appended | undefined;
    while (outcome === undefined) {
      const { connection } = this;
      if (connection.name !== client || connection.hasEnded)
        outcome = "unknown"; // the key is another player's now
      else if (systemClock.nowMs() - invokedAt > INSIST_MS) outcome = mayStand ? "unknown" : "fail";
      else if (connection.isOpen) {
        try {
          at = await this.#ask<Appended>("commit", { key: id, id });
          outcome = "ok";
        } catch (error) {
          why = String(error);
          mayStand ||= !NOTHING_WRITTEN.has((error as { code?: unknown }).code);
          if (!mayStand && this.#random() < GIVE_UP_SHARE) outcome = "fail";
        }
      }
      if (outcome === undefined) await systemClock.sleep(AGAIN_MS);
    }
    this.#options.recorder.ops.push({
      kind: "committed",
      id,
      client,
      roomId,
      invokedAt,
      outcome,
      endedAt: systemClock.nowMs(),
      ...(why === undefined ? {} : { why }),
      ...(at === undefined ? {} : { at }),
    });
  }

  async read(): Promise<Contents | undefined> {
    const { client, roomId, invokedAt } = this.#begin();
    const { recorder } = this.#options;
    const op = { kind: "read", client, roomId, invokedAt } as const;
    try {
      const contents = await this.#ask<Contents>("read");
      const [plain, committed] = [recorder.intern(contents.plain), recorder.intern(contents.committed)];
      const got = { ...contents, plain, committed };
      recorder.ops.push({ ...op, endedAt: systemClock.nowMs(), outcome: "ok", got });
      return got;
    } catch (error) {
      recorder.ops.push({ ...op, endedAt: systemClock.nowMs(), outcome: "unknown", why: String(error) });
      return undefined;
    }
  }

  #begin(): { client: string; roomId: string; invokedAt: number } {
    const { name: client, roomId } = this.connection;
    return { client, roomId, invokedAt: systemClock.nowMs() };
  }

  #newId(kind: "p" | "c"): string {
    return `${kind}${(this.#ids += 1)}.${this.#options.name}`;
  }

  #ask<Answer>(type: string, message?: unknown): Promise<Answer> {
    // The ledger's messages are untyped here: a player speaks to it by name.
    return this.connection.room.request(type as never, message as never, {
      timeout: ANSWER_MS,
    }) as unknown as Promise<Answer>;
  }
}

/**
 * Every state that comes, in the order in which it does.
 *
 * @param heardAtPid the process whose port this is, if there is no load balancer between
 */
export function logFrames(
  client: string,
  connection: Connection<LedgerState>,
  recorder: Recorder,
  heardAtPid?: number,
): void {
  const { roomId } = connection;
  let last: Frame | undefined;
  connection.room.onStateChange(({ epoch, seq, saidAt, pid }) => {
    if (last?.seq === seq && last.epoch === epoch) return;
    last = { client, roomId, epoch, seq, saidAt, pid, at: systemClock.nowMs() };
    recorder.frames.push(pid === heardAtPid ? { ...last, isDirect: true } : last);
  });
}
