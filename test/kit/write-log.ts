// Postgres's own record of who wrote what of which room, and at which epoch of that room: what a stale owner got through
// would stand in it.

import { expect } from "vitest";
import type { TestCluster } from "./cluster.ts";

export interface Write {
  readonly id: number;
  /** The connection's name, which begins with the node's. */
  readonly writer: string;
  readonly what: string;
  readonly epoch: number;
}

/** Begins the record. */
export async function logWrites(cluster: TestCluster): Promise<void> {
  await cluster.sql(`
    CREATE TABLE write_log (id serial PRIMARY KEY, writer text, what text, room_id text, epoch bigint);
    CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE changed record := coalesce(NEW, OLD);
    BEGIN
      INSERT INTO write_log (writer, what, room_id, epoch)
      SELECT current_setting('application_name'), TG_TABLE_NAME || ' ' || TG_OP, changed.room_id, r.epoch
        FROM room r WHERE r.room_id = changed.room_id;
      RETURN NULL;
    END $$;`);
  // Each by itself: what locked several tables here would wait for nodes that wait for it.
  for (const table of ["checkpoint", "seat", "room"]) {
    await cluster.sql(
      `CREATE TRIGGER log_${table} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION log_write()`,
    );
  }
}

/**
 * That all which was written of a room at each of its epochs was written by one node, the one that had claimed it then.
 *
 * @returns for each epoch the node that wrote
 */
export async function expectOneWriter(
  cluster: TestCluster,
  roomId: string,
): Promise<ReadonlyMap<number, string>> {
  const writes = await cluster.sql<Write>(
    `SELECT id, writer, what, epoch::integer AS epoch FROM write_log
      WHERE room_id = $1 AND what <> 'checkpoint DELETE' ORDER BY id`, // old ones are pruned by anybody
    [roomId],
  );
  const writers = new Map<number, string>();
  for (const { id, writer, what, epoch } of writes) {
    const nodeId = writer.split(" ")[1] ?? "";
    // The first to write at an epoch is who has claimed it: the claim is a write.
    if (!writers.has(epoch)) writers.set(epoch, nodeId);
    expect(`${what} by ${nodeId}`, `write ${id}, at epoch ${epoch} of ${roomId}`).toBe(
      `${what} by ${writers.get(epoch)}`,
    );
  }
  expect(writers.size, "epochs that were written at").toBeGreaterThan(0);
  return writers;
}
