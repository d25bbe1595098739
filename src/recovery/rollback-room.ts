// Takes a room back to what it was: to any checkpoint of it that is still stored (REC6). For operators, after an exploit
// or a bug has spoiled a match. Needs Postgres only, and may be called from any process.
//
// The room is first taken from its owner, who is told and stops at once (taken-rooms.ts); whatever it still sends is refused
// by its epoch. Then what was saved is saved anew, as the newest checkpoint, and the room is left for a node to open as
// after any failover. Everything that can be refused is refused before the room is taken, and disturbs nobody. If the
// process dies in between, the room opens by itself from its newest checkpoint, unchanged, when HOLD_MS are over.

import { sealWhole } from "../checkpoint/frame.ts";
import { decodeSnapshot, serializeSnapshot, type Snapshot } from "../checkpoint/snapshot.ts";
import { withFutureOf } from "../colyseus/state-future.ts";
import { hasCode, RingsideError, type ErrorCode } from "../errors.ts";
import type { Events } from "../events.ts";
import type { Epoch, NodeId, RoomId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";

/** How long nobody may open the room while this is at work. A room takes some ms; the largest ones a second or two. */
const HOLD_MS = 10_000;

export interface RollbackParts {
  readonly database: Database;
  /** Who does it, for the event log. */
  readonly by?: string;
}

export type RolledBack = Events["room:rolled-back"];

/** A checkpoint that a room can be taken back to. */
export interface RollbackTime {
  readonly seq: number;
  /** When it was saved, in ms since 1970 by Postgres's clock. */
  readonly savedAt: number;
  /** The size of the room then, in memory. */
  readonly bytes: number;
  /** Why it could not be read when the room was last opened; null for one that nobody has tried, or that was read. */
  readonly unreadableReason: string | null;
}

/**
 * Takes a room back to its newest checkpoint that was saved at or before `to`. Its players are cut off, and come back to
 * their seats by themselves.
 *
 * All that a checkpoint holds goes back together: state, `onCacheRoom()`, metadata, lock, the room's clock, its durable timers
 * and the answers to commands, so that a command which was answered after `to` is carried out if it comes again. What does
 * not go back: the seats (who joined since joins again by `onJoin`; of who left since the room hears by `onLeave`), and what
 * commits wrote into the author's own tables. What was saved after `to` stays in the room's history. When the room's class
 * cannot open what was gone back to, it opens from what was there before, like any room with an unreadable checkpoint (REC4):
 * `readReopening` tells.
 *
 * @param to ms since 1970 by Postgres's clock
 * @throws RingsideError, with a sentence in `facts.why`. Nothing has changed, and nobody was disturbed, for BAD_REQUEST (`to` is
 * still to come), NOT_FOUND (no such room, or nothing as old as that), ROOM_GONE (it has ended), NOT_ALLOWED (it is locked
 * away) and SNAPSHOT_UNREADABLE. For STALE_EPOCH somebody else has taken the room meanwhile, and nothing was written
 * @throws the driver's error when Postgres fails; the room is then either back or unchanged
 */
export async function rollbackRoom(
  { database, by = "operator" }: RollbackParts,
  roomId: RoomId,
  to: Date | number,
): Promise<RolledBack> {
  const chosen = await choose(database, roomId, Number(to));
  const { epoch, taken_at: takenAt } = await take(database, roomId);
  const { newestSeq, later } = await readFuture(database, roomId, chosen);
  const snapshot = later === undefined ? chosen.snapshot : rolledBack(chosen.snapshot, later);
  const body = serializeSnapshot(snapshot, Number.POSITIVE_INFINITY); // it was small enough before
  const seq = newestSeq + 1; // nobody else may save one, and what did before has its number
  const lostMs = Math.round(takenAt - chosen.savedAt);
  const facts: RolledBack = {
    roomId,
    epoch,
    seq,
    toSeq: chosen.seq,
    toAt: chosen.savedAt,
    lostMs,
    newestSeq,
  };
  const written = await database.run("roll-back-room", [
    roomId,
    epoch,
    seq,
    sealWhole(body),
    body.length,
    snapshot.classVersion,
    chosen.seq,
    by,
    JSON.stringify(facts),
  ]);
  if (written.length === 0) {
    refuse("STALE_EPOCH", `room ${roomId} was taken by somebody else meanwhile; nothing was written`, {
      roomId,
      epoch,
    });
  }
  return facts;
}

/** The checkpoints of a room that are stored, the newest first; none when there is no such room. */
export async function readRollbackTimes(
  { database }: RollbackParts,
  roomId: RoomId,
): Promise<RollbackTime[]> {
  interface Row {
    seq: number;
    saved_at: number;
    bytes: number;
    unreadable_reason: string | null;
  }
  const rows = await database.run<Row>("checkpoint-times", [roomId]);
  return rows.map(({ seq, saved_at: savedAt, bytes, unreadable_reason: unreadableReason }) => {
    return { seq, savedAt, bytes, unreadableReason };
  });
}

/** What has become of a room since it was taken back. */
export type Reopening =
  | { readonly state: "waiting" }
  | { readonly state: "open"; readonly nodeId: NodeId }
  /** Its class could not open it from there, so that it opens from what was there before (REC4). */
  | { readonly state: "failed"; readonly why: string }
  | { readonly state: "ended" };

/** Whether a room that was taken back runs again, from what it was taken back to. */
export async function readReopening(
  { database }: RollbackParts,
  { roomId, seq }: RolledBack,
): Promise<Reopening> {
  interface Row {
    node_id: NodeId;
    unreadable_reason: string | null;
    goes_on: boolean;
  }
  const [row] = await database.run<Row>("reopened-room", [roomId, seq]);
  if (row === undefined) return { state: "ended" };
  if (row.unreadable_reason !== null) return { state: "failed", why: row.unreadable_reason };
  return row.goes_on ? { state: "open", nodeId: row.node_id } : { state: "waiting" };
}

/** What was saved, with the numbers going on from where the room has been since. */
export function rolledBack(chosen: Snapshot, later: Snapshot): Snapshot {
  if (chosen.state === undefined || later.state === undefined) return chosen;
  return { ...chosen, state: withFutureOf(chosen.state, later.state) };
}

interface Chosen {
  readonly seq: number;
  readonly savedAt: number;
  readonly snapshot: Snapshot;
}

/** Read before the room is taken: what has been saved does not change any more. */
async function choose(database: Database, roomId: RoomId, to: number): Promise<Chosen> {
  interface Row {
    ended: boolean;
    quarantine_reason: string | null;
    is_ahead: boolean;
    oldest_at: number | null;
    seq: number | null;
    snapshot: Buffer;
    base: Buffer | null;
    saved_at: number;
  }
  if (Number.isNaN(new Date(to).getTime())) refuse("BAD_REQUEST", "that is not a time", { roomId });
  const [row] = await database.run<Row>("checkpoint-at", [roomId, to]);
  if (row === undefined) return refuse("NOT_FOUND", `there is no room ${roomId}`, { roomId });
  if (row.ended) refuse("ROOM_GONE", `room ${roomId} has ended`, { roomId });
  if (row.quarantine_reason !== null) {
    refuse("NOT_ALLOWED", `room ${roomId} is locked away: ${row.quarantine_reason}`, { roomId });
  }
  if (row.is_ahead) refuse("BAD_REQUEST", `${timeOf(to)} is still to come`, { roomId });
  if (row.seq === null) {
    const oldest =
      row.oldest_at === null ? "it was never saved" : `the oldest is of ${timeOf(row.oldest_at)}`;
    refuse("NOT_FOUND", `room ${roomId} has no checkpoint as old as ${timeOf(to)}: ${oldest}`, { roomId });
  }
  const { seq, saved_at: savedAt } = row;
  try {
    return { seq, savedAt, snapshot: decodeSnapshot(row.snapshot, row.base ?? undefined) };
  } catch (error) {
    if (!hasCode(error, "SNAPSHOT_UNREADABLE")) throw error;
    const why = `checkpoint ${seq} of room ${roomId}, of ${timeOf(savedAt)}, cannot be read: ${String(error.facts["why"])}`;
    return refuse("SNAPSHOT_UNREADABLE", why, { roomId, seq }, error);
  }
}

async function take(database: Database, roomId: RoomId): Promise<{ epoch: Epoch; taken_at: number }> {
  const [taken] = await database.run<{ epoch: Epoch; taken_at: number }>("take-room", [roomId, HOLD_MS]);
  return taken ?? refuse("ROOM_GONE", `room ${roomId} has just ended, or was locked away`, { roomId });
}

/**
 * How far the room has come since, by its newest checkpoint that can be read. Read after the room was taken: there will be
 * no newer one. Where none after the chosen one can be read, REF_ID_GAP has to do, as it has to after any failover.
 */
async function readFuture(
  database: Database,
  roomId: RoomId,
  chosen: Chosen,
): Promise<{ newestSeq: number; later: Snapshot | undefined }> {
  interface Row {
    seq: number;
    snapshot: Buffer;
    base: Buffer | null;
  }
  let newestSeq = chosen.seq;
  let before = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const [row] = await database.run<Row>("older-checkpoint", [roomId, before]);
    if (row === undefined || row.seq <= chosen.seq) return { newestSeq, later: undefined };
    newestSeq = Math.max(newestSeq, row.seq);
    before = row.seq;
    try {
      return { newestSeq, later: decodeSnapshot(row.snapshot, row.base ?? undefined) };
    } catch (error) {
      if (!hasCode(error, "SNAPSHOT_UNREADABLE")) throw error; // the one before it, then
    }
  }
}

function refuse(code: ErrorCode, why: string, facts: Record<string, unknown>, cause?: unknown): never {
  throw new RingsideError(code, { ...facts, why }, cause);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
