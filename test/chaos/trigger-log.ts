// Postgres's own log of a chaos run (trigger-log.sql): installed before anybody plays, read when all is over.

import { readFileSync } from "node:fs";
import type { TestCluster } from "../kit/cluster.ts";
import type { Write } from "./history.ts";

export async function installTriggerLog(cluster: TestCluster): Promise<void> {
  await cluster.sql(readFileSync(new URL("trigger-log.sql", import.meta.url), "utf8"));
}

interface Row {
  id: number;
  at: number;
  writer: string;
  what: Write["what"];
  room_id: string;
  epoch: number;
  room_epoch: number;
  seq: number | null;
  key: string | null;
}

export async function readTriggerLog(cluster: TestCluster): Promise<{ writes: Write[]; refused: number }> {
  const rows = await cluster.sql<Row>(
    `SELECT id::integer, (extract(epoch FROM at) * 1000)::double precision AS at, writer, what, room_id,
            epoch::double precision AS epoch, room_epoch::double precision AS room_epoch, seq::integer, key
       FROM public.chaos_log ORDER BY id`,
  );
  const [refused] = await cluster.sql<{ count: number }>(
    "SELECT count(*)::integer AS count FROM public.chaos_refused",
  );
  const writes = rows.map(({ room_id: roomId, room_epoch: roomEpoch, seq, key, ...rest }): Write => {
    return { ...rest, roomId, roomEpoch, ...(seq === null ? {} : { seq }), ...(key === null ? {} : { key }) };
  });
  return { writes, refused: refused?.count ?? 0 };
}
