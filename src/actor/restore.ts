// From a checkpoint back to a room: which generation can be read, and putting it into the room.

import type { Activation } from "./activation.ts";
import { internals, setElapsed } from "../colyseus/room-internals.ts";
import { restoreState } from "../colyseus/state-tree.ts";
import { decodeSnapshot, type Snapshot } from "../checkpoint/snapshot.ts";
import { hasCode, messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { ClaimedRoom, Directory, StoredCheckpoint } from "../ownership/directory.ts";

export interface Readable {
  readonly checkpoint: StoredCheckpoint | undefined;
  readonly snapshot: Snapshot | undefined;
  /** The number of the newest checkpoint that is stored, be it readable or not; 0 when there is none. */
  readonly newestSeq: number;
}

/**
 * The newest generation of a room's checkpoints that can be read.
 *
 * @returns both undefined when the room was never saved
 * @throws RingsideError SNAPSHOT_UNREADABLE when none of them can; the room must not start empty
 */
export async function readSnapshot(
  claimed: ClaimedRoom,
  directory: Directory,
  events: EventBus,
): Promise<Readable> {
  const { roomId, epoch } = claimed;
  const newestSeq = claimed.checkpoint?.seq ?? 0;
  let checkpoint = claimed.checkpoint;
  let failure: unknown;
  while (checkpoint !== undefined) {
    try {
      return { checkpoint, snapshot: decodeSnapshot(checkpoint.bytes), newestSeq };
    } catch (error) {
      if (!hasCode(error, "SNAPSHOT_UNREADABLE")) throw error;
      failure = error;
      events.emit("room:unreadable", { roomId, epoch, error: messageOf(error) });
      checkpoint = await directory.readOlder(roomId, checkpoint.seq);
    }
  }
  if (failure !== undefined) throw failure;
  return { checkpoint: undefined, snapshot: undefined, newestSeq };
}

/**
 * Puts what was saved into a room whose onCreate has just run. Synchronous: nothing else runs meanwhile.
 *
 * @throws RingsideError SNAPSHOT_UNREADABLE when the state does not fit the room's class
 */
export function restoreInto(activation: Activation, readable: Readable, nowMs: number): void {
  const { checkpoint, snapshot, newestSeq } = readable;
  // Due at once: a new epoch gives out refIds that start above those of its checkpoint, and the next one says so.
  activation.markChanged(nowMs);
  if (checkpoint === undefined || snapshot === undefined) return; // never saved: as onCreate left it
  const { room } = activation;
  if (snapshot.state !== undefined) restoreState(room, snapshot.state);
  const inside = internals(room);
  inside._listing.metadata = snapshot.room.metadata;
  inside._listing.private = snapshot.room.private;
  inside._listing.unlisted = snapshot.room.unlisted;
  room.maxClients = snapshot.room.maxClients;
  // Before the room is listed, so that it is never found open.
  if (snapshot.room.locked) void room.lock();
  setElapsed(room, snapshot.elapsedMs);
  room.onRestoreRoom?.(snapshot.cached);
  activation.nextSeq = newestSeq + 1; // one that cannot be read keeps its number all the same
  activation.saved = { seq: checkpoint.seq, atMs: nowMs - checkpoint.ageMs, bytes: checkpoint.bytes.length };
}
