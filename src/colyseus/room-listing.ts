// The listing of rooms in Redis, for finding a room to join. A copy: the truth is Postgres and the owners, and the
// owners write their rows again when Redis has lost them. Nothing in it is proof of ownership, so a write that fails is
// reported and made good later, and never fails what the players are doing.

import type { IRoomCache, SortOptions } from "@colyseus/core";
import { RedisDriver } from "@colyseus/redis-driver";
import type { Redis } from "ioredis";

type Operations = Parameters<RedisDriver["update"]>[1];

export class RoomListing extends RedisDriver {
  readonly #onError: (error: unknown) => void;
  #incomplete = false;

  constructor(redis: Redis, onError: (error: unknown) => void) {
    super(redis);
    this.#onError = onError;
  }

  /** Whether a write has failed since this was last asked; the owner should then write its rows again. */
  takeIncomplete(): boolean {
    const was = this.#incomplete;
    this.#incomplete = false;
    return was;
  }

  /** Colyseus asks whether it may have the id; Postgres has decided that before, so the newest owner's row stands. */
  async insert(room: IRoomCache): Promise<boolean> {
    await this.persist(room);
    return true;
  }

  override async persist(room: IRoomCache): Promise<boolean> {
    return this.#write(room.roomId, () => super.persist(room));
  }

  override async update(room: IRoomCache, operations: Operations): Promise<boolean> {
    // A room that is still being created, or was taken off this node, has no id here: its row is not ours to write.
    if ((room.roomId as string | undefined) === undefined) {
      apply(room, operations);
      return true;
    }
    return this.#write(room.roomId, () => super.update(room, operations));
  }

  override async remove(roomId: string | undefined): Promise<boolean> {
    return this.#write(roomId, () => super.remove(roomId as string));
  }

  override async query(conditions: Partial<IRoomCache>, sortOptions?: SortOptions): Promise<IRoomCache[]> {
    return this.#read(() => super.query(conditions, sortOptions));
  }

  override async findOne(conditions: Partial<IRoomCache>, sortOptions?: SortOptions): Promise<IRoomCache> {
    // `await` also turns the library's own thenable into a promise.
    return this.#read(async () => await super.findOne(conditions, sortOptions));
  }

  async #write(roomId: string | undefined, write: () => Promise<boolean>): Promise<boolean> {
    if (roomId === undefined) return false;
    try {
      return await write();
    } catch (error) {
      this.#incomplete = true;
      this.#onError(error);
      return false;
    }
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      // The library keeps a failed read for ever, and every join after it would fail as well.
      const shared = this as unknown as {
        _concurrentRoomCacheRequest: unknown;
        _roomCacheRequestByName: object;
      };
      shared._concurrentRoomCacheRequest = undefined;
      shared._roomCacheRequestByName = {};
      throw error;
    }
  }
}

function apply(room: IRoomCache, operations: Operations): void {
  Object.assign(room, operations.$set);
  const counters = room as unknown as Record<string, number>;
  for (const [field, by] of Object.entries(operations.$inc ?? {})) {
    counters[field] = (counters[field] ?? 0) + Number(by);
  }
}
