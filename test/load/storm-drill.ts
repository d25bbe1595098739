// A gateway dies, and all its players are at the others' doors in the same moment, none of them waiting as the SDK would.
//
//   npm run drill:storm [-- --players 5000 --new 100 --at-once 200 --runs 1]
//
// Two gateways and a node for rooms. Told: how long until each player has their state again, how many tries it took them, what
// those saw of it who were playing at the other gateway, and how long new players took to join in the middle of it. Exit code 1
// when not everybody is back within ten seconds.

import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestNode } from "../kit/cluster.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import { percentile, tableOf } from "./figures.ts";
import type { FromPlayers, PlayerFacts, ToPlayers } from "./storm-messages.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const PROCESSES = 2;
const SETTLED_WITHIN_MS = 10_000;
/** After that a drill gives up. */
const WITHIN_MS = 60_000;
const PER_ROOM = 50;
const BYSTANDERS = 20;
const BYSTANDERS_EVERY_MS = 50;
const CROWD_EVERY_MS = 1_000;
const QUIET_MS = 3_000;

type Players = Child<ToPlayers, FromPlayers>;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Options {
  readonly players: number;
  readonly newcomers: number;
  readonly atOnce: string | undefined;
  readonly runs: number;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      players: { type: "string", default: "5000" },
      new: { type: "string", default: "100" },
      "at-once": { type: "string" },
      runs: { type: "string", default: "1" },
    },
  });
  const [players, newcomers, runs] = [values.players, values.new, values.runs].map(Number);
  if (![players, newcomers, runs].every((value) => Number.isInteger(value))) {
    throw new Error("--players, --new and --runs are whole numbers");
  }
  return { players: players ?? 0, newcomers: newcomers ?? 0, atOnce: values["at-once"], runs: runs ?? 0 };
}

async function tellAll(all: readonly Players[]): Promise<PlayerFacts[]> {
  return (await Promise.all(all.map((one) => one.ask("facts", { kind: "tell" })))).flatMap(
    ({ players }) => players,
  );
}

/** Seconds of processor time so far, of each node that runs. */
async function workOf(nodes: readonly TestNode[]): Promise<Map<string, number>> {
  const read = async ({ nodeId, managementPort }: TestNode): Promise<[string, number]> => {
    const text = await (await fetch(`http://127.0.0.1:${managementPort}/metrics`)).text();
    return [nodeId, Number(/^process_cpu_seconds_total (.*)$/mu.exec(text)?.[1] ?? Number.NaN)];
  };
  return new Map(await Promise.all(nodes.map(read)));
}

const gapsOf = (players: readonly PlayerFacts[]): number[] => players.map(({ longestGapMs }) => longestGapMs);

async function run(
  stores: StoreUrls,
  { players, newcomers, atOnce }: Options,
): Promise<{ lines: string[]; isGood: boolean }> {
  await using cluster = await startCluster({
    nodes: 3,
    stores,
    game: "load/storm-game.ts",
    roles: { "node-a": "gateway", "node-b": "gateway", "node-c": "rooms" },
    env: {
      ROOMS_IN_ALL: "0",
      LOG_LEVEL: "info",
      ...(atOnce === undefined ? {} : { ADMISSIONS_AT_ONCE: atOnce }),
    },
  });
  const [dying, other] = [cluster.node("node-a"), cluster.node("node-b")];
  await using stack = new AsyncDisposableStack();
  const child = (): Players => stack.use(new Child<ToPlayers, FromPlayers>("storm-players.ts", [], {}));
  const crowd = Array.from({ length: PROCESSES }, child);
  const [bystanders, late] = [child(), child()];
  const surroundings = await describeSurroundings(cluster, othersLoad());

  const seats = { kind: "join", perRoom: PER_ROOM, backTo: [other.publicPort] } as const;
  say(`${players} players take their seats at one gateway`);
  const joined = await Promise.all(
    crowd.map((one) => {
      const own = {
        players: Math.ceil(players / PROCESSES),
        port: dying.publicPort,
        everyMs: CROWD_EVERY_MS,
      };
      return one.ask("joined", { ...seats, ...own });
    }),
  );
  await bystanders.ask("joined", {
    ...seats,
    players: BYSTANDERS,
    port: other.publicPort,
    everyMs: BYSTANDERS_EVERY_MS,
  });
  await bystanders.ask("armed", { kind: "arm" });
  await systemClock.sleep(QUIET_MS);
  const quiet = await tellAll([bystanders]);

  await Promise.all([...crowd, bystanders].map((one) => one.ask("armed", { kind: "arm" })));
  say("their gateway is killed");
  const before = await workOf(cluster.nodes);
  const fromMs = systemClock.monotonicMs();
  await dying.kill();
  const coming =
    newcomers === 0
      ? undefined
      : late.ask("joined", { ...seats, players: newcomers, port: other.publicPort, everyMs: CROWD_EVERY_MS });
  let told = await tellAll(crowd);
  while (told.some(({ backMs }) => backMs === undefined) && systemClock.monotonicMs() - fromMs < WITHIN_MS) {
    await systemClock.sleep(250);
    told = await tellAll(crowd);
  }
  const storm = await tellAll([bystanders]);
  const after = await workOf(cluster.nodes);
  const joinedLate = await coming;
  const work = [...after].map(
    ([nodeId, seconds]) => `${nodeId} ${(seconds - (before.get(nodeId) ?? 0)).toFixed(1)} s`,
  );
  const back = told.flatMap(({ backMs }) => (backMs === undefined ? [] : [backMs]));
  const tries = told.map(({ tries: own }) => own);
  const isGood = back.length === told.length && percentile(back, 1) <= SETTLED_WITHIN_MS;
  const lines = [
    ...surroundings,
    `at once   ${atOnce ?? "200, the default"}`,
    `joined    ${told.length} players in ${(Math.max(...joined.map(({ tookMs }) => tookMs)) / 1_000).toFixed(1)} s`,
    "",
    tableOf([
      { name: "a player's way back", from: "from the break of the socket to the next state", values: back },
      {
        name: "bystanders' longest gap, quiet",
        from: `${QUIET_MS / 1_000} s before, ticks every ${BYSTANDERS_EVERY_MS} ms`,
        values: gapsOf(quiet),
      },
      {
        name: "bystanders' longest gap, storm",
        from: "from the kill until all were back",
        values: gapsOf(storm),
      },
    ]),
    `${back.length} of ${told.length} are back, ${tries.filter((own) => own > 1).length} needed more than one try; processor time: ${work.join(", ")}`,
    joinedLate === undefined
      ? ""
      : `${newcomers} new players came in the middle of it, and were all in their rooms after ${(joinedLate.tookMs / 1_000).toFixed(1)} s; ${joinedLate.refused} of their requests were told to come again`,
    "",
  ];
  return { lines, isGood };
}

async function main(): Promise<void> {
  const options = readOptions();
  await using stores = await startStores();
  for (let index = 0; index < options.runs; index++) {
    const { lines, isGood } = await run(stores, options);
    process.stdout.write(`${["npm run drill:storm", ...lines].join("\n")}\n`);
    if (!isGood) process.exitCode = 1;
  }
}

await main().catch((error: unknown) => {
  say(`drill:storm: ${messageOf(error)}`);
  process.exitCode = 1;
});
