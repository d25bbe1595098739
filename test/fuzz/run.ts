// A run of the fuzzer: a cluster of real nodes, bystanders who play, an attacker who keeps to no rule, and the books
// before and after.

import { Worker } from "node:worker_threads";
import { Client } from "@colyseus/sdk";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import type { StoreUrls } from "../kit/stores.ts";
import { until } from "../kit/until.ts";
import type { Orders, Progress } from "./attacker.ts";
import { describeBout, type Field, type Kind, type Target, type TargetRoom } from "./bouts.ts";
import { Bystander, gapsOf, type Gaps } from "./bystanders.ts";
import type { Inside } from "./game.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly wanted: Readonly<Record<Kind, number>>;
  readonly stores?: StoreUrls;
  readonly say: (line: string) => void;
  /** These bouts and no others. */
  readonly only?: readonly (readonly [Kind, number])[] | undefined;
}

export interface FuzzReport {
  readonly sent: Readonly<Record<Kind, number>>;
  readonly seconds: number;
  /** How the attacked WebSockets ended: the close code, or a word. */
  readonly ends: Readonly<Record<string, number>>;
  /** What is wrong; empty when nothing is. */
  readonly wrong: readonly string[];
  readonly gaps: { readonly before: Gaps; readonly during: Gaps };
  readonly inside: Readonly<Record<string, { readonly before: Inside; readonly after: Inside }>>;
  /** What nodes printed beside events: the beginning of each line, and how often. */
  readonly printed: readonly (readonly [text: string, times: number])[];
  /** The newest bouts, when a node has ended. */
  readonly suspects: readonly string[];
}

const BEFORE_MS = 5_000;
/** This much comes before the first look at the books, so that what is made once is made by then. */
const WARM_SHARE = 0.1;
const AT_ONCE: Readonly<Record<Kind, number>> = { http: 14, frames: 8, ipc: 1 };
const SETTLE_MS = 30_000;
/** What the books may differ by: pools, code that was compiled meanwhile, a connection to Postgres more. */
const HEAP_BYTES_MORE = 30 * 1024 * 1024;
const DESCRIPTORS_MORE = 12;
const ENV = {
  LOG_LEVEL: "info",
  SEAT_HOLD_MS: "1000",
  JOIN_ACK_MS: "1000",
  MESSAGES_PER_SECOND_MAX: "5000",
  CONNECTIONS_PER_ADDRESS_MAX: "0",
  ROOMS_IN_ALL: "20",
};

export async function fuzz({ seed, wanted, stores, say, only }: FuzzOptions): Promise<FuzzReport> {
  await using cluster = await startCluster({
    nodes: 2,
    game: "fuzz/game.ts",
    env: ENV,
    ...(stores && { stores }),
  });
  const nodes = [...cluster.nodes];
  const bystanders = await seatBystanders(cluster);
  const rooms: TargetRoom[] = bystanders.map(({ room }) => ({
    roomId: room.roomId,
    takesInputs: room.name === "inputs",
  }));
  const field: Field = {
    seed,
    targets: await targetsOf(cluster, rooms),
    rooms: distinct(rooms.filter((_, at) => bystanders[at]?.room.name !== "arena")),
  };
  say(
    `seed ${seed}: ${bystanders.length} bystanders in ${field.rooms.length} rooms on ${nodes.length} nodes`,
  );

  const share = only === undefined ? WARM_SHARE : 0;
  const warmUp = scaled(wanted, share);
  const warm = await attack({ field, wanted: warmUp, from: 0, atOnce: AT_ONCE }, cluster, say);
  const leftBefore = await left(cluster, bystanders.length, field, warm.seats);
  const before = await look(cluster);
  bystanders.forEach((each) => each.takeGaps());
  await systemClock.sleep(BEFORE_MS);
  const gapsBefore = gapsOf(bystanders.flatMap((each) => each.takeGaps()));

  const fromMs = systemClock.monotonicMs();
  const rest = scaled(wanted, 1 - share);
  const fight = await attack({ field, wanted: rest, from: warm.next, atOnce: AT_ONCE, only }, cluster, say);
  const seconds = Math.round((systemClock.monotonicMs() - fromMs) / 1_000);
  const gapsDuring = gapsOf(bystanders.flatMap((each) => each.takeGaps()));

  const wrong: string[] = [...leftBefore];
  for (const node of nodes) {
    if (node.hasExited) wrong.push(`${node.nodeId} ended with ${String(await node.exited)}`);
  }
  const suspects =
    wrong.length === 0
      ? []
      : fight.recent.flatMap(([kind, index]) => [`${kind}:${index}`, ...describeBout(field, kind, index)]);
  const seats = new Map([...warm.seats, ...fight.seats]);
  if (wrong.length === 0) wrong.push(...(await left(cluster, bystanders.length, field, seats)));
  const after = wrong.length === 0 ? await look(cluster) : {};
  for (const [nodeId, now] of Object.entries(after)) {
    const then = before[nodeId] as Inside;
    if (now.heapBytes > then.heapBytes + HEAP_BYTES_MORE)
      wrong.push(`${nodeId} keeps ${mega(now.heapBytes - then.heapBytes)} MB`);
    if (now.descriptors > then.descriptors + DESCRIPTORS_MORE)
      wrong.push(`${nodeId} keeps ${now.descriptors - then.descriptors} descriptors`);
  }
  for (const { troubles, where } of bystanders)
    for (const trouble of troubles) wrong.push(`${where}: ${trouble}`);
  const uncaught = cluster.everyOutput.filter((line) => /uncaught exception|unhandled rejection/u.test(line));
  wrong.push(...uncaught.map((line) => line.slice(0, 1_000)));
  if (wrong.length === 0)
    await joinsWork(cluster).catch((error: unknown) =>
      wrong.push(`joins do not work after it: ${String(error)}`),
    );
  const report: FuzzReport = {
    sent: sum(warm.sent, fight.sent),
    seconds,
    ends: sum(warm.ends, fight.ends),
    wrong,
    gaps: { before: gapsBefore, during: gapsDuring },
    inside: Object.fromEntries(
      Object.entries(after).map(([nodeId, now]) => [
        nodeId,
        { before: before[nodeId] as Inside, after: now },
      ]),
    ),
    printed: grouped(cluster.everyOutput),
    suspects,
  };
  for (const { room } of bystanders) await room.leave().catch(() => {});
  return report;
}

/** Two to a room, one at each gateway. The arena is not attacked itself: it keeps seats for a minute, and the books wait. */
async function seatBystanders(cluster: TestCluster): Promise<Bystander[]> {
  const bystanders: Bystander[] = [];
  for (const name of ["arena", "target", "target", "inputs"]) {
    const [first, second] = cluster.nodes.map((node) => new Client(`ws://127.0.0.1:${node.publicPort}`));
    if (first === undefined || second === undefined) throw new Error("there are no two nodes");
    const one = new Bystander(await first.create(name, { name: "by" }), `${name}, first node`);
    bystanders.push(one, await Bystander.join(second, one.room.roomId, `${name}, second node`));
  }
  return bystanders;
}

async function targetsOf(cluster: TestCluster, rooms: readonly TargetRoom[]): Promise<Target[]> {
  const key = cluster.settings["CLUSTER_KEY"] ?? "";
  const processId = (await cluster.listing(rooms[0]?.roomId ?? ""))?.processId ?? "";
  return cluster.nodes.map(({ publicPort, internalPort, incarnation }) => ({
    publicPort,
    internalPort,
    incarnation,
    key,
    processId,
    rooms: rooms.map(({ roomId }) => roomId),
  }));
}

/** Ends at once when a node does. */
function attack(orders: Orders, cluster: TestCluster, say: (line: string) => void): Promise<Progress> {
  const worker = new Worker(new URL("./attacker.ts", import.meta.url), { workerData: orders });
  let newest: Progress | undefined;
  let saidAtMs = systemClock.monotonicMs();
  return new Promise((resolve, reject) => {
    const stop = (): void => worker.postMessage("stop");
    for (const { exited } of cluster.nodes) void exited.then(stop);
    worker.on("message", (progress: Progress) => {
      newest = progress;
      const nowMs = systemClock.monotonicMs();
      if (nowMs - saidAtMs > 10_000) {
        saidAtMs = nowMs;
        const { http, frames, ipc } = progress.sent;
        say(`${http} requests, ${frames} frames, ${ipc} requests between nodes`);
      }
    });
    worker.once("error", reject);
    worker.once("exit", () => {
      if (newest === undefined) reject(new Error("the attacker said nothing"));
      else resolve(newest);
    });
  });
}

/** Whose seats are left that should not be: those of bouts that are over. */
async function left(
  cluster: TestCluster,
  players: number,
  field: Field,
  seats: ReadonlyMap<string, number>,
): Promise<string[]> {
  try {
    await settled(cluster, players);
    return [];
  } catch (error) {
    const wrong = [String(error)];
    const rows = await cluster.sql<{ session_id: string }>("SELECT session_id FROM seat");
    for (const { session_id: sessionId } of rows) {
      const index = seats.get(sessionId);
      if (index === undefined) continue;
      wrong.push(
        `the seat ${sessionId} is left, of frames:${index}`,
        ...describeBout(field, "frames", index),
      );
    }
    return wrong;
  }
}

/** Waits until nobody is left in the rooms but the bystanders. */
async function settled(cluster: TestCluster, players: number): Promise<void> {
  const seen = async (): Promise<number[]> => {
    const { rooms } = await cluster.report();
    return [
      rooms.reduce((all, room) => all + room.players, 0),
      rooms.reduce((all, room) => all + room.seats, 0),
    ];
  };
  let last: number[] = [];
  await until(
    `only the ${players} bystanders are left`,
    async () => {
      last = await seen();
      return last[0] === players && last[1] === players;
    },
    { ms: SETTLE_MS, seen: () => last },
  );
}

async function look(cluster: TestCluster): Promise<Record<string, Inside>> {
  const all: Record<string, Inside> = {};
  for (const { nodeId, publicPort } of cluster.nodes) {
    const ask = async (): Promise<Inside> =>
      (await (await fetch(`http://127.0.0.1:${publicPort}/fuzz/inside`)).json()) as Inside;
    await ask(); // what is weak goes with the first collection, what it held with the second
    all[nodeId] = await ask();
  }
  return all;
}

async function joinsWork(cluster: TestCluster): Promise<void> {
  for (const { publicPort } of cluster.nodes) {
    const client = new Client(`ws://127.0.0.1:${publicPort}`);
    // On a quick machine the attack makes as many rooms as all players together may in 10 s (ROOMS_IN_ALL): that is refused
    // for so long, as it should be.
    const room = await until("a room of their own", () => client.create("target"), { ms: 20_000 });
    await room.leave();
  }
}

function distinct(rooms: readonly TargetRoom[]): TargetRoom[] {
  return [...new Map(rooms.map((room) => [room.roomId, room])).values()];
}

function scaled(wanted: FuzzOptions["wanted"], share: number): Record<Kind, number> {
  const { http, frames, ipc } = wanted;
  return { http: Math.ceil(http * share), frames: Math.ceil(frames * share), ipc: Math.ceil(ipc * share) };
}

function sum<Name extends string>(
  one: Readonly<Record<Name, number>>,
  other: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const all: Record<string, number> = { ...one };
  for (const [name, times] of Object.entries<number>(other)) all[name] = (all[name] ?? 0) + times;
  return all;
}

/** Lines that differ in numbers, ids and strings only are one. */
function grouped(lines: readonly string[]): [string, number][] {
  const times = new Map<string, number>();
  for (const line of lines) {
    const message = /"(?:error|detail)":"(.{0,120})/u.exec(line)?.[1] ?? line.slice(0, 120);
    const text = message.replaceAll(/[0-9]+/gu, "N").replaceAll(/'[^']*'/gu, "…");
    times.set(text, (times.get(text) ?? 0) + 1);
  }
  return [...times].sort(([, one], [, other]) => other - one).slice(0, 25);
}

export function mega(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
