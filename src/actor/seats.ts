// Seats in Postgres. A seat is durable before the player is told of having joined (SEAT1), and given up before they are told
// of having left; many players at once share one statement.
//
// Of one seat, what was asked for last stands: joins and leaves go out in order, and changes of its tokens are numbered.

import type { Config } from "../config.ts";
import { RingsideError } from "../errors.ts";
import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import { Batcher } from "../runtime/batcher.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SeatToken } from "./seat-token.ts";

export interface Place {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly sessionId: string;
}

export interface NewSeat extends Place {
  readonly token: SeatToken;
  readonly options: unknown;
  readonly auth: unknown;
}

type Write =
  { readonly kind: "save"; readonly seat: NewSeat } | { readonly kind: "give up"; readonly seat: Place };
type Outcome = { readonly isDone: boolean } | { readonly failure: unknown };
type Row = { room_id: string; session_id: string };

export interface SeatsParts {
  readonly database: Database;
  readonly self: Incarnation;
  readonly clock: Clock;
  readonly config: Pick<Config, "storeMs">;
}

const LIMITS = { batchMax: 200, waitingMax: 10_000 };
/** How long changes of tokens that nobody waits for are gathered. */
const SOON_MS = 100;
/**
 * A seat that could not be given up is tried again after so long, so many times. What stays behind even then lapses when its
 * room is restored.
 */
const AGAIN_MS = 1_000;
const TRIES_MAX = 120;
/** So many seats may wait for that. */
const LEFTOVERS_MAX = 10_000;

export class Seats {
  readonly #parts: SeatsParts;
  readonly #writing: Batcher<Write, Outcome>;
  readonly #changing: Batcher<Place & { readonly token: SeatToken }, boolean>;
  readonly #soon = new Map<string, Place & { readonly token: SeatToken }>();
  readonly #givingUp = new Map<string, Promise<void>>();
  /** Seats that Postgres may still have, although they were given up. */
  readonly #leftovers = new Map<string, () => void>();

  constructor(parts: SeatsParts) {
    this.#parts = parts;
    this.#writing = new Batcher(LIMITS, (writes) => this.#write(writes));
    this.#changing = new Batcher(LIMITS, (changes) => this.#change(changes));
  }

  /**
   * Makes a seat durable.
   *
   * @returns when it is: true; false when a newer activation exists, and nothing was written
   * @throws RingsideError TOO_MANY, or POSTGRES_UNREACHABLE when it is not known whether it was written; it is given up then
   */
  async save(seat: NewSeat): Promise<boolean> {
    this.#forget(keyOf(seat));
    const outcome = await this.#writing.add({ kind: "save", seat });
    if ("isDone" in outcome) return outcome.isDone;
    // The statement may still be on its way, but not for longer than it may run.
    this.#giveUpAgain(seat, Math.max(AGAIN_MS, 2 * this.#parts.config.storeMs), TRIES_MAX);
    throw new RingsideError("POSTGRES_UNREACHABLE", { roomId: seat.roomId }, outcome.failure);
  }

  /**
   * Writes those of them that Postgres has lost, and what it has lost of their tokens, where their rooms are still this node's
   * at their epochs.
   */
  async keep(seats: readonly NewSeat[]): Promise<void> {
    for (let from = 0; from < seats.length; from += LIMITS.batchMax) {
      const batch = seats.slice(from, from + LIMITS.batchMax);
      await this.#parts.database.run("keep-seats", [
        ...this.#newSeats(batch),
        batch.map(({ token }) => toBytes(token.previousHash)),
        batch.map(({ token }) => token.isHeard),
        batch.map(({ token }) => token.number),
      ]);
    }
  }

  /** Tells Postgres of a seat's new tokens. @returns whether it has them now; false also when it has newer ones */
  changeToken(place: Place, token: SeatToken): Promise<boolean> {
    return this.#changing.add({ ...place, token });
  }

  /**
   * The same, when nobody waits for it: many at once. If it fails, the token that was replaced is worth something after a
   * crash, until the next change.
   */
  changeTokenSoon(place: Place, token: SeatToken): void {
    const key = keyOf(place);
    if (this.#soon.size === 0) this.#parts.clock.after(SOON_MS, () => this.#changeThoseOfLate());
    if (this.#soon.size < LIMITS.waitingMax || this.#soon.has(key)) this.#soon.set(key, { ...place, token });
  }

  /** Forgets a seat. Resolves when that is durable, or has failed and is tried again in the background. */
  giveUp(place: Place): Promise<void> {
    const key = keyOf(place);
    const before = this.#givingUp.get(key);
    if (before !== undefined) return before;
    const givingUp = this.#giveUpOnce(place)
      .then((isGone) => {
        if (!isGone && !this.#leftovers.has(key)) this.#giveUpAgain(place, AGAIN_MS, TRIES_MAX);
      })
      .finally(() => this.#givingUp.delete(key));
    this.#givingUp.set(key, givingUp);
    return givingUp;
  }

  /** Resolves when a seat that is being given up is. */
  async whenGivenUp(place: Place): Promise<void> {
    await this.#givingUp.get(keyOf(place));
  }

  /** Resolves when no write waits any more. */
  async idle(): Promise<void> {
    await Promise.all([this.#writing.idle(), this.#changing.idle()]);
  }

  /** @returns whether Postgres has said so; also that there is none, or that it is another activation's affair */
  async #giveUpOnce(seat: Place): Promise<boolean> {
    try {
      return "isDone" in (await this.#writing.add({ kind: "give up", seat }));
    } catch {
      return false; // too many wait
    }
  }

  #changeThoseOfLate(): void {
    const changes = [...this.#soon.values()];
    this.#soon.clear();
    for (const { token, ...place } of changes) this.changeToken(place, token).catch(() => {});
  }

  #giveUpAgain(place: Place, afterMs: number, triesLeft: number): void {
    const key = keyOf(place);
    this.#forget(key);
    if (triesLeft === 0 || this.#leftovers.size >= LEFTOVERS_MAX) return;
    const cancel = this.#parts.clock.after(afterMs, () => {
      void this.#giveUpOnce(place).then((isGone) => {
        if (this.#leftovers.get(key) !== cancel) return; // taken anew meanwhile
        this.#leftovers.delete(key);
        if (!isGone) this.#giveUpAgain(place, AGAIN_MS, triesLeft - 1);
      });
    });
    this.#leftovers.set(key, cancel);
  }

  #forget(key: string): void {
    this.#leftovers.get(key)?.();
    this.#leftovers.delete(key);
  }

  async #write(writes: readonly Write[]): Promise<Outcome[]> {
    // Of one seat the last word stands, and answers for those before it.
    const last = new Map(writes.map((write) => [keyOf(write.seat), write]));
    const saves: NewSeat[] = [];
    const places: Place[] = [];
    for (const write of last.values()) {
      if (write.kind === "save") saves.push(write.seat);
      else places.push(write.seat);
    }
    const [saved, givenUp] = await Promise.all([
      outcomesOf(saves, () => this.#save(saves)),
      outcomesOf(places, () => this.#giveUp(places)),
    ]);
    return writes.map(({ seat }) => {
      const key = keyOf(seat);
      return saved.get(key) ?? givenUp.get(key) ?? { isDone: false };
    });
  }

  #save(seats: readonly NewSeat[]): Promise<Row[]> {
    return this.#parts.database.run<Row>("save-seats", this.#newSeats(seats));
  }

  /** The parameters that save-seats and keep-seats begin with. */
  #newSeats(seats: readonly NewSeat[]): unknown[] {
    return [
      ...columnsOf(seats),
      seats.map(({ token }) => toBytes(token.hash)),
      seats.map(({ options }) => toJson(options)),
      seats.map(({ auth }) => toJson(auth)),
      this.#parts.self,
      seats.map(({ token }) => toBytes(token.loginHash)),
    ];
  }

  #giveUp(places: readonly Place[]): Promise<Row[]> {
    return this.#parts.database.run<Row>("give-up-seats", [...columnsOf(places), this.#parts.self]);
  }

  async #change(changes: readonly (Place & { readonly token: SeatToken })[]): Promise<boolean[]> {
    // One row cannot be written twice in one statement; the newest stands, and answers for those before it.
    const newest = [...new Map(changes.map((change) => [keyOf(change), change])).values()];
    const rows = await this.#parts.database.run<Row>("change-seat-tokens", [
      ...columnsOf(newest),
      newest.map(({ token }) => toBytes(token.hash)),
      newest.map(({ token }) => toBytes(token.previousHash)),
      newest.map(({ token }) => token.isHeard),
      newest.map(({ token }) => token.number),
      this.#parts.self,
    ]);
    const done = new Set(rows.map(keyOfRow));
    return changes.map((change) => done.has(keyOf(change)));
  }
}

async function outcomesOf(
  places: readonly Place[],
  run: () => Promise<Row[]>,
): Promise<Map<string, Outcome>> {
  if (places.length === 0) return new Map();
  try {
    const done = new Set((await run()).map(keyOfRow));
    return new Map(places.map((place) => [keyOf(place), { isDone: done.has(keyOf(place)) }]));
  } catch (failure) {
    return new Map(places.map((place) => [keyOf(place), { failure }]));
  }
}

/** The first three parameters of each of the statements. */
function columnsOf(places: readonly Place[]): unknown[] {
  return [
    places.map(({ roomId }) => roomId),
    places.map(({ epoch }) => epoch),
    places.map(({ sessionId }) => sessionId),
  ];
}

const keyOf = ({ roomId, sessionId }: Place): string => `${roomId} ${sessionId}`;
const keyOfRow = ({ room_id, session_id }: Row): string => `${room_id} ${session_id}`;

function toBytes(hash: string | undefined): Buffer | null {
  return hash === undefined ? null : Buffer.from(hash, "hex");
}

function toJson(value: unknown): string | null {
  return value === undefined ? null : (JSON.stringify(value) ?? null);
}
