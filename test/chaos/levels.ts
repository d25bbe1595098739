// What a cluster uses: memory, descriptors, keys, connections and rows. After all that has happened it must be as before.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Level } from "./history.ts";
import type { World } from "./world.ts";

export interface Measured {
  readonly memoryMb: number;
  readonly descriptors: number;
  readonly redisKeys: number;
  readonly connections: number;
  readonly rooms: number;
  readonly seats: number;
  readonly nodes: number;
}

/** A node's pools: rooms, commits, lease, the one that listens; and one more that a claim may have open. */
const CONNECTIONS_A_NODE = 8 + 4 + 1 + 1 + 1;

export async function measure(world: World): Promise<Measured> {
  const pids = world.serving.map(({ pid }) => pid);
  const rows = await world.cluster.sql<Record<"connections" | "rooms" | "seats" | "nodes", number>>(
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'node-%')::integer AS connections,
            (SELECT count(*) FROM room WHERE disposed_at IS NULL)::integer AS rooms,
            (SELECT count(*) FROM seat s JOIN room r USING (room_id) WHERE r.disposed_at IS NULL)::integer AS seats,
            (SELECT count(*) FROM node WHERE state <> 'down')::integer AS nodes`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("there is one row");
  return {
    memoryMb: Math.max(0, ...pids.map(memoryMbOf)),
    descriptors: Math.max(0, ...pids.map(descriptorsOf)),
    redisKeys: Number(await world.redis.ask("DBSIZE")),
    ...row,
  };
}

/** @param now how many nodes and players there are */
export function compare(
  before: Measured,
  after: Measured,
  { nodes, players }: { readonly nodes: number; readonly players: number },
): Level[] {
  const level = (name: keyof Measured, atMost: number): Level => ({
    name,
    before: Math.round(before[name]),
    after: Math.round(after[name]),
    atMost: Math.round(atMost),
  });
  return [
    // The rooms have grown meanwhile, and what V8 has once had it gives back late.
    level("memoryMb", before.memoryMb * 1.5 + 64),
    level("descriptors", before.descriptors + 40),
    level("redisKeys", before.redisKeys + 6),
    level("connections", nodes * CONNECTIONS_A_NODE),
    level("rooms", before.rooms),
    level("seats", players),
    level("nodes", nodes),
  ];
}

function memoryMbOf(pid: number): number {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) return 0; // another system than Linux
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(path, "utf8"))?.[1] ?? 0) / 1_024;
}

function descriptorsOf(pid: number): number {
  const path = `/proc/${pid}/fd`;
  return existsSync(path) ? readdirSync(path).length : 0;
}
