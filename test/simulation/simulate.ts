// One run: a cluster, a schedule of faults drawn from a seed, and then, all healed or but a minority, the time to recover.

import type { NodeId, RoomId } from "../../src/ids.ts";
import { Cluster } from "./cluster.ts";
import { Faults } from "./faults.ts";
import type { Breach } from "./invariants.ts";
import { withGlobals } from "./microtasks.ts";
import { NO_SABOTAGE } from "./sabotages.ts";
import type { Sabotage } from "./surroundings.ts";
import { World } from "./world.ts";

export interface Options {
  readonly seed: number;
  readonly sabotage?: Sabotage;
  /** Whether to count every event into the digest. */
  readonly isDigested?: boolean;
}

export interface Outcome {
  readonly seed: number;
  readonly breach: Breach | undefined;
  /** What was done to the cluster, in words. */
  readonly schedule: readonly string[];
  readonly trace: readonly string[];
  readonly digest: number;
  readonly virtualMs: number;
  /** From the healing until every room ran again. */
  readonly recoveredMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** Rooms are made by then, and nodes know each other. */
const FAULTS_FROM_MS = 2_500;
const ROOMS_FROM_MS = 400;
const LOOK_EVERY_MS = 250;
/**
 * From the healing until every room runs: the leases of who is broken, the time to see Postgres answer for a lease, and, where
 * nobody knows whether a silent node goes on by others' promises, FAILSAFE_MS; then some statements with their deadlines.
 */
const RECOVERY_MS_MAX = 24_000;

/** Each run has a macrotask of its own: see microtasks.ts. It is over before anything else of the process happens. */
export function simulate(options: Options): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(simulateNow(options));
      } catch (error) {
        reject(error);
      }
    });
  });
}

function simulateNow({ seed, sabotage = NO_SABOTAGE, isDigested = false }: Options): Outcome {
  const world = new World(seed);
  if (isDigested) world.trace.digestAll();
  const unhandled = (error: unknown): void => world.fail("S13", String((error as Error).stack ?? error));
  process.on("unhandledRejection", unhandled);
  const nextTurn = (work: () => void): void => void world.after(world.current, 0, "message", work);
  try {
    return withGlobals(
      () => world.chance.next(),
      nextTurn,
      () => run(world, seed, sabotage),
    );
  } finally {
    process.off("unhandledRejection", unhandled);
  }
}

function run(world: World, seed: number, sabotage: Sabotage): Outcome {
  const { chance } = world;
  const cluster = new Cluster(world, sabotage);
  const names = Array.from({ length: chance.whole(3, 5) }, (_, index) => `n${index + 1}` as NodeId);
  for (const name of names) cluster.start(name);
  const rooms = chance.whole(4, 7);
  for (let count = 1; count <= rooms; count++) {
    const atMs = ROOMS_FROM_MS + chance.between(0, 600);
    world.after(undefined, atMs, "message", () => cluster.create(`r${count}` as RoomId));
  }
  const faults = new Faults(cluster);
  const healsAtMs = faults.draw(FAULTS_FROM_MS);
  knockNowAndThen(cluster);
  world.runUntil(healsAtMs);
  if (world.breach === undefined) faults.heal();
  let recoveredMs = 0;
  while (world.breach === undefined && !areAllWell(cluster, faults)) {
    recoveredMs = world.nowMs - healsAtMs;
    if (recoveredMs > RECOVERY_MS_MAX) world.fail("L1", describe(cluster));
    world.runUntil(world.nowMs + LOOK_EVERY_MS);
  }
  return {
    seed,
    breach: world.breach,
    schedule: faults.schedule,
    trace: world.trace.last(120),
    digest: world.trace.digest,
    virtualMs: world.nowMs,
    recoveredMs,
    counts: {
      events: world.events,
      faults: faults.schedule.length,
      frames: cluster.referee.frames,
      failsafeFrames: cluster.referee.failsafeFrames,
      commits: cluster.ledger.acknowledged,
      openings: cluster.ledger.openings,
    },
  };
}

/** Players come to any node for any room, as long as the run goes on. */
function knockNowAndThen(cluster: Cluster): void {
  const { world } = cluster;
  world.after(undefined, world.chance.between(200, 1_500), "message", () => {
    const node = world.chance.pick([...cluster.nodes.values()]);
    const roomId = world.chance.pick([...cluster.rooms, "nowhere" as RoomId]);
    world.after(node.process, 0, "message", () => void node.knock(roomId).catch(() => {}));
    knockNowAndThen(cluster);
  });
}

/** Whether every room that exists runs on a node that is not to stay broken, and has just spoken. */
function areAllWell(cluster: Cluster, faults: Faults): boolean {
  return [...cluster.server.tables.rooms.values()].every((row) => {
    const spoke = cluster.referee.spoke.get(row.room_id as RoomId);
    const owner = [...cluster.nodes.values()].find(({ incarnation }) => incarnation === row.owner);
    if (spoke === undefined || owner === undefined || faults.isBrokenForGood(owner)) return false;
    return spoke.epoch === row.epoch && cluster.world.nowMs - spoke.atMs < 1_000;
  });
}

function describe(cluster: Cluster): string {
  const { nowMs } = cluster.world;
  const rooms = [...cluster.server.tables.rooms.values()].map((row) => {
    const spoke = cluster.referee.spoke.get(row.room_id as RoomId);
    const silentMs =
      spoke === undefined ? "never" : `${(nowMs - spoke.atMs).toFixed(0)} ms ago at ${spoke.epoch}`;
    return `${row.room_id}: ${row.owner ?? "nobody"} at ${row.epoch}, spoke ${silentMs}`;
  });
  return `${rooms.join("; ")}; ${[...cluster.nodes.values()].map((node) => `${node.incarnation} ${node.process.state}`).join(", ")}`;
}
