// Faults of nodes: their processes are killed, stopped, starved, sent away and joined by others.

import { existsSync, readFileSync } from "node:fs";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import { Hogs } from "../kit/hogs.ts";
import {
  count,
  exclusively,
  isInUse,
  lasts,
  pick,
  pickNode,
  processOf,
  Skip,
  untilItShows,
  wasInUse,
  type FaultContext,
  type Faults,
} from "./fault.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

/** A draining node that is not gone by then never will be. */
const DRAINED_MS = 25_000 * PACE;
const TAKES_OVER_MS = 8_000 * PACE;
const STAYS_AT_LEAST_MS = 6_000;
const STARVES_AT_LEAST_MS = 1_000;
/** On a machine that is busy already there is little left to take, and it is starved without. */
const CORES_TAKEN_MIN = 0.05;
const STARVED = { stoppedMs: 90, runsMs: 30 };
/** What frozen and fenced nodes end with. */
const FENCED = 75;
/** What a node ends with that could not leave in order, or in time. */
const LEFT_IN_DISORDER = 70;
const NOT_IN_TIME = "could not leave in time";

export const NODE_FAULTS: Faults<
  "kill" | "freeze" | "drain" | "add" | "kill-next" | "kill-all" | "starve" | "hogs"
> = {
  /** Whoever serves, frozen or leaving as well. */
  kill: async (context) => {
    const node = pickNode(context, context.world.serving);
    await node.kill();
    const how = await node.exited;
    if (how !== "SIGKILL") throw new Skip(`it had ended by itself, with ${how}`);
    const while_ = node.isFrozen ? ", frozen" : node.isDraining ? ", leaving" : "";
    return { target: node.nodeId, bit: `ended by SIGKILL${while_}` };
  },

  freeze: async (context) => {
    const node = pickNode(context, steady(context.world));
    return exclusively(processOf(node), async () => {
      node.freeze();
      try {
        // It takes effect at once, but for a process in the middle of a system call.
        const isAtFirst = await untilItShows(
          () => isStopped(node) || hasEnded(node),
          () => undefined,
          context.patienceMs,
        );
        if (hasEnded(node)) throw new Skip("it had ended by itself");
        await lasts(context);
        // One that is being killed is neither stopped nor gone for a moment.
        const isStill = isStopped(node) || (await endsSoon(node, context.patienceMs));
        return {
          target: node.nodeId,
          bit: isAtFirst && isStill ? "the process was stopped all the time" : undefined,
        };
      } finally {
        if (!node.hasExited) node.thaw();
      }
    });
  },

  drain: async (context) => {
    const { world } = context;
    const node = pickNode(context);
    const sinceMs = systemClock.monotonicMs();
    world.unwant(node.nodeId);
    const code = await Promise.race([node.drain(), systemClock.sleep(DRAINED_MS).then(() => undefined)]);
    if (code === undefined) await node.kill();
    await lasts(context);
    await world.add(node.nodeId);
    const how = code === undefined ? `it had not left after ${DRAINED_MS} ms` : `left with ${code}`;
    const isGood = code === 0 || code === FENCED || code === "SIGKILL"; // others may have killed it meanwhile
    if (isGood || (code === LEFT_IN_DISORDER && (await mayHaveTo(context, node, sinceMs))))
      return { target: node.nodeId, bit: how };
    return { target: node.nodeId, bit: undefined, instead: how };
  },

  add: async (context) => {
    const { world } = context;
    // One that is still leaving would be taken for the new one.
    const taken = [...world.wanted, ...world.cluster.nodes.map((node) => node.nodeId)];
    const nodeId = ["node-d", "node-e"].find((name) => !taken.includes(name));
    if (nodeId === undefined) throw new Skip("there are enough nodes");
    await world.add(nodeId);
    const node = world.serving.find((serving) => serving.nodeId === nodeId);
    if (node === undefined) throw new Skip("it was killed as soon as it served");
    await lasts({ ...context, lengthMs: Math.max(context.lengthMs, STAYS_AT_LEAST_MS) });
    world.unwant(nodeId);
    const last = world.cluster.node(nodeId); // it may have been killed and started again
    await Promise.race([last.drain(), systemClock.sleep(DRAINED_MS)]);
    if (!last.hasExited) await last.kill();
    return { target: nodeId, bit: `${nodeId} served, as process ${node.pid}` };
  },

  /** The next owner dies as soon as Postgres has given it the first room, or when it has opened that. */
  "kill-next": async (context) => {
    const { world, random } = context;
    if (world.able.length < 2) throw new Skip("there is nobody who could take over");
    const first = await pickOwner(context);
    const claims = random() < 0.5 ? await lastClaim(world) : undefined;
    const opened = world.cluster.events.next(
      "room:restored",
      ({ fromNodeId }) => fromNodeId === first.nodeId,
      TAKES_OVER_MS,
    );
    await first.kill();
    const claimed =
      claims === undefined ? new Promise<never>(() => {}) : claimAfter(world, claims, first.nodeId);
    const next = await Promise.race([
      opened.then(
        ({ nodeId, at }) => ({ nodeId, at, what: "opened" }),
        () => undefined,
      ),
      claimed,
    ]);
    if (next === undefined)
      throw new Skip(`nobody took over from ${first.nodeId} within ${TAKES_OVER_MS} ms`);
    const heir = world.cluster.node(next.nodeId);
    await heir.kill();
    const afterMs = Math.round(systemClock.nowMs() - next.at);
    return {
      target: `${first.nodeId}, ${heir.nodeId}`,
      bit: `${heir.nodeId} was dead ${afterMs} ms after it had ${next.what} the first room of ${first.nodeId}`,
    };
  },

  "kill-all": async ({ world }) => {
    const nodes = world.cluster.nodes;
    if (nodes.length === 0) throw new Skip("none runs at this moment");
    await Promise.all(nodes.map((node) => node.kill()));
    return {
      target: "all",
      bit: count(nodes.filter(({ hasExited }) => hasExited).length, "processes ended"),
    };
  },

  /** A process that gets a quarter of the time it needs, in pieces. */
  starve: async (context) => {
    const node = pickNode(context, steady(context.world));
    return exclusively(processOf(node), async () => {
      const endsMs = systemClock.monotonicMs() + Math.max(context.lengthMs, STARVES_AT_LEAST_MS);
      let stops = 0;
      const lastMs = endsMs + context.patienceMs;
      const isOver = (): boolean =>
        (systemClock.monotonicMs() >= endsMs || context.healing.aborted) &&
        (stops > 0 || systemClock.monotonicMs() >= lastMs);
      while (!node.hasExited && !isOver()) {
        node.process.kill("SIGSTOP");
        await systemClock.sleep(STARVED.stoppedMs);
        if (isStopped(node)) stops += 1;
        node.process.kill("SIGCONT");
        await systemClock.sleep(STARVED.runsMs);
      }
      if (stops === 0 && (await endsSoon(node, context.patienceMs))) throw new Skip("it had ended by itself");
      return { target: node.nodeId, bit: count(stops, "times stopped") };
    });
  },

  hogs: (context) =>
    exclusively("hogs", async () => {
      await using hogs = await Hogs.start();
      await lasts(context);
      const shares = await hogs.stop();
      const cores = shares.reduce((sum, share) => sum + share, 0);
      return { target: "all", bit: cores > CORES_TAKEN_MIN ? `${cores.toFixed(1)} cores taken` : undefined };
    }),
};

/** Whether a node that was told to leave had a reason not to do so in order: its time was over, or Postgres was away. */
async function mayHaveTo({ world }: FaultContext, node: TestNode, sinceMs: number): Promise<boolean> {
  const { postgresHolds, postgresHeldMs } = await world.surroundingsOf(node.nodeId);
  const wasKept = postgresHolds > 0 || postgresHeldMs >= sinceMs;
  return wasKept || wasInUse("postgres", sinceMs) || node.output.some((line) => line.includes(NOT_IN_TIME));
}

/** Those whose process nobody stops and lets go on already: SIGCONT of one fault would end the other. */
function steady({ able }: World): TestNode[] {
  return able.filter((node) => !isInUse(processOf(node)));
}

async function pickOwner(context: FaultContext): Promise<TestNode> {
  const { world, random } = context;
  const rows = await world.cluster
    .sql<{ owner_node: string }>(
      "SELECT DISTINCT owner_node FROM room WHERE owner IS NOT NULL AND disposed_at IS NULL",
    )
    .catch((): { owner_node: string }[] => []); // Postgres has a fault of its own
  const owners = world.able.filter(({ nodeId }) => rows.some((row) => row.owner_node === nodeId));
  const node = pick(owners, random());
  if (node === undefined) throw new Skip("no able node owns a room");
  return node;
}

/** The number of the newest line of Postgres's log; undefined when it cannot be asked. */
async function lastClaim({ cluster }: World): Promise<number | undefined> {
  const rows = await cluster
    .sql<{ last: number }>("SELECT coalesce(max(id), 0)::integer AS last FROM public.chaos_log")
    .catch((): { last: number }[] => []);
  return rows[0]?.last;
}

/** Who is the first to claim a room after `since`, as soon as that is committed. */
async function claimAfter(
  { cluster, able }: World,
  since: number,
  not: string,
): Promise<{ nodeId: string; at: number; what: string } | undefined> {
  const endsMs = systemClock.monotonicMs() + TAKES_OVER_MS;
  while (systemClock.monotonicMs() < endsMs) {
    const rows = await cluster
      .sql<{ writer: string; at: number }>(
        `SELECT writer, (extract(epoch FROM at) * 1000)::double precision AS at FROM public.chaos_log
          WHERE id > $1 AND what = 'claim' AND room_epoch > 1 ORDER BY id LIMIT 1`,
        [since],
      )
      .catch((): { writer: string; at: number }[] => []);
    const nodeId = rows[0]?.writer.split(" ")[0];
    const isAble = able.some((node) => node.nodeId === nodeId);
    if (rows[0] !== undefined && nodeId !== undefined && nodeId !== not && isAble)
      return { nodeId, at: rows[0].at, what: "claimed" };
    await systemClock.sleep(5);
  }
  return undefined;
}

/** Whether it is gone, or is about to be. */
function endsSoon(node: TestNode, patienceMs: number): Promise<boolean> {
  return untilItShows(
    () => hasEnded(node),
    () => undefined,
    patienceMs,
  );
}

function isStopped(node: TestNode): boolean {
  return stateOf(node) === "T";
}

/** Killed by another fault: the process is gone, or nobody has collected what is left of it yet. */
function hasEnded(node: TestNode): boolean {
  return node.hasExited || ["Z", "X", undefined].includes(stateOf(node));
}

/** As in proc(5); undefined when there is no such process. */
function stateOf({ pid, isFrozen, hasExited }: TestNode): string | undefined {
  if (!existsSync("/proc/self/stat")) return hasExited ? undefined : isFrozen ? "T" : "S"; // not Linux: believed
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
  } catch {
    return undefined; // it ended between two looks
  }
}
