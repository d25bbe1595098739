// What players see of the end of their room's owner: two gateways, three nodes for rooms, and players on the stock SDK, all of
// them in rooms of the node that ends.
//
//   npm run drill:sockets [-- --rooms 50,500 --players 500 --sdk 500 --faults kill,drain,freeze --seed N --profile folder]
//
// With more than 100 rooms they are of the crowd's game (crowd-game.ts), at ten ticks a second. Players past --sdk are light
// ones (sockets-seated.ts), which cost the machine a fraction. --profile has each node that ends in peace leave a CPU profile
// there, and says when the fault was by the profiles' clock.
//
// Told for each fault: how many players were cut off or lost, and the longest time between two states that each of them saw,
// from the fault until a while after all of them are back. Exit code 1 when a connection was cut, or not everybody is back.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";
import type { EventName } from "../../src/events.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import type { Heard } from "../kit/event-tap.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import { cpuMsOf } from "./cpu-time.ts";
import { percentile, tableOf } from "./figures.ts";
import type { FromPlayers, PlayerFacts, ToPlayers } from "./sockets-messages.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const PROCESSES = 2;
const BACK_WITHIN_MS = 60_000;
/** What still comes after all are back belongs to the fault as well. */
const AFTER_MS = 1_000;
/** Before the fault: the longest gap of players whom nothing has happened to. */
const QUIET_MS = 3_000;
const FAULTS = ["kill", "drain", "freeze"] as const;
type Fault = (typeof FAULTS)[number];

type Players = Child<ToPlayers, FromPlayers>;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Scene {
  readonly rooms: number;
  readonly players: number;
  /** How many of the players are on the SDK. */
  readonly sdk: number;
  readonly game: "arena" | "brisk";
  readonly seed: number;
  readonly profile: string | undefined;
}

interface Options extends Omit<Scene, "rooms" | "game"> {
  readonly rooms: readonly number[];
  readonly faults: readonly Fault[];
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      rooms: { type: "string", default: "50" },
      players: { type: "string", default: "500" },
      faults: { type: "string", default: "kill,drain" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
      sdk: { type: "string" },
      profile: { type: "string" },
    },
  });
  const rooms = values.rooms.split(",").map(Number);
  const [players, seed] = [Number(values.players), Number(values.seed)];
  const sdk = Number(values.sdk ?? Math.max(players, ...rooms));
  if (![...rooms, players, seed, sdk].every((value) => Number.isInteger(value) && value >= 0)) {
    throw new Error("--rooms, --players, --sdk and --seed are whole numbers");
  }
  const faults = FAULTS.filter((fault) => values.faults.split(",").includes(fault));
  return { rooms, players, faults, seed, sdk, profile: values.profile };
}

/** Rooms that a process opens before those that are of no use end again: they all tick. */
const WAVE = 75;

/** Fills the victim with rooms: of three times as many the ring gives it about a third; the others are left again. */
async function fill(
  cluster: TestCluster,
  victim: TestNode,
  all: readonly Players[],
  ports: readonly number[],
  { rooms, players, sdk, game }: Scene,
): Promise<void> {
  const here: string[] = [];
  // Whoever opens the rooms stays in them.
  const first = { kind: "join", ports, game, isLight: sdk < rooms } as const;
  while (here.length < rooms) {
    const wave = Math.min(WAVE, Math.ceil((rooms - here.length) / all.length) * 3);
    const wanted = Array.from({ length: wave }, () => null);
    const joined = await Promise.all(all.map((one) => one.ask("joined", { ...first, rooms: wanted })));
    const opened = joined.flatMap(({ roomIds }) => roomIds);
    const owned = new Map((await cluster.report()).rooms.map(({ roomId, nodeId }) => [roomId, nodeId]));
    const theirs = opened
      .filter((roomId) => owned.get(roomId) === victim.nodeId)
      .slice(0, rooms - here.length);
    here.push(...theirs);
    const others = opened.filter((roomId) => !theirs.includes(roomId));
    await Promise.all(all.map((one) => one.ask("left", { kind: "leave", roomIds: others })));
  }
  const more = Array.from({ length: players - rooms }, (_, index) => here[index % rooms] as string);
  const sdkLeft = first.isLight ? sdk : sdk - rooms;
  for (const isLight of [false, true]) {
    const theirs = isLight ? more.slice(sdkLeft) : more.slice(0, sdkLeft);
    await Promise.all(
      all.map((one, index) => {
        const own = theirs.filter((_, player) => player % all.length === index);
        return one.ask("joined", { kind: "join", ports, game, rooms: own, isLight });
      }),
    );
  }
}

/** Hundreds of arenas at twenty ticks a second are more than a small machine has time for, with or without a fault. */
function gameFor(rooms: number): Scene["game"] {
  return rooms > 100 ? "brisk" : "arena";
}

async function tellAll(all: readonly Players[]): Promise<PlayerFacts[]> {
  const told = await Promise.all(all.map((one) => one.ask("facts", { kind: "tell" })));
  return told.flatMap(({ players }) => players);
}

async function measure(
  stores: StoreUrls,
  scene: Scene,
  fault: Fault,
): Promise<{ lines: string[]; isGood: boolean; cluster: string[] }> {
  const { rooms, players, seed, profile } = scene;
  const roles = { "node-a": "gateway", "node-b": "gateway" } as const;
  const rest = { "node-c": "rooms", "node-d": "rooms", "node-e": "rooms" } as const;
  const env: Record<string, string> =
    profile === undefined
      ? {}
      : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${resolve(profile)} --cpu-prof-interval=200` };
  await using cluster = await startCluster({
    nodes: 5,
    stores,
    roles: { ...roles, ...rest },
    env,
    ...(scene.game === "brisk" ? { game: "load/crowd-game.ts" } : {}),
  });
  const ports = [cluster.node("node-a").publicPort, cluster.node("node-b").publicPort];
  const victim = cluster.node("node-c");
  await using stack = new AsyncDisposableStack();
  const all: Players[] = Array.from({ length: PROCESSES }, (_, index) =>
    stack.use(new Child<ToPlayers, FromPlayers>("sockets-players.ts", [String(seed + index)], {})),
  );
  const who = new Map<number, string>([
    ...cluster.nodes.map(({ pid, nodeId }) => [pid, nodeId] as const),
    ...all.map(({ pid }, index) => [pid, `players ${index + 1}`] as const),
  ]);
  const pids = [...who.keys()];
  const surroundings = await describeSurroundings(cluster, othersLoad());
  await fill(cluster, victim, all, ports, scene);
  // A first checkpoint of every room, and the burst of the joins is over.
  await systemClock.sleep(5_000);
  await Promise.all(all.map((one) => one.ask("armed", { kind: "arm" })));
  const cpuQuiet = cpuMsOf(pids);
  await systemClock.sleep(QUIET_MS);
  const quiet = await tellAll(all);

  await Promise.all(all.map((one) => one.ask("armed", { kind: "arm" })));
  const [from, atMs] = [cluster.events.all.length, Date.now()];
  say(`${fault} of a node with ${rooms} rooms and ${players} players`);
  if (profile !== undefined) say(`the fault at ${process.hrtime.bigint() / 1_000n}`);
  const [startedMs, cpuBefore] = [systemClock.monotonicMs(), cpuMsOf(pids)];
  if (fault === "kill") await victim.kill();
  else if (fault === "drain") await victim.drain();
  else victim.freeze();
  const endsMs = startedMs + BACK_WITHIN_MS;
  let now = await tellAll(all);
  while (now.some(({ returns }) => returns === 0) && systemClock.monotonicMs() < endsMs) {
    await systemClock.sleep(100);
    now = await tellAll(all);
  }
  const [tookMs, cpuAfter] = [systemClock.monotonicMs() - startedMs, cpuMsOf(pids)];
  await systemClock.sleep(AFTER_MS);
  const after = await tellAll(all);
  // One that is killed writes no profile.
  if (profile !== undefined) await Promise.all(cluster.nodes.map((node) => node.drain()));
  const cut = after.filter(({ drops }) => drops > 0).length;
  const lost = after.filter(({ leftWith }) => leftWith !== undefined).length;
  const away = after.filter(({ returns }) => returns === 0).length;
  const title = `${fault}: ${rooms} rooms (${scene.game}), ${players} players: ${cut} cut off, ${lost} lost, ${away} not back`;
  const since = cluster.events.all.slice(from);
  const of = <Name extends EventName>(name: Name, value: (heard: Heard<Name>) => number): number[] =>
    since.filter((heard): heard is Heard<Name> => heard.event === name).map(value);
  const noticed = of("node:lost", ({ at }) => at - atMs);
  const figures = tableOf([
    {
      name: "longest gap, each player",
      from: "from the fault until all were back",
      values: after.map(({ longestGapMs }) => longestGapMs),
    },
    {
      name: "before the fault",
      from: `in ${QUIET_MS / 1_000} s in which nothing happened`,
      values: quiet.map(({ longestGapMs }) => longestGapMs),
    },
    { name: "noticed", from: "from the fault until a survivor marked the node down", values: noticed },
    {
      name: "saved and let go",
      from: "each room of a drained node",
      values: of("room:moved", ({ facts }) => facts.moveMs),
    },
    {
      name: "open again",
      from: "from the fault, each room",
      values: of("room:restored", ({ at }) => at - atMs),
    },
    { name: "opening", from: "each room", values: of("room:restored", ({ facts }) => facts.restoreMs) },
    {
      name: "without a place",
      from: "at the gateway, each player: from the end of the place to JOIN_ROOM",
      values: of("seat:relinked", ({ facts }) => facts.awayMs),
    },
  ]);
  say(
    `${title}; p99 gap ${percentile(
      after.map(({ longestGapMs }) => longestGapMs),
      0.99,
    ).toFixed(0)} ms`,
  );
  const used = (from: ReadonlyMap<number, number>, to: ReadonlyMap<number, number>, forMs: number): string =>
    pids
      .filter((pid) => to.has(pid))
      .map((pid) => `${who.get(pid)} ${((to.get(pid) ?? 0) - (from.get(pid) ?? 0)).toFixed(0)}`)
      .join(", ") + ` in ${forMs.toFixed(0)} ms`;
  const cpu = [
    `CPU ms before the fault: ${used(cpuQuiet, cpuBefore, QUIET_MS)}`,
    `CPU ms until all were back: ${used(cpuBefore, cpuAfter, tookMs)}`,
  ];
  return { lines: [title, figures, ...cpu, ""], isGood: cut + lost + away === 0, cluster: surroundings };
}

async function main(): Promise<void> {
  const { rooms, players, faults, seed, sdk, profile } = readOptions();
  await using stores = await startStores();
  const told: string[] = [];
  let isGood = true;
  let surroundings: string[] = [];
  for (const count of rooms) {
    for (const fault of faults) {
      const outcome = await measure(
        stores,
        { rooms: count, players: Math.max(players, count), sdk, game: gameFor(count), seed, profile },
        fault,
      );
      told.push(...outcome.lines);
      isGood &&= outcome.isGood;
      surroundings = outcome.cluster;
    }
  }
  process.stdout.write([`npm run drill:sockets   seed ${seed}`, ...surroundings, "", ...told].join("\n"));
  if (!isGood) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  say(`drill:sockets: ${messageOf(error)}`);
  process.exitCode = 1;
});
