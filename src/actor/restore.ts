// From a checkpoint back to a room: putting what was read (generations.ts) into it.

import { logger } from "@colyseus/core";
import type { Activation } from "./activation.ts";
import { restoreTimers } from "./durable-timers.ts";
import { restoreAnswers } from "../commit/answers.ts";
import { internals, setElapsed } from "../colyseus/room-internals.ts";
import { restoreState } from "../colyseus/state-tree.ts";
import type { Snapshot } from "../checkpoint/snapshot.ts";
import { hasCode } from "../errors.ts";
import type { Readable } from "./generations.ts";
import { migrated, MigrationError } from "./migrate.ts";

export type { Readable };

/**
 * Puts what was saved into a room whose onCreate has just run. Synchronous: nothing else runs meanwhile.
 *
 * @returns what was put in: what was saved, as the room's class has it now; undefined when the room was never saved
 * @throws RingsideError SNAPSHOT_UNREADABLE when the state does not fit the room's class; MigrationError when that is the
 * author's doing
 */
export function restoreInto(activation: Activation, readable: Readable, nowMs: number): Snapshot | undefined {
  const { checkpoint, newestSeq } = readable;
  // Due at once: a new epoch gives out refIds that start above those of its checkpoint, and the next one says so.
  activation.markChanged(nowMs);
  // Never saved: as onCreate left it.
  if (checkpoint === undefined || readable.snapshot === undefined) return undefined;
  const { room } = activation;
  const snapshot = migrated(room, readable.snapshot);
  try {
    if (snapshot.state !== undefined) {
      restoreState(room, snapshot.state, activation.epoch - checkpoint.epoch);
    }
  } catch (error) {
    if (snapshot === readable.snapshot || !hasCode(error, "SNAPSHOT_UNREADABLE")) throw error;
    throw new MigrationError(`what it made does not fit the class: ${JSON.stringify(error.facts)}`, error);
  }
  const inside = internals(room);
  inside._listing.metadata = snapshot.room.metadata;
  inside._listing.private = snapshot.room.private;
  inside._listing.unlisted = snapshot.room.unlisted;
  room.maxClients = snapshot.room.maxClients;
  // Before the room is listed, so that it is never found open.
  if (snapshot.room.locked) void room.lock();
  const dropped = restoreTimers(room, snapshot);
  if (dropped.length > 0) {
    const { roomId, name } = activation;
    logger.warn(
      `room ${roomId} (${name}): dropped saved timers that it does not declare: ${dropped.join(", ")}`,
    );
  }
  restoreAnswers(room, snapshot.answers);
  setElapsed(room, snapshot.elapsedMs);
  room.onRestoreRoom?.(snapshot.cached);
  activation.nextSeq = newestSeq + 1; // one that cannot be read keeps its number all the same
  activation.saved = { seq: checkpoint.seq, atMs: nowMs - checkpoint.ageMs, bytes: checkpoint.bytes.length };
  return snapshot;
}
