// The drill: a cluster under play, and kill -9 again and again. Says how long players are away, what is rolled back, and
// that nobody's seat is lost.
//
//   node test/load/drill.ts [--kills 20] [--rooms 30] [--players 200] [--seed N] [--on-one-node]
//
// With --on-one-node all rooms are made on the first node, which is the first to be killed; the others join afterwards, with
// rooms of their own whose ticks tell whether they feel the recovery. The rooms are small and slow then (crowd-game.ts), so
// that there may be a thousand of them:
//
//   npm run drill -- --on-one-node --rooms 1000 --players 2000 --kills 1
//
// Real node processes behind the local load balancer, a Postgres and a Redis of their own (or DATABASE_URL and
// REDIS_URL), players on the untouched SDK in processes of their own. The seed decides which node dies when, and where
// players walk; room ids, and so which node owns which room, are new in each run.
// Settings of the nodes that end in _MS or _MAX are taken from the environment: RESTORES_AT_ONCE_MAX=16 npm run drill
// Exit code 1 when a seat was lost or somebody was not back within 60 s.

import { parseArgs } from "node:util";
import { NUMBERS } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { startStores } from "../kit/stores.ts";
import { percentile, shares, tableOf } from "./figures.ts";
import { BACK_WITHIN_MS, killAndWait, type Kill } from "./kill.ts";
import { openPatientFront } from "./patient-front.ts";
import { seededRandom } from "./random.ts";
import { Squads } from "./squads.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";
import { Witnesses, type Ticks } from "./witnesses.ts";

const NODES = 3;
const PLAYER_PROCESSES = 2;
const PLAYERS_A_PROCESS_MAX = 500;
/** On each node that is to survive, with --on-one-node. */
const WITNESSES_A_NODE = 20;
/** What an arena takes: rooms/arena/arena-field.ts. */
const PLAYERS_A_ROOM_MAX = 16;
/** The SDK comes back by itself only after 5 s in a room. It counts from the first join, so once is enough. */
const SDK_UPTIME_MS = 5_500;
const PLAYING_WITHIN_MS = 30_000;
/** Between two kills: a checkpoint of every room has passed, and the kill falls anywhere within the next interval. */
const PAUSE_MS = { min: 2_500, max: 4_500 };

/** Ctrl-C ends the drill at its next step, in order: nothing it started is left behind. */
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

interface Options {
  readonly kills: number;
  readonly rooms: number;
  readonly players: number;
  readonly seed: number;
  readonly onOneNode: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      rooms: { type: "string", default: "30" },
      players: { type: "string", default: "200" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
      "on-one-node": { type: "boolean", default: false },
    },
  });
  const numbers = {
    kills: Number(values.kills),
    rooms: Number(values.rooms),
    players: Number(values.players),
    seed: Number(values.seed),
  };
  const options = { ...numbers, onOneNode: values["on-one-node"] };
  for (const [name, value] of Object.entries(numbers)) {
    if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} must be a whole number`);
  }
  if (
    numbers.rooms < 1 ||
    options.players < options.rooms ||
    options.players > options.rooms * PLAYERS_A_ROOM_MAX
  ) {
    throw new Error(`--players must be from --rooms to --rooms * ${PLAYERS_A_ROOM_MAX}`);
  }
  return options;
}

/** Each room is made by its first player; the ring spreads them over the nodes. */
async function fill(squads: Squads, { rooms, players }: Options): Promise<void> {
  const first = await squads.join(Array.from({ length: rooms }, (_, player) => ({ player, roomId: null })));
  const rest = Array.from({ length: players - rooms }, (_, index) => rooms + index);
  await squads.join(rest.map((player) => ({ player, roomId: first[player % rooms]?.roomId ?? null })));
}

/** Nodes that own rooms: one that was just started again owns few or none, because rooms stay where they are. */
async function ownersOf(cluster: TestCluster): Promise<TestNode[]> {
  const owners = new Set((await cluster.report()).rooms.map((room) => room.nodeId));
  return cluster.nodes.filter((node) => owners.has(node.nodeId));
}

async function drill(
  options: Options,
  cluster: TestCluster,
  squads: Squads,
  witnesses: Witnesses | undefined,
): Promise<{ kills: Kill[]; wrong: string[] }> {
  const random = seededRandom(options.seed);
  const kills: Kill[] = [];
  const wrong: string[] = [];
  while (kills.length < options.kills && wrong.length === 0) {
    await witnesses?.read(); // from here on is the time before
    await systemClock.sleep(PAUSE_MS.min + random() * (PAUSE_MS.max - PAUSE_MS.min), stopping.signal);
    const owners = await ownersOf(cluster);
    const isFirst = witnesses !== undefined && kills.length === 0;
    const victim = isFirst ? cluster.nodes[0] : owners[Math.floor(random() * owners.length)];
    if (victim === undefined) throw new Error("no node owns a room");
    const kill = await killAndWait(cluster, squads, victim, isFirst ? witnesses : undefined);
    kills.push(kill);
    process.stderr.write(
      `${String(kills.length).padStart(3)} ${kill.nodeId}: ${kill.rooms} rooms, ${kill.cut} players cut; noticed ` +
        `${kill.noticedMs} ms, restored ${Math.max(0, ...kill.restoredMs)} ms, back ${Math.max(0, ...kill.backMs)} ms, ` +
        `serving again after ${kill.restartMs} ms\n`,
    );
    if (kill.notBack > 0)
      wrong.push(`${kill.notBack} players were not back ${BACK_WITHIN_MS / 1_000} s after a kill`);
    if (kill.seatsLost > 0) wrong.push(`${kill.seatsLost} seats were lost`);
    for (const { player, code, reason } of squads.left)
      wrong.push(`player ${player} was sent away: ${code} ${reason}`);
  }
  return { kills, wrong };
}

function show(options: Options, kills: readonly Kill[], surroundings: readonly string[]): string {
  const cut = kills.reduce((sum, kill) => sum + kill.cut, 0);
  const notBack = kills.reduce((sum, kill) => sum + kill.notBack, 0);
  const lost = kills.reduce((sum, kill) => sum + kill.seatsLost, 0);
  const every = (of: (stages: Kill["stages"]) => readonly number[]): number[] =>
    kills.flatMap(({ stages }) => [...of(stages)]);
  const table = tableOf([
    { name: "noticed", values: kills.map((kill) => kill.noticedMs), from: "kill -9 to node:lost" },
    {
      name: "claim",
      values: every(({ claimMs }) => claimMs),
      from: `each claim, with what was saved; ${percentile(
        every(({ claimRooms }) => claimRooms),
        0.5,
      )} rooms at the median, ${Math.max(...every(({ claimRooms }) => claimRooms))} at most`,
    },
    { name: "wait", values: every(({ waitedMs }) => waitedMs), from: "a room's claim to its turn" },
    { name: "open", values: every(({ openMs }) => openMs), from: "a room's turn to room:restored" },
    {
      name: "rebuild",
      values: every(({ rebuildMs }) => rebuildMs),
      from: "of that, decoding and rebuilding: what holds the event loop",
    },
    {
      name: "restored",
      values: kills.flatMap((kill) => kill.restoredMs),
      from: "kill -9 to room:restored, each room",
    },
    {
      name: "player cut",
      values: kills.flatMap((kill) => kill.cutMs),
      from: "kill -9 to the SDK's onDrop, each player cut",
    },
    {
      name: "player back",
      values: kills.flatMap((kill) => kill.backMs),
      from: "kill -9 to the SDK's onReconnect, each player cut; 200 ms of it are the SDK's own first wait",
    },
    {
      name: "first back",
      values: every(({ firstBackMs }) => firstBackMs),
      from: "kill -9 to the first player back, each room",
    },
    {
      name: "last back",
      values: every(({ lastBackMs }) => lastBackMs),
      from: "kill -9 to the last player back, each room",
    },
    {
      name: "rolled back",
      values: kills.flatMap((kill) => kill.rollbackMs),
      from: "age of the restored checkpoint when the node was killed, by Postgres's clock, each room",
    },
    {
      name: "restart",
      values: kills.map((kill) => kill.restartMs),
      from: "the killed node, spawned until it serves",
    },
  ]);
  return [
    `${new Date(systemClock.nowMs()).toISOString().slice(0, 10)}: ${kills.length} kills of ${NODES} nodes, ` +
      `${options.rooms} rooms, ${options.players} players, seed ${options.seed}`,
    ...surroundings,
    `settings  ${Object.entries(settingsGiven()).join("  ").replaceAll(",", "=") || "as they come"}`,
    "",
    table,
    "",
    `attempts of the SDK until back   ${shares(kills.flatMap((kill) => kill.tries))}`,
    `players cut off and back         ${cut - notBack} of ${cut} (${((100 * (cut - notBack)) / Math.max(1, cut)).toFixed(2)} %)`,
    `cut a second time                ${kills.reduce((sum, kill) => sum + kill.cutAgain, 0)}`,
    `lost seats                       ${lost}`,
    ...kills.flatMap(({ ticks }) => (ticks === undefined ? [] : showTicks(ticks))),
  ].join("\n");
}

function showTicks({ before, during, after }: NonNullable<Kill["ticks"]>): string[] {
  const ratio = (to: Ticks): string => (during.p99Ms / to.p99Ms).toFixed(2);
  const row = (name: string, { ticks, p50Ms, p99Ms, maxMs }: Ticks): string =>
    `  ${name}  ${[p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1).padStart(7)).join("")}  of ${ticks} ticks`;
  return [
    "",
    `how late ticks came in rooms that the survivors had before, in ms: p50, p99, max; the worse node`,
    row("before the kill       ", before),
    row("until all were back   ", during),
    row("in the seconds after  ", after),
    `  p99 during it was ${ratio(before)} times that before, ${ratio(after)} times that after`,
  ];
}

/** On a machine that has more to do than it can, players see their room's clock go on a little later. */
async function untilPlaying(squads: Squads, players: number): Promise<number> {
  const endsMs = systemClock.monotonicMs() + PLAYING_WITHIN_MS;
  for (;;) {
    const playing = await squads.playing();
    if (playing === players || systemClock.monotonicMs() > endsMs) return playing;
    await systemClock.sleep(1_000, stopping.signal);
  }
}

/** What the environment says of times and limits is for the nodes. */
function settingsGiven(): Record<string, string> {
  const names = Object.values(NUMBERS).map(({ env }) => env);
  const given = names.filter((name) => /_(MS|MAX)$/.test(name) && process.env[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, process.env[name] ?? ""]));
}

/** Further nodes, which take nothing of what is there, and rooms of their own on them. */
async function openWitnesses(cluster: TestCluster): Promise<Witnesses> {
  const names = Array.from({ length: NODES - 1 }, (_, index) => `node-${"bcdefghi"[index]}`);
  const survivors = await Promise.all(names.map((nodeId) => cluster.add(nodeId)));
  return Witnesses.open(cluster, survivors, WITNESSES_A_NODE);
}

async function run(options: Options): Promise<string[]> {
  const load = othersLoad();
  await using stores = await startStores();
  const { onOneNode } = options;
  await using cluster = await startCluster({
    nodes: onOneNode ? 1 : NODES,
    stores,
    env: { LOG_LEVEL: "info", ...settingsGiven() },
    ...(onOneNode ? { game: "load/crowd-game.ts" } : {}),
  });
  const processes = Math.max(PLAYER_PROCESSES, Math.ceil(options.players / PLAYERS_A_PROCESS_MAX));
  await using front = onOneNode ? await openPatientFront(cluster) : undefined;
  const url = front?.url ?? `ws://127.0.0.1:${cluster.port}`;
  await using squads = new Squads(url, options.seed, processes, onOneNode ? "crowd" : "arena");
  process.stderr.write(`seed ${options.seed}; ${options.players} players join ${options.rooms} rooms\n`);
  await fill(squads, options);
  const witnesses = onOneNode ? await openWitnesses(cluster) : undefined;
  await systemClock.sleep(SDK_UPTIME_MS, stopping.signal);
  const { kills, wrong } = await drill(options, cluster, squads, witnesses);
  const playing = await untilPlaying(squads, options.players);
  if (playing !== options.players)
    wrong.push(`at the end ${playing} of ${options.players} players were playing`);
  process.stdout.write(`\n${show(options, kills, await describeSurroundings(cluster, load))}\n`);
  process.stdout.write(`playing at the end               ${playing} of ${options.players}\n`);
  return wrong;
}

try {
  const wrong = await run(readOptions());
  for (const line of wrong) process.stderr.write(`drill: ${line}\n`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} catch (error) {
  let first: unknown = error;
  // Ctrl-C reaches Postgres as well, and then tidying up fails too: what went wrong first is what is told.
  while (first instanceof SuppressedError) first = first.suppressed;
  if (first instanceof AggregateError) first = first.errors[0]; // nobody answers at any address of a host
  process.stderr.write(`drill: ${messageOf(first)}\n`);
  process.exitCode = 1;
}
