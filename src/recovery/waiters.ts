// Those who wait for rooms to be opened: counted for each room, told together. Whose room is gone from here look again.

import type { Activation } from "../actor/activation.ts";
import type { RoomId } from "../ids.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Demand } from "./recovery-plan.ts";

interface Waiting {
  readonly sinceMs: number;
  waiting: number;
  readonly opened: PromiseWithResolvers<Activation | undefined>;
}

export class Waiters {
  readonly #clock: Clock;
  readonly #rooms = new Map<RoomId, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get roomIds(): Iterable<RoomId> {
    return this.#rooms.keys();
  }

  get demands(): Demand[] {
    return [...this.#rooms].map(([roomId, { sinceMs, waiting }]) => ({ roomId, sinceMs, waiting }));
  }

  has(roomId: RoomId): boolean {
    return this.#rooms.has(roomId);
  }

  /** One more waits for a room, as long as `until` is not settled. @returns what `until` comes to */
  async wait(
    roomId: RoomId,
    until: (opened: Promise<Activation | undefined>) => Promise<Activation | undefined>,
  ): Promise<Activation | undefined> {
    const room = this.#rooms.get(roomId) ?? this.#add(roomId);
    room.waiting += 1;
    try {
      return await until(room.opened.promise);
    } finally {
      room.waiting -= 1;
      // Nobody waits any more: it has its turn with the others.
      if (room.waiting === 0 && this.#rooms.get(roomId) === room) this.#rooms.delete(roomId);
    }
  }

  settle(roomId: RoomId, activation: Activation | undefined): void {
    this.#rooms.get(roomId)?.opened.resolve(activation);
    this.#rooms.delete(roomId);
  }

  refuse(roomId: RoomId, error: unknown): void {
    this.#rooms.get(roomId)?.opened.reject(error);
    this.#rooms.delete(roomId);
  }

  #add(roomId: RoomId): Waiting {
    const sinceMs = this.#clock.monotonicMs();
    const room: Waiting = { sinceMs, waiting: 0, opened: Promise.withResolvers() };
    room.opened.promise.catch(() => {}); // they may all have gone
    this.#rooms.set(roomId, room);
    return room;
  }
}
