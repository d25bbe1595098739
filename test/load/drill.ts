// The drill: a cluster under play, and kill -9 again and again. Says how long players are away, what is rolled back, and
// that nobody's seat is lost.
//
//   node test/load/drill.ts [--kills 20] [--rooms 30] [--players 200] [--seed N]
//
// Real node processes behind the local load balancer, a Postgres and a Redis of their own (or DATABASE_URL and
// REDIS_URL), players on the untouched SDK in processes of their own. The seed decides which node dies when, and where
// players walk; room ids, and so which node owns which room, are new in each run.
// Exit code 1 when a seat was lost or somebody was not back within 60 s.

import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { startStores } from "../kit/stores.ts";
import { shares, tableOf } from "./figures.ts";
import { BACK_WITHIN_MS, killAndWait, type Kill } from "./kill.ts";
import { seededRandom } from "./random.ts";
import { Squads } from "./squads.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const NODES = 3;
const PLAYER_PROCESSES = 2;
/** What an arena takes: rooms/arena/arena-field.ts. */
const PLAYERS_A_ROOM_MAX = 16;
/** The SDK comes back by itself only after 5 s in a room. It counts from the first join, so once is enough. */
const SDK_UPTIME_MS = 5_500;
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
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      rooms: { type: "string", default: "30" },
      players: { type: "string", default: "200" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
    },
  });
  const options = {
    kills: Number(values.kills),
    rooms: Number(values.rooms),
    players: Number(values.players),
    seed: Number(values.seed),
  };
  for (const [name, value] of Object.entries(options)) {
    if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} must be a whole number`);
  }
  if (
    options.rooms < 1 ||
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
): Promise<{ kills: Kill[]; wrong: string[] }> {
  const random = seededRandom(options.seed);
  const kills: Kill[] = [];
  const wrong: string[] = [];
  while (kills.length < options.kills && wrong.length === 0) {
    await systemClock.sleep(PAUSE_MS.min + random() * (PAUSE_MS.max - PAUSE_MS.min), stopping.signal);
    const owners = await ownersOf(cluster);
    const victim = owners[Math.floor(random() * owners.length)];
    if (victim === undefined) throw new Error("no node owns a room");
    const kill = await killAndWait(cluster, squads, victim);
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
  const table = tableOf([
    { name: "noticed", values: kills.map((kill) => kill.noticedMs), from: "kill -9 to node:lost" },
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
    "",
    table,
    "",
    `attempts of the SDK until back   ${shares(kills.flatMap((kill) => kill.tries))}`,
    `players cut off and back         ${cut - notBack} of ${cut} (${((100 * (cut - notBack)) / Math.max(1, cut)).toFixed(2)} %)`,
    `lost seats                       ${lost}`,
  ].join("\n");
}

async function run(options: Options): Promise<string[]> {
  const load = othersLoad();
  await using stores = await startStores();
  await using cluster = await startCluster({ nodes: NODES, stores, env: { LOG_LEVEL: "info" } });
  await using squads = new Squads(`ws://127.0.0.1:${cluster.port}`, options.seed, PLAYER_PROCESSES);
  process.stderr.write(`seed ${options.seed}; ${options.players} players join ${options.rooms} rooms\n`);
  await fill(squads, options);
  await systemClock.sleep(SDK_UPTIME_MS, stopping.signal);
  const { kills, wrong } = await drill(options, cluster, squads);
  const playing = await squads.playing();
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
  process.stderr.write(`drill: ${messageOf(first)}\n`);
  process.exitCode = 1;
}
