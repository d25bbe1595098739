// The statements of queries/ that are about who owns rooms, as the model runs them. Compared with Postgres in
// test/contract/sim-postgres.test.ts.

import { compare } from "./node-statements.ts";
import { isUp, lockRoom, updateRoom, type Context, type Row, type Statement } from "./statement.ts";
import type { RoomRow } from "./tables.ts";

export const createRoom: Statement = async (context, [roomId, name, options, owner]) => {
  const { now, seen, tx } = context;
  const id = String(roomId);
  const me = seen.nodes.get(String(owner));
  if (me?.state !== "up" || me.lease_until <= now()) return [];
  const wasEnded = isEnded(seen.rooms.get(id));
  await tx.lock("room", id);
  const former = tx.tables.rooms.get(id);
  if (former !== undefined && !isEnded(former)) return [];
  const room: RoomRow = {
    room_id: id,
    name: String(name),
    options: options as string | null, // as the column has it
    owner: me.incarnation,
    owner_node: me.node_id,
    epoch: (former?.epoch ?? 0) + 1,
    players: 0,
    class_version: 0,
    failed_opens: 0,
    retry_at: null,
    disposed_at: null,
    quarantined_at: null,
    quarantine_reason: null,
  };
  tx.putRoom(room);
  if (wasEnded) tx.putCheckpoints(id, []);
  return [{ epoch: room.epoch }];
};

export const claimRooms: Statement = async (context, [roomIds, claimant, names, versions, evenOwn]) => {
  const { now, seen, tx, either } = context;
  const ids = [...new Set(roomIds as string[])].sort(compare);
  const me = seen.nodes.get(String(claimant));
  const mayClaim = (): boolean => isUp(me) && me.lease_until > now();
  // Postgres looks at `me` when the join asks for it: before the rows are locked, and then they are not if there is no
  // claimant; or after that.
  const couldClaim = either() ? mayClaim() : undefined;
  if (couldClaim === false) return [];
  const before: RoomRow[] = [];
  for (const id of ids) {
    const row = await lockRoom(context, id, () => true);
    if (row !== undefined) before.push(row);
  }
  if (me === undefined || !(couldClaim ?? mayClaim())) return [];
  const kinds = new Map((names as string[]).map((name, index) => [name, (versions as number[])[index] ?? 0]));
  const isFree = (row: RoomRow): boolean => {
    if (row.owner !== (seen.rooms.get(row.room_id)?.owner ?? null)) return false;
    if (!isClaimable(row, kinds, now())) return false;
    if (row.owner === null || (evenOwn === true && row.owner === me.incarnation)) return true;
    return !isUp(seen.nodes.get(row.owner));
  };
  const claimed: Row[] = [];
  for (const row of before) {
    const first = seen.rooms.get(row.room_id);
    if (first === undefined || !isFree(first) || !isFree(row)) continue;
    const [owner, epoch] = [me.incarnation, row.epoch + 1];
    const taken = { ...row, owner, owner_node: me.node_id, epoch, retry_at: null };
    tx.putRoom(taken);
    claimed.push({
      room_id: row.room_id,
      name: row.name,
      options: row.options,
      epoch: taken.epoch,
      from_node: row.owner_node,
      from_epoch: row.epoch,
      released: row.owner === null && row.failed_opens === 0,
    });
  }
  return claimed;
};

export const releaseRoom: Statement = async (context, [roomId, epoch, owner]) => {
  const released = await updateRoom(context, String(roomId), isOwned(epoch, owner), () => ({ owner: null }));
  if (released === undefined) return [];
  context.tx.notifications.push("room:released");
  return [{ room_id: released.room_id }];
};

export const takeRoom: Statement = async (context, [roomId, holdMs]) => {
  const taken = await updateRoom(
    context,
    String(roomId),
    (row) => !isEnded(row) && row.quarantined_at === null,
    (row) => ({ owner: null, epoch: row.epoch + 1, retry_at: context.now() + Number(holdMs) }),
  );
  if (taken === undefined) return [];
  context.tx.notifications.push("room:taken");
  return [{ epoch: taken.epoch, taken_at: context.now() }];
};

export const failedOpen: Statement = async (context, [roomId, epoch, owner, attemptsMax, reason]) => {
  const isLast = (row: RoomRow): boolean => row.failed_opens + 1 >= Number(attemptsMax);
  const failed = await updateRoom(context, String(roomId), isOwned(epoch, owner), (row) => ({
    owner: null,
    failed_opens: row.failed_opens + 1,
    retry_at: context.now() + Math.min(5 ** row.failed_opens, 30) * 1_000,
    quarantined_at: isLast(row) ? context.now() : null,
    quarantine_reason: isLast(row) ? String(reason) : null,
  }));
  return failed === undefined ? [] : [{ quarantined: failed.quarantined_at !== null }];
};

export const disposeRoom: Statement = async (context, [roomId, epoch, owner]) => {
  const ended = await updateRoom(context, String(roomId), isOwned(epoch, owner), () => ({
    owner: null,
    players: 0,
    options: null,
    disposed_at: context.now(),
  }));
  if (ended === undefined) return [];
  context.tx.putCheckpoints(ended.room_id, []);
  return [{ room_id: ended.room_id }];
};

export const lockRoomStatement: Statement = async (context, [roomId, epoch, owner]) => {
  const row = await lockRoom(
    context,
    String(roomId),
    (each) => each.epoch === Number(epoch) && each.owner === owner,
  );
  return row === undefined ? [] : [{ room_id: row.room_id }];
};

export const locateRoom: Statement = ({ seen }, [roomId]) => {
  const row = seen.rooms.get(String(roomId));
  if (row === undefined || isEnded(row)) return Promise.resolve([]);
  const { epoch, owner, quarantined_at: quarantinedAt } = row;
  return Promise.resolve([{ epoch, owner, owned: hasOwner(seen, row), quarantined: quarantinedAt !== null }]);
};

export const unownedRooms: Statement = ({ now, seen }, [atMost, names, versions]) => {
  const kinds = new Map((names as string[]).map((name, index) => [name, (versions as number[])[index] ?? 0]));
  const rows = [...seen.rooms.values()]
    .filter((row) => isClaimable(row, kinds, now()) && !hasOwner(seen, row))
    .sort((a, b) => b.players - a.players || compare(a.room_id, b.room_id))
    .slice(0, Number(atMost));
  return Promise.resolve(rows.map((row) => ({ room_id: row.room_id })));
};

export const orphanedRooms: Statement = ({ seen }, [owner, held]) => {
  const rows = [...seen.rooms.values()].filter(
    (row) =>
      row.owner === owner &&
      !isEnded(row) &&
      row.quarantined_at === null &&
      !(held as string[]).includes(row.room_id),
  );
  return Promise.resolve(rows.map((row) => ({ room_id: row.room_id })));
};

export const takenRooms: Statement = ({ seen }, [owner, roomIds, epochs]) => {
  const held = (roomIds as string[]).map((roomId, index) => ({
    room_id: roomId,
    epoch: Number((epochs as number[])[index]),
  }));
  return Promise.resolve(
    held.filter(({ room_id: roomId, epoch }) => {
      const row = seen.rooms.get(roomId);
      return row === undefined || !isOwned(epoch, owner)(row);
    }),
  );
};

function hasOwner(seen: Context["seen"], row: RoomRow): boolean {
  return row.owner !== null && isUp(seen.nodes.get(row.owner));
}

function isClaimable(row: RoomRow, kinds: ReadonlyMap<string, number>, nowMs: number): boolean {
  const version = kinds.get(row.name);
  if (version === undefined || version < row.class_version) return false;
  if (isEnded(row) || row.quarantined_at !== null) return false;
  return row.retry_at === null || row.retry_at < nowMs || row.retry_at > nowMs + 60_000;
}

export function isOwned(epoch: unknown, owner: unknown): (row: RoomRow) => boolean {
  return (row) => row.epoch === Number(epoch) && row.owner === owner && !isEnded(row);
}

export function isEnded(row: RoomRow | undefined): boolean {
  return row !== undefined && row.disposed_at !== null;
}
