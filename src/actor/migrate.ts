// A checkpoint of a former version of a room's class: what its author's migrateCheckpoint makes of it (CKP5).
//
// A class says its version by `static checkpointVersion`; each checkpoint has the one that wrote it. Fields that were added
// or removed need neither version nor migration: state-fit.ts sees to them. What migrateCheckpoint throws is a failure to
// open the room and no fault of the checkpoint, which therefore stays the one to open, for when the class is mended.

import type { Room } from "@colyseus/core";
import type { SavedTimer, Snapshot } from "../checkpoint/snapshot.ts";
import { internals } from "../colyseus/room-internals.ts";
import type { DeclaredNow } from "../colyseus/state-from-records.ts";
import { classesNamed, planOf } from "../colyseus/state-internals.ts";
import type { SavedRecord } from "../colyseus/saved-record.ts";
import { SavedRecords } from "../colyseus/state-records.ts";
import { messageOf, RingsideError } from "../errors.ts";
import { versionOf } from "./activation.ts";

export type { SavedRecord };

/**
 * A room as a former version of its class saved it, for `migrateCheckpoint(saved, fromVersion)` to change in place: an
 * ordinary method of a room class with a later `static checkpointVersion`, called after `onCreate` and before anything of
 * this is put into the room. It must do all it does before it returns; it may return another such object instead.
 *
 * Records and collections that are still in `state` afterwards stay what they were to players who return; new ones are new
 * to them. Fields that the class does not have any more are dropped, and those that are not mentioned have their defaults.
 *
 *     static checkpointVersion = 2;
 *
 *     migrateCheckpoint(saved: SavedRoom, fromVersion: number) {
 *       for (const player of saved.instancesOf("Player")) {
 *         player.title = player.name; // renamed
 *         player.level = String(player.level); // was a number
 *         player.stats = { $type: "Stats", hp: player.hp }; // moved into an instance of its own
 *       }
 *       for (const orc of saved.instancesOf("Orc")) orc.$type = "Monster"; // the class was renamed
 *     }
 */
export interface SavedRoom {
  /** The room's state; a record without fields where none was saved, which then is not looked at. */
  state: SavedRecord;
  /** What `onCacheRoom()` returned. */
  cached: unknown;
  metadata: unknown;
  maxClients: number;
  /** The players whom the state knows, by session id. Of these only `userData` can be changed. */
  readonly players: Readonly<Record<string, { userData: unknown }>>;
  /** The durable timers that were armed, if the class had any. */
  timers: readonly SavedTimer[] | undefined;
  /** All records of a class, by the name that it had, or that their `$type` was set to since. */
  instancesOf(type: string): SavedRecord[];
}

interface Migrating {
  migrateCheckpoint?(saved: SavedRoom, fromVersion: number): unknown;
}

/**
 * The snapshot as the room's class has it now. The one that is given may be changed by it.
 *
 * @returns the same one where there is nothing to migrate
 * @throws RingsideError SNAPSHOT_UNREADABLE when a later version of the class saved it; what migrateCheckpoint throws; or
 * RingsideError INTERNAL when that made no room of it
 */
export function migrated(room: Room, snapshot: Snapshot): Snapshot {
  const saved = snapshot.classVersion;
  const now = versionOf(room);
  if (saved > now) {
    const why = "a later version of the room's class saved it";
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why, saved, now });
  }
  const author = room as Migrating; // any class may have the method, and none must
  if (saved === now || author.migrateCheckpoint === undefined) return snapshot;

  const records = snapshot.state && new SavedRecords(snapshot.state);
  const given = savedRoom(snapshot, records);
  const result = asAuthors(() => author.migrateCheckpoint?.(given, saved));
  if (result instanceof Promise) {
    result.catch(() => {}); // told of already
    throw new MigrationError("migrateCheckpoint must not be async: nothing may happen before it is done");
  }
  if (result !== undefined && !isSavedRoom(result)) {
    throw new MigrationError("it returned something other than a saved room");
  }
  const after = result ?? given;
  return asAuthors(() => ({
    ...snapshot,
    classVersion: now,
    state: records?.toImage(after.state, declaredNow(room)),
    cached: after.cached,
    room: { ...snapshot.room, metadata: after.metadata, maxClients: after.maxClients },
    players: Object.fromEntries(
      Object.entries(snapshot.players).map(([sessionId, player]) => {
        const userData = sessionId in after.players ? after.players[sessionId]?.userData : player.userData;
        return [sessionId, { ...player, userData }];
      }),
    ),
    timers: after.timers,
  }));
}

/** What a migration threw, or led to: its author's to mend. Not a checkpoint that cannot be read. */
export class MigrationError extends RingsideError {
  constructor(why: string, cause?: unknown) {
    super("INTERNAL", { why: `migrateCheckpoint: ${why}` }, cause);
  }
}

function asAuthors<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    const why = error instanceof RingsideError ? error.facts["why"] : undefined;
    throw new MigrationError(typeof why === "string" ? why : messageOf(error), error);
  }
}

function savedRoom(snapshot: Snapshot, records: SavedRecords | undefined): SavedRoom {
  const players = Object.entries(snapshot.players).map(([id, { userData }]) => [id, { userData }] as const);
  return {
    state: records?.root ?? { $type: "" },
    cached: snapshot.cached,
    metadata: snapshot.room.metadata,
    maxClients: snapshot.room.maxClients,
    players: Object.fromEntries(players),
    timers: snapshot.timers,
    instancesOf: (type) => records?.instancesOf(type) ?? [],
  };
}

function isSavedRoom(value: unknown): value is SavedRoom {
  if (typeof value !== "object" || value === null) return false;
  return ["state", "cached", "metadata", "maxClients", "players", "timers"].every((name) => name in value);
}

function declaredNow(room: Room): DeclaredNow {
  const types = internals(room)._serializer.encoder?.root.types;
  return (type, field) => {
    if (types === undefined) return undefined;
    const fields = classesNamed(types, type).flatMap((klass) => planOf(klass).fields);
    return fields.find(({ name }) => name === field)?.declared;
  };
}
