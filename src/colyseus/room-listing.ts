// The listing of rooms, for finding one to join. Redis holds a copy, which is quick to ask; the truth is what the owners
// hold, and Postgres, which says who they are. So:
//
// - a read that Redis does not answer, or answers with "no such room", or may have answered without what it has lost, is
//   asked of the owners: while Redis is away, players join, find and create rooms as ever, a little slower;
// - a write that fails never fails what the players are doing: the owner compares and writes its rows again
//   (listing-upkeep.ts), and takes out those that should be gone;
// - a row that cannot be read is no row, and a failed read is not remembered.

import { initializeRoomCache, matchMaker, type IRoomCache, type Room } from "@colyseus/core";
import { RedisDriver } from "@colyseus/redis-driver";
import type { Redis } from "ioredis";
import { messageOf, RingsideError } from "../errors.ts";
import type { RoomId } from "../ids.ts";
import type { RedisLink } from "../redis/link.ts";
import type { DirectLine } from "./direct-line.ts";
import { internals } from "./room-internals.ts";
import type { RoomWhereabouts } from "./room-whereabouts.ts";
import { asServerError } from "./server-error.ts";

type Operations = Parameters<RedisDriver["update"]>[1];

/** The hash in which the stock driver keeps its rows, by room id. */
const ROWS = "roomcaches";

export interface ListingParts {
  readonly link: RedisLink;
  readonly line: Pick<DirectLine, "rowOf" | "rowsOfOthers">;
  /** The rooms on this node that players can be led to. */
  readonly ownRooms: () => Iterable<Room>;
  readonly whereabouts: RoomWhereabouts;
  readonly onError: (error: unknown) => void;
}

export class RoomListing extends RedisDriver {
  readonly #parts: ListingParts;
  #reading: Promise<(string | IRoomCache)[]> | undefined;
  #incomplete = false;

  constructor(parts: ListingParts) {
    super(parts.link.commands as Redis);
    this.#parts = parts;
    // The stock one keeps a failed read for ever, and every join after it fails as well. It is private, and what finding
    // and sorting stand on.
    (this as unknown as { getRooms: RoomListing["readRows"] }).getRooms = (name) => this.readRows(name);
    // The link makes itself new connections when it has to.
    Object.defineProperty(this, "_client", { get: () => parts.link.commands });
  }

  /** Whether a write has failed since this was last asked. */
  takeIncomplete(): boolean {
    const was = this.#incomplete;
    this.#incomplete = false;
    return was;
  }

  // ---- reading ----

  /** All rows, or those of one kind of room. Those who ask at the same time share one reading. */
  async readRows(roomName?: string): Promise<IRoomCache[]> {
    this.#reading ??= this.#readAll().finally(() => (this.#reading = undefined));
    // Most rows are of other kinds, and need not be parsed to see that.
    const sign = `"name":${JSON.stringify(roomName)}`;
    return (await this.#reading).flatMap((read) => {
      if (typeof read === "string" && roomName !== undefined && !read.includes(sign)) return [];
      const row = typeof read === "string" ? toRow(read) : read;
      return row === undefined || (roomName ?? row.name) !== row.name ? [] : [initializeRoomCache(row)];
    });
  }

  /** What it finds is mostly for reserving a seat there. */
  override async findOne(...asked: Parameters<RedisDriver["findOne"]>): Promise<IRoomCache> {
    const { roomId } = asked[0];
    // The library's own thenable is not a whole promise: `await` makes it one. Colyseus's type leaves out that there may be
    // no room.
    const row: IRoomCache | undefined =
      roomId === undefined ? await super.findOne(...asked) : await this.#findById(roomId);
    return (row && this.#parts.whereabouts.follow(row)) as IRoomCache;
  }

  override async findByIds(roomIds: string[]): Promise<Map<string, IRoomCache>> {
    const rows = await Promise.all(roomIds.map((roomId) => this.#findById(roomId)));
    return new Map(rows.filter((row) => row !== undefined).map((row) => [row.roomId, row]));
  }

  override async has(roomId: string): Promise<boolean> {
    return (await this.#findById(roomId)) !== undefined;
  }

  /** This node's rows, or one of them, as others are to see them. */
  ownRows(roomId?: string): IRoomCache[] {
    return [...this.#parts.ownRooms()]
      .filter((room) => roomId === undefined || room.roomId === roomId)
      .flatMap((room) => toRow(rowText(room)) ?? []);
  }

  // ---- writing ----

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

  /** The stock one deletes the rows of a process that only missed a ping. Whose rows go is decided in listing-upkeep.ts. */
  override async cleanup(_processId: string): Promise<void> {}

  /** The connection is the node's, and closed with it. */
  override async shutdown(): Promise<void> {}

  // ---- for upkeep: what Redis holds, as it is ----

  /** @returns the text of each row, by room id. @throws when Redis does not answer */
  async stored(): Promise<Record<string, string>> {
    return this.#parts.link.commands.hgetall(ROWS);
  }

  /** Writes those of this node's rows that Redis does not hold as they are. @returns how many. @throws when Redis fails */
  async writeOwn(): Promise<number> {
    const rooms = [...this.#parts.ownRooms()].filter((room) => rowText(room) !== undefined);
    if (rooms.length === 0) return 0;
    const { commands } = this.#parts.link;
    const held = await commands.hmget(ROWS, ...rooms.map((room) => room.roomId));
    // Compared anew, because a room may have changed or gone since it was asked for.
    const here = new Set(this.#parts.ownRooms());
    const wrong = rooms.filter(
      (room, index) => here.has(room) && (rowText(room) ?? held[index]) !== held[index],
    );
    await Promise.all(wrong.map((room) => commands.hset(ROWS, room.roomId, rowText(room) ?? "")));
    return wrong.length;
  }

  /** @throws when Redis fails */
  async takeOut(roomId: string): Promise<void> {
    await this.#parts.link.commands.hdel(ROWS, roomId);
  }

  async #readAll(): Promise<(string | IRoomCache)[]> {
    const { link, line } = this.#parts;
    if (link.isSettled) {
      try {
        return Object.values(await link.readWhole(() => this.stored()));
      } catch (error) {
        this.#parts.onError(error);
      }
    }
    // The owners know best, and all of them are asked. One that does not answer in time is left out, as are its rooms: a
    // player is given another room, or a new one, rather than no answer.
    return [...this.ownRows(), ...(await line.rowsOfOthers())];
  }

  async #findById(roomId: string): Promise<IRoomCache | undefined> {
    const { link, line } = this.#parts;
    const here = matchMaker.getLocalRoomById(roomId) as Room | undefined;
    let row = here && toRow(rowText(here));
    if (row === undefined && link.isSound) {
      try {
        row = toRow(await link.commands.hget(ROWS, roomId));
      } catch (error) {
        this.#parts.onError(error);
      }
    }
    if (row === undefined) {
      // To be told that a room has ended is final for a player, and that Redis knows nothing of it proves nothing.
      row = await line.rowOf(roomId as RoomId).catch((error: unknown) => {
        throw asServerError(new RingsideError("REDIS_UNREACHABLE", { why: messageOf(error) }, error));
      });
    }
    return row && initializeRoomCache(row);
  }

  async #write(roomId: string | undefined, write: () => Promise<boolean>): Promise<boolean> {
    if (roomId === undefined) return false;
    try {
      return await write();
    } catch (error) {
      // Told once for each absence by the link; here only what else went wrong.
      if (this.#parts.link.isSound) this.#parts.onError(error);
      this.#incomplete = true;
      return false;
    }
  }
}

/** A room's row as it is stored; undefined when it is not this node's to write. */
function rowText(room: Room): string | undefined {
  const { _listing } = internals(room);
  return _listing.roomId === undefined ? undefined : JSON.stringify(_listing);
}

/** A stored row, if it is one: what stands in Redis may be anything. */
export function toRow(text: string | null | undefined): IRoomCache | undefined {
  try {
    const row: unknown = JSON.parse(text ?? "null");
    return isRow(row) ? row : undefined;
  } catch {
    return undefined;
  }
}

export function isRow(value: unknown): value is IRoomCache {
  const row = value as Partial<IRoomCache> | null | undefined;
  const isNamed = typeof row?.roomId === "string" && typeof row.name === "string";
  return isNamed && typeof row.processId === "string";
}

function apply(room: IRoomCache, operations: Operations): void {
  Object.assign(room, operations.$set);
  const counters = room as unknown as Record<string, number>;
  for (const [field, by] of Object.entries(operations.$inc ?? {})) {
    counters[field] = (counters[field] ?? 0) + Number(by);
  }
}
