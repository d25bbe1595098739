// Marking an incarnation down: the one act that lets others take its rooms. It never returns from it.

import type { EventBus, LossReason } from "../events.ts";
import type { Incarnation, NodeId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";

export interface Judge {
  readonly database: Database;
  readonly events: EventBus;
  /** Who judges; refused by Postgres when it is down itself. */
  readonly incarnation: Incarnation;
}

/**
 * Marks `incarnation` down. With the reason "lapsed" Postgres does so only if the lease has lapsed by its clock; the
 * other reasons are proofs of death, and do not wait for the lease.
 *
 * @param notAfterMs of Postgres's clock, in ms since 1970: a statement that gets there later does nothing
 * @returns whether this call did it; false when it was down already or Postgres did not agree
 */
export async function markDown(
  judge: Judge,
  incarnation: Incarnation,
  reason: LossReason,
  notAfterMs: number | null = null,
): Promise<boolean> {
  const rows = await judge.database.run<{ node_id: NodeId; silent_ms: number; rooms: number }>("mark-down", [
    incarnation,
    reason,
    judge.incarnation,
    reason === "lapsed",
    notAfterMs,
  ]);
  const row = rows[0];
  if (row === undefined) return false;
  judge.events.emit("node:lost", {
    lostNodeId: row.node_id,
    lostIncarnation: incarnation,
    reason,
    silentMs: Math.round(row.silent_ms),
    rooms: row.rooms,
  });
  return true;
}
