// Seats that were reserved and are not taken: each keeps somebody else out of a room, for as long as Colyseus waits for its
// player. So one user, and one address, may have only so many of them at a time, over all rooms of the cluster.
//
// Each is one entry in a sorted set in Redis, by the time at which it lapses by itself; while Redis is away, in this node's
// memory. A seat may be reserved at one node and taken at another: who knows the session, in Redis, finds whose it was.

import { randomUUID } from "node:crypto";
import type { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";

/** As long as a room waits for a player whose seat is reserved (Colyseus's default; a room may set its own). */
export const OPEN_MS = 15_000;
/** Callers and sessions that a node remembers of its own; beyond that the oldest are forgotten. */
const REMEMBERED_MAX = 50_000;

export interface OpenSeatsParts {
  readonly clock: Clock;
  readonly link: Pick<RedisLink, "commands">;
}

/** Whose it is, and of how many. `max` 0: any number. */
export interface SeatKey {
  readonly key: string | undefined;
  readonly max: number;
}

export interface OpenSeat {
  /** The reservation was made. */
  made(sessionId: string): void;
  /** It was not. */
  failed(): void;
}

interface Kept {
  readonly id: string;
  readonly keys: readonly string[];
}

export class OpenSeats {
  readonly #parts: OpenSeatsParts;
  /** What each has open as far as this node knows: ids, with the time at which they lapse. */
  readonly #here = new Map<string, Map<string, number>>();
  readonly #sessions = new Map<string, Kept>();

  constructor(parts: OpenSeatsParts) {
    this.#parts = parts;
  }

  /**
   * Counts a seat that is about to be reserved.
   *
   * @returns how it went with it is to be told; or the index of who has too many
   */
  async open(owners: readonly SeatKey[]): Promise<OpenSeat | number> {
    const counted = owners.flatMap(({ key, max }, index) =>
      key === undefined || max === 0 ? [] : [{ key, max, index }],
    );
    if (counted.length === 0) return { made: () => {}, failed: () => {} };
    const kept = { id: randomUUID(), keys: counted.map(({ key }) => key) };
    // Counted in first, and looked at then: of many at the same time none can slip through.
    const counts = await Promise.all(kept.keys.map((key) => this.#enter(key, kept.id)));
    const over = counted.find(({ max }, at) => (counts[at] ?? 0) > max);
    if (over !== undefined) {
      await this.#leave(kept); // what was not given must not stand in the way of another
      return over.index;
    }
    return {
      made: (sessionId) => this.#made(sessionId, kept),
      failed: () => void this.#leave(kept),
    };
  }

  /** A player has come for the seat. Never rejects, and nobody needs to wait for it. */
  async taken(sessionId: string): Promise<void> {
    const here = this.#sessions.get(sessionId);
    if (here !== undefined) {
      this.#sessions.delete(sessionId);
      await this.#leave(here);
      return;
    }
    try {
      const text = await this.#parts.link.commands.get(sessionKey(sessionId));
      if (text === null) return; // lapsed, or a player who returns
      const kept = JSON.parse(text) as Kept; // only #made writes there
      await this.#parts.link.commands.del(sessionKey(sessionId));
      await this.#leave(kept);
    } catch {
      // It lapses by itself.
    }
  }

  async #enter(key: string, id: string): Promise<number> {
    const { clock, link } = this.#parts;
    const nowMs = clock.nowMs();
    const here = this.#enterHere(key, id, nowMs);
    try {
      const results = await link.commands
        .multi()
        .zremrangebyscore(setKey(key), 0, nowMs)
        .zadd(setKey(key), nowMs + OPEN_MS, id)
        .zcard(setKey(key))
        .pexpire(setKey(key), OPEN_MS)
        .exec();
      const [failure, count] = results?.[2] ?? [new Error("not done"), 0];
      return failure === null ? Number(count) : here;
    } catch {
      return here; // Redis is away: as far as this node knows
    }
  }

  #enterHere(key: string, id: string, nowMs: number): number {
    const open = this.#here.get(key) ?? new Map<string, number>();
    for (const [other, endsMs] of open) {
      if (endsMs > nowMs) break; // they lapse in the order in which they came
      open.delete(other);
    }
    this.#here.delete(key);
    this.#here.set(key, open.set(id, nowMs + OPEN_MS));
    forgetOldest(this.#here);
    return open.size;
  }

  #made(sessionId: string, kept: Kept): void {
    this.#sessions.set(sessionId, kept);
    forgetOldest(this.#sessions);
    this.#parts.clock.after(OPEN_MS, () => {
      if (this.#sessions.get(sessionId) === kept) this.#sessions.delete(sessionId);
    });
    this.#parts.link.commands.set(sessionKey(sessionId), JSON.stringify(kept), "PX", OPEN_MS).catch(() => {}); // then only this node knows
  }

  /** Never rejects: what cannot be taken out lapses by itself. */
  async #leave({ id, keys }: Kept): Promise<void> {
    for (const key of keys) {
      const open = this.#here.get(key);
      open?.delete(id);
      if (open?.size === 0) this.#here.delete(key);
    }
    const { link } = this.#parts;
    await Promise.allSettled(keys.map(async (key) => link.commands.zrem(setKey(key), id)));
  }
}

function setKey(key: string): string {
  return `door:seats:${key}`;
}

function sessionKey(sessionId: string): string {
  return `door:seat:${sessionId}`;
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= REMEMBERED_MAX) return;
    map.delete(oldest);
  }
}
