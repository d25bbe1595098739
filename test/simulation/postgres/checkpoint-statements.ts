// The statements of queries/ that write and read checkpoints, as the model runs them, and the one by which the rooms' author
// adds to a commit. Compared with Postgres in test/contract/sim-postgres.test.ts.

import { compare } from "./node-statements.ts";
import { postgresError } from "./postgres-error.ts";
import { isEnded, isOwned } from "./room-statements.ts";
import { lockRoom, type Context, type Row, type Statement } from "./statement.ts";
import type { CheckpointRow, RoomRow, Tables } from "./tables.ts";

/** What a room's author adds to a commit. */
export const EFFECT = "INSERT INTO effect (room_id, number) VALUES ($1, $2)";

interface Input {
  readonly roomId: string;
  readonly epoch: number;
  readonly row: Omit<CheckpointRow, "saved_at" | "unreadable_reason">;
  readonly players: number;
  readonly classVersion: number;
}

export const saveCheckpoints: Statement = (context, values) => save(context, values, true);

/** Without the rule that makes it safe. */
export const saveWhoeverAsks: Statement = (context, values) => save(context, values, false);

async function save(context: Context, values: readonly unknown[], isFenced: boolean): Promise<Row[]> {
  const { now, seen, tx } = context;
  const [owner, generations] = values.slice(9);
  const owned = new Map<string, RoomRow>();
  const inputs = toInputs(values);
  for (const roomId of inputs.map((input) => input.roomId).sort(compare)) {
    const isOwner = (row: RoomRow): boolean => !isFenced || row.owner === owner;
    const row = await lockRoom(context, roomId, (each) => isOwner(each) && !isEnded(each));
    if (row !== undefined) owned.set(roomId, row);
  }
  const saved: Row[] = [];
  for (const { roomId, epoch, row, players, classVersion } of inputs) {
    const room = owned.get(roomId);
    if (room === undefined || (isFenced && room.epoch !== epoch)) continue;
    const isBaseless =
      row.base_seq !== null && !(seen.checkpoints.get(roomId) ?? []).some(({ seq }) => seq === row.base_seq);
    saved.push({ room_id: roomId, epoch, baseless: isBaseless });
    if (isBaseless) continue;
    const there = tx.tables.checkpoints.get(roomId) ?? [];
    if (there.some(({ seq }) => seq === row.seq)) {
      throw postgresError("23505", `duplicate key: checkpoint ${roomId} ${row.seq}`);
    }
    const older = (seen.checkpoints.get(roomId) ?? []).map(({ seq }) => seq).filter((seq) => seq < row.seq);
    const outdated = new Set(older.slice(0, Math.max(0, older.length - Number(generations) + 1)));
    const isPruned = (old: CheckpointRow): boolean =>
      outdated.has(old.seq) && !old.kept && old.unreadable_reason === null;
    const rows = [
      ...there.filter((old) => !isPruned(old)),
      { ...row, saved_at: now(), unreadable_reason: null },
    ];
    tx.putCheckpoints(
      roomId,
      rows.sort((a, b) => a.seq - b.seq),
    );
    tx.putRoom({
      ...room,
      players,
      class_version: classVersion,
      failed_opens: 0,
      retry_at: retryOf(room, players, classVersion),
    });
  }
  return saved;
}

/** The row is only written when something else in it has changed. */
function retryOf(room: RoomRow, players: number, classVersion: number): number | null {
  const isWritten =
    room.players !== players || room.failed_opens !== 0 || room.class_version !== classVersion;
  return isWritten ? null : room.retry_at;
}

function toInputs(values: readonly unknown[]): Input[] {
  // As CheckpointStore gives them.
  const [roomIds, epochs, seqs, snapshots, baseSeqs, kept, bytes, players, classVersions] =
    values as unknown[][];
  return (roomIds ?? []).map((roomId, index) => ({
    roomId: String(roomId),
    epoch: Number(epochs?.[index]),
    row: {
      seq: Number(seqs?.[index]),
      epoch: Number(epochs?.[index]),
      bytes: Number(bytes?.[index]),
      snapshot: Buffer.from(snapshots?.[index] as Uint8Array),
      base_seq: (baseSeqs?.[index] ?? null) as number | null,
      kept: kept?.[index] === true,
    },
    players: Number(players?.[index]),
    classVersion: Number(classVersions?.[index]),
  }));
}

export const readRooms: Statement = ({ now, seen }, [roomIds]) =>
  Promise.resolve(
    [...new Set(roomIds as string[])]
      .filter((roomId) => seen.rooms.has(roomId))
      .map((roomId) => {
        const newest = seen.checkpoints.get(roomId)?.at(-1);
        const nothing = { seq: null, epoch: null, snapshot: null, base: null, age_ms: null };
        return { room_id: roomId, ...(newest ? toSaved(seen, roomId, newest, now()) : nothing), seats: [] };
      }),
  );

export const olderCheckpoint: Statement = ({ now, seen }, [roomId, before]) => {
  const older = (seen.checkpoints.get(String(roomId)) ?? []).findLast(({ seq }) => seq < Number(before));
  return Promise.resolve(older === undefined ? [] : [toSaved(seen, String(roomId), older, now())]);
};

export const findCheckpoint: Statement = ({ seen }, [roomId, epoch, seq]) => {
  const rows = seen.checkpoints.get(String(roomId)) ?? [];
  const found = rows.filter((row) => row.epoch === Number(epoch) && row.seq === Number(seq));
  return Promise.resolve(found.map((row) => ({ seq: row.seq })));
};

export const keepUnreadable: Statement = async (context, [roomId, epoch, owner, seq, reason]) => {
  const id = String(roomId);
  const room = await lockRoom(context, id, isOwned(epoch, owner));
  const rows = context.tx.tables.checkpoints.get(id) ?? [];
  if (room === undefined || !rows.some((row) => row.seq === Number(seq))) return [];
  context.tx.putCheckpoints(
    id,
    rows.map((row) => (row.seq === Number(seq) ? { ...row, unreadable_reason: String(reason) } : row)),
  );
  return [{ seq: Number(seq) }];
};

export const addEffect: Statement = ({ tx }, [roomId, number]) => {
  tx.addEffect({ room_id: String(roomId), number: Number(number) });
  return Promise.resolve([{}]);
};

function toSaved(seen: Tables, roomId: string, row: CheckpointRow, nowMs: number): Row {
  const base = seen.checkpoints.get(roomId)?.find(({ seq }) => seq === row.base_seq);
  const { seq, epoch, snapshot, saved_at: savedAt } = row;
  return { seq, epoch, snapshot, base: base?.snapshot ?? null, age_ms: nowMs - savedAt };
}
