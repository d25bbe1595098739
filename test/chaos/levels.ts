// What a cluster uses: memory, descriptors, keys, connections and rows. After all that has happened it must be as before.

import { readdirSync } from "node:fs";
import type { Level } from "./history.ts";
import { memoryOf } from "./memory-witness.ts";
import { SETTINGS } from "./settings.ts";
import type { World } from "./world.ts";

export interface Measured {
  /** Of the node that has the most, without garbage. */
  readonly livingMb: number;
  readonly residentMb: number;
  readonly descriptors: number;
  readonly redisKeys: number;
  readonly connections: number;
  readonly rooms: number;
  readonly seats: number;
  readonly nodes: number;
  /** Of the room that has the most, without its history. */
  readonly checkpoints: number;
  /** Transactions that have been open for longer than anybody waits for one. */
  readonly stuck: number;
}

const STUCK_MS = 2 * SETTINGS.commitMs;

/** A node's pools: rooms, commits, lease, the one that listens; and one more that a claim may have open. */
const CONNECTIONS_A_NODE = 8 + 4 + 1 + 1 + 1;

export async function measure(world: World): Promise<Measured> {
  const pids = world.serving.map(({ pid }) => pid);
  const rows = await world.cluster.sql<
    Omit<Measured, "livingMb" | "residentMb" | "descriptors" | "redisKeys">
  >(
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'node-%')::integer AS connections,
            (SELECT count(*) FROM room WHERE disposed_at IS NULL)::integer AS rooms,
            (SELECT count(*) FROM seat s JOIN room r USING (room_id) WHERE r.disposed_at IS NULL)::integer AS seats,
            (SELECT count(*) FROM node WHERE state <> 'down')::integer AS nodes,
            (SELECT coalesce(max(count), 0) FROM (SELECT count(*) FROM checkpoint WHERE NOT kept AND unreadable_reason IS NULL GROUP BY room_id) a)::integer AS checkpoints,
            (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND clock_timestamp() - xact_start > $1 * interval '1 ms')::integer AS stuck`,
    [STUCK_MS],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("there is one row");
  const memories = await Promise.all(world.serving.map(memoryOf));
  return {
    livingMb: Math.max(0, ...memories.map(({ livingMb }) => livingMb)),
    residentMb: Math.max(0, ...memories.map(({ residentMb }) => residentMb)),
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
    // The rooms have grown meanwhile.
    level("livingMb", before.livingMb * 1.5 + 32),
    // What V8 has once had it gives back late; a heap that grows for want of a reason to collect it is no leak.
    level("residentMb", before.residentMb * 2 + 128),
    level("descriptors", before.descriptors + 40),
    level("redisKeys", before.redisKeys + 6),
    level("connections", nodes * CONNECTIONS_A_NODE),
    level("rooms", before.rooms),
    level("seats", players),
    level("nodes", nodes),
    // While a statement saves the next one.
    level("checkpoints", SETTINGS.checkpointGenerations + 1),
    level("stuck", 0),
  ];
}

function descriptorsOf(pid: number): number {
  return orNothing(() => readdirSync(`/proc/${pid}/fd`))?.length ?? 0;
}

/** Another system than Linux, or the process has just ended. */
function orNothing<Found>(look: () => Found): Found | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
