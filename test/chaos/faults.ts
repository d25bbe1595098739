// What each fault does, how it ends, and what shows that it came to pass.
//
// Each runs from its beginning to its end by itself, beside the others; when the run heals, the signal ends its waiting, and
// it puts right what it has done. Who cannot find anybody to befall, or needs what is not there, says so (Skip).

import { existsSync, readFileSync } from "node:fs";
import pg from "pg";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import type { CommitFault } from "../kit/fault-proxy.ts";
import { Hogs } from "../kit/hogs.ts";
import type { Connection } from "./connection.ts";
import type { FaultName } from "./plan.ts";
import { SETTINGS } from "./settings.ts";
import type { World } from "./world.ts";

export class Skip extends Error {}

export interface FaultContext {
  readonly world: World;
  readonly lengthMs: number;
  readonly draw: number;
  /** Healing begins. */
  readonly healing: AbortSignal;
  /** Who is connected, to be cut off. */
  readonly connections: () => readonly Connection[];
}

/** @returns whom it befell, and what shows it; `bit` is undefined when nothing does */
export type Fault = (context: FaultContext) => Promise<{ target: string; bit: string | undefined }>;

/** A draining node that is not gone by then never will be. */
const DRAINED_MS = 25_000;
const TAKES_OVER_MS = 8_000;
const STAYS_AT_LEAST_MS = 6_000;
const COMMITS_WITHIN_MS = 5_000;
/** A node says something to Postgres more often than that. */
const LINK_HOLD_MIN_MS = 600;

export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  kill: async (context) => {
    const node = pickNode(context);
    await node.kill();
    return { target: node.nodeId, bit: await ended(node) };
  },

  freeze: async (context) => {
    const node = pickNode(context);
    node.freeze();
    const bit = await stateOf(node);
    if (bit === undefined && node.hasExited) throw new Skip("it had ended by itself");
    await lasts(context);
    if (!node.hasExited) node.thaw();
    return { target: node.nodeId, bit: bit === "T" ? "the process is stopped" : undefined };
  },

  drain: async (context) => {
    const { world } = context;
    const node = pickNode(context);
    world.unwant(node.nodeId);
    const code = await Promise.race([node.drain(), systemClock.sleep(DRAINED_MS).then(() => undefined)]);
    if (code === undefined) await node.kill();
    await lasts(context);
    await world.add(node.nodeId);
    return { target: node.nodeId, bit: code === undefined ? undefined : `left with ${code}` };
  },

  add: async (context) => {
    const { world } = context;
    const nodeId = ["node-d", "node-e"].find((name) => !world.wanted.includes(name));
    if (nodeId === undefined) throw new Skip("there are enough nodes");
    await world.add(nodeId);
    const node = world.cluster.node(nodeId);
    await lasts(context, STAYS_AT_LEAST_MS);
    world.unwant(nodeId);
    const last = world.cluster.node(nodeId); // it may have been killed and started again
    await Promise.race([last.drain(), systemClock.sleep(DRAINED_MS)]);
    if (!last.hasExited) await last.kill();
    return { target: nodeId, bit: `${nodeId} served, as process ${node.pid}` };
  },

  "kill-next": async (context) => {
    const { world } = context;
    if (world.able.length < 2) throw new Skip("there is nobody who could take over");
    const first = await pickOwner(context);
    const taken = world.cluster.events.next(
      "room:restored",
      ({ fromNodeId }) => fromNodeId === first.nodeId,
      TAKES_OVER_MS,
    );
    await first.kill();
    const next = await taken.catch(() => undefined);
    if (next === undefined)
      throw new Skip(`nobody took over from ${first.nodeId} within ${TAKES_OVER_MS} ms`);
    const heir = world.cluster.node(next.nodeId);
    await heir.kill();
    const afterMs = systemClock.nowMs() - next.at;
    return {
      target: `${first.nodeId}, ${heir.nodeId}`,
      bit: `${heir.nodeId} was dead ${afterMs} ms after it had opened the first room of ${first.nodeId}`,
    };
  },

  "kill-all": async ({ world }) => {
    const nodes = world.cluster.nodes;
    await Promise.all(nodes.map((node) => node.kill()));
    return { target: "all", bit: `${nodes.length} processes ended` };
  },

  "cut-links": async (context) => {
    const node = pickNode(context);
    const { links } = await context.world.surroundingsOf(node.nodeId);
    const before = links.held;
    links.hold();
    links.knock();
    await lasts(context, LINK_HOLD_MIN_MS);
    links.resume();
    return { target: node.nodeId, bit: count(links.held - before, "messages were held") };
  },

  "reset-links": async (context) => {
    const node = pickNode(context);
    const { links } = await context.world.surroundingsOf(node.nodeId);
    const before = links.cuts;
    links.knock();
    await lasts({ ...context, lengthMs: 50 });
    links.cut();
    return { target: node.nodeId, bit: count(links.cuts - before, "connections were reset") };
  },

  "cut-postgres": async (context) => {
    const node = pickNode(context);
    const { postgres } = await context.world.surroundingsOf(node.nodeId);
    const before = postgres.bites.held;
    postgres.hold();
    await lasts(context, LINK_HOLD_MIN_MS);
    postgres.resume();
    return { target: node.nodeId, bit: count(postgres.bites.held - before, "messages were held") };
  },

  "reset-postgres": async (context) => {
    const node = pickNode(context);
    const { postgres } = await context.world.surroundingsOf(node.nodeId);
    if (postgres.links.size === 0) throw new Skip("it has no connection");
    const before = postgres.bites.cut;
    postgres.cut();
    return { target: node.nodeId, bit: count(postgres.bites.cut - before, "connections were cut") };
  },

  isolate: async (context) => {
    const node = pickNode(context);
    const { links, postgres } = await context.world.surroundingsOf(node.nodeId);
    const before = links.held + postgres.bites.held;
    links.hold();
    postgres.hold();
    links.knock();
    await lasts(context, LINK_HOLD_MIN_MS);
    links.resume();
    postgres.resume();
    return {
      target: node.nodeId,
      bit: count(links.held + postgres.bites.held - before, "messages were held"),
    };
  },

  "redis-restart": (context) =>
    exclusively("redis", async () => {
      const { redis } = context.world;
      await redis.kill();
      const bit = await refuses(() => redis.ask("PING"), "it refuses");
      await lasts(context);
      await redis.restart();
      return { target: "redis", bit };
    }),

  "redis-hang": (context) =>
    exclusively("redis", async () => {
      const { redis } = context.world;
      if (redis.hang === undefined || redis.wake === undefined)
        throw new Skip("there is no redis-server here");
      redis.hang();
      const bit = await refuses(() => redis.ask("PING"), "it does not answer");
      await lasts(context);
      redis.wake();
      return { target: "redis", bit };
    }),

  "redis-empty": ({ world: { redis } }) =>
    exclusively("redis", async () => {
      const before = Number(await redis.ask("DBSIZE"));
      if (before === 0) throw new Skip("it is empty");
      await redis.ask("FLUSHALL");
      return { target: "redis", bit: count(before, "keys were deleted") };
    }),

  "postgres-restart": (context) =>
    exclusively("postgres", async () => {
      const { postgres } = context.world;
      await postgres.crash();
      const bit = await refuses(() => roundTripMs(postgres.url, 500), "it refuses");
      await lasts(context);
      await postgres.restart();
      return { target: "postgres", bit };
    }),

  "postgres-hang": (context) =>
    exclusively("postgres", async () => {
      const { postgres } = context.world;
      await postgres.hang();
      const bit = await refuses(() => roundTripMs(postgres.url, 200), "it does not answer");
      await lasts(context);
      await postgres.wake();
      return { target: "postgres", bit };
    }),

  "postgres-slow": (context) =>
    exclusively("slow", async () => {
      const { world, draw } = context;
      const delayMs = Math.round(20 + draw * SETTINGS.storeMs * 0.7);
      const all = await world.everySurroundings();
      for (const { postgres } of all) postgres.delayMs = delayMs;
      const [one] = all;
      if (one === undefined) throw new Skip("there is no node");
      const tookMs = await roundTripMs(one.postgres.through(world.postgres.url), 20_000).catch(
        () => Infinity,
      );
      await lasts(context);
      for (const { postgres } of all) postgres.delayMs = 0;
      return { target: "postgres", bit: tookMs >= delayMs ? `${delayMs} ms later` : undefined };
    }),

  "drop-reply": (context) => exclusively("commits", () => failCommits(context, "drop-reply")),
  "cut-before-commit": (context) => exclusively("commits", () => failCommits(context, "cut-before")),

  /** A process that gets a quarter of the time it needs, in pieces. */
  starve: async (context) => {
    const node = pickNode(context);
    const endsMs = systemClock.monotonicMs() + Math.max(context.lengthMs, 1_000);
    let stops = 0;
    while (systemClock.monotonicMs() < endsMs && !node.hasExited && !context.healing.aborted) {
      node.process.kill("SIGSTOP");
      stops += 1;
      await systemClock.sleep(90);
      node.process.kill("SIGCONT");
      await systemClock.sleep(30);
    }
    return { target: node.nodeId, bit: count(stops, "times stopped") };
  },

  hogs: (context) =>
    exclusively("hogs", async () => {
      await using hogs = await Hogs.start();
      await lasts(context);
      const shares = await hogs.stop();
      const cores = shares.reduce((sum, share) => sum + share, 0);
      return { target: "all", bit: cores > 0.2 ? `${cores.toFixed(1)} cores taken` : undefined };
    }),

  storm: async (context) => {
    const { connections, healing } = context;
    if (!connections().some(({ isOpen }) => isOpen)) throw new Skip("nobody is connected");
    const before = connections().reduce((sum, { drops }) => sum + drops, 0);
    for (let wave = 0; wave < 3 && !healing.aborted; wave++) {
      for (const connection of connections()) connection.cut();
      await systemClock.sleep(150 + context.draw * 500);
    }
    const drops = connections().reduce((sum, each) => sum + each.drops, 0) - before;
    return { target: "players", bit: count(drops, "connections were cut") };
  },
};

async function failCommits(
  { world, draw, healing }: FaultContext,
  fault: CommitFault,
): Promise<{ target: string; bit: string | undefined }> {
  const proxies = (await world.everySurroundings()).map(({ postgres }) => postgres);
  const bites = (): number => proxies.reduce((sum, proxy) => sum + proxy.bites[fault], 0);
  const commits = (): number => proxies.reduce((sum, proxy) => sum + proxy.commits, 0);
  const before = { bites: bites(), commits: commits() };
  const times = 1 + Math.floor(draw * 3);
  for (const proxy of proxies) proxy.failCommits(fault, times);
  const endsMs = systemClock.monotonicMs() + COMMITS_WITHIN_MS;
  while (bites() === before.bites && systemClock.monotonicMs() < endsMs && !healing.aborted)
    await systemClock.sleep(50);
  for (const proxy of proxies) proxy.spareCommits();
  if (commits() === before.commits) throw new Skip("no COMMIT came by");
  return { target: "postgres", bit: count(bites() - before.bites, "COMMITs") };
}

const inUse = new Set<string>();

/** Two of these at a time would undo each other. */
async function exclusively<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  if (inUse.has(what)) throw new Skip(`${what} has a fault already`);
  inUse.add(what);
  try {
    return await work();
  } finally {
    inUse.delete(what);
  }
}

function pickNode({ world, draw }: FaultContext): TestNode {
  const node = pick(world.able, draw);
  if (node === undefined) throw new Skip("no node is able");
  return node;
}

async function pickOwner(context: FaultContext): Promise<TestNode> {
  const { world, draw } = context;
  const rows = await world.cluster
    .sql<{ owner_node: string }>(
      "SELECT DISTINCT owner_node FROM room WHERE owner IS NOT NULL AND disposed_at IS NULL",
    )
    .catch((): { owner_node: string }[] => []); // Postgres has a fault of its own
  const owners = world.able.filter(({ nodeId }) => rows.some((row) => row.owner_node === nodeId));
  const node = pick(owners, draw);
  if (node === undefined) throw new Skip("no able node owns a room");
  return node;
}

function pick<Item>(items: readonly Item[], draw: number): Item | undefined {
  return items[Math.min(items.length - 1, Math.floor(draw * items.length))];
}

async function lasts({ lengthMs, healing }: FaultContext, atLeastMs = 0): Promise<void> {
  await systemClock.sleep(Math.max(lengthMs, atLeastMs), healing).catch(() => {}); // healing ends it sooner
}

async function ended(node: TestNode): Promise<string> {
  const how = await node.exited;
  if (how !== "SIGKILL") throw new Skip(`it had ended by itself, with ${how}`);
  return "ended by SIGKILL";
}

/** "T" when it is stopped. SIGSTOP takes effect at once, but for a process in the middle of a system call. */
async function stateOf(node: TestNode): Promise<string | undefined> {
  const path = `/proc/${node.pid}/stat`;
  if (!existsSync("/proc/self/stat")) return "T"; // another system than Linux: believed
  for (let looks = 0; looks < 50 && existsSync(path); looks++) {
    const state = /\) (\S)/.exec(readFileSync(path, "utf8"))?.[1];
    if (state === "T") return state;
    await systemClock.sleep(5);
  }
  return undefined;
}

async function refuses(ask: () => Promise<unknown>, how: string): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch {
    return how;
  }
}

async function roundTripMs(url: string, timeoutMs: number): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  const sql = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  sql.on("error", () => {}); // told by the query
  try {
    await sql.connect();
    await sql.query("SELECT 1");
    return systemClock.monotonicMs() - startedMs;
  } finally {
    void sql.end().catch(() => {}); // a server that hangs would not let it end
  }
}

function count(number: number, what: string): string | undefined {
  return number > 0 ? `${number} ${what}` : undefined;
}
