// What a statement of the model is given, and how it changes rows: what UPDATE and SELECT … FOR UPDATE do at READ COMMITTED.

import type { NodeRow, RoomRow, Tables } from "./tables.ts";
import type { Transaction } from "./transaction.ts";

export interface Context {
  readonly tx: Transaction;
  /** What was there when the statement began. */
  readonly seen: Tables;
  /** clock_timestamp(), in ms since 1970. */
  readonly now: () => number;
  /** nextval and last_value of view_version: no transaction takes these back. */
  readonly viewVersion: { value: number; isCalled: boolean };
  /** Where Postgres is free to do one thing or another, such as when it evaluates a part. */
  readonly either: () => boolean;
}

export type Row = Record<string, unknown>;
export type Statement = (context: Context, values: readonly unknown[]) => Promise<Row[]>;

/** The row as it is now, locked, if it was and still is as asked for; undefined otherwise. */
export async function lockRoom(
  { tx, seen }: Context,
  roomId: string,
  where: (row: RoomRow) => boolean,
): Promise<RoomRow | undefined> {
  const before = seen.rooms.get(roomId);
  if (before === undefined || !where(before)) return undefined;
  await tx.lock("room", roomId);
  const row = tx.tables.rooms.get(roomId);
  return row !== undefined && where(row) ? row : undefined;
}

export async function updateRoom(
  context: Context,
  roomId: string,
  where: (row: RoomRow) => boolean,
  set: (row: RoomRow) => Partial<RoomRow>,
): Promise<RoomRow | undefined> {
  const row = await lockRoom(context, roomId, where);
  if (row === undefined) return undefined;
  const changed = { ...row, ...set(row) };
  context.tx.putRoom(changed);
  return changed;
}

export async function updateNode(
  { tx, seen }: Context,
  incarnation: string,
  where: (row: NodeRow) => boolean,
  set: (row: NodeRow) => Partial<NodeRow>,
): Promise<NodeRow | undefined> {
  const before = seen.nodes.get(incarnation);
  if (before === undefined || !where(before)) return undefined;
  await tx.lock("node", incarnation);
  const row = tx.tables.nodes.get(incarnation);
  if (row === undefined || !where(row)) return undefined;
  const changed = { ...row, ...set(row) };
  tx.putNode(changed);
  return changed;
}

export function nextView(context: Context): number {
  const { viewVersion } = context;
  if (viewVersion.isCalled) viewVersion.value += 1;
  viewVersion.isCalled = true;
  return viewVersion.value;
}

export const isUp = (row: NodeRow | undefined): row is NodeRow => row !== undefined && row.state !== "down";
