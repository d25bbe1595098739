// What it costs a join that its seat is durable before the player hears of it: how long joins take with and without, and how
// many writes there are for each.
//
//   npm run bench:seats [-- --rounds 6 --window-ms 2000 --rates 20,100,400 --away-ms 0 --seed N]
//
// One node, and rooms that do nothing but seat players, who arrive at random moments, so many a second. Windows with and
// without durable seats take turns, in the same process; what is compared is a window with the one beside it, and of all
// pairs the median is told, with the lowest and the highest. A join is measured at the player's end: `told` from the request
// to upgrade until JOIN_ROOM is there, which is where the write is; `whole` from the HTTP request before that. Everybody
// leaves between windows. `--away-ms` puts Postgres so much further away. Exit code 1 when something could not be measured.

import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import pg from "pg";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { RawSeat, reserve } from "../kit/raw-seat.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import { isBelow, showSpread } from "./checkpoint-figures.ts";
import { percentile } from "./figures.ts";
import { seededRandom } from "./random.ts";
import type { FromNode, ToNode, Written } from "./seat-messages.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const ROOMS = 20;
const SLOWER_MS_MAX = 10;
/** What nobody waits for is written within this. */
const SETTLE_MS = 300;

interface Options {
  readonly rounds: number;
  readonly windowMs: number;
  readonly rates: readonly number[];
  readonly awayMs: number;
  readonly seed: number;
}

interface Window {
  readonly toldMs: readonly number[];
  readonly wholeMs: readonly number[];
  readonly written: Written;
  readonly saveMs: readonly number[];
}

interface Pair {
  readonly on: Window;
  readonly off: Window;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "6" },
      "window-ms": { type: "string", default: "2000" },
      rates: { type: "string", default: "20,100,400" },
      "away-ms": { type: "string", default: "0" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
    },
  });
  const number = (name: keyof typeof values, text: string = values[name], min = 1): number => {
    if (!(Number(text) >= min)) throw new Error(`--${name} must be a number from ${min}`);
    return Number(text);
  };
  return {
    rounds: number("rounds"),
    windowMs: number("window-ms"),
    rates: values.rates.split(",").map((rate) => number("rates", rate)),
    awayMs: number("away-ms", values["away-ms"], 0),
    seed: number("seed", values.seed, 0),
  };
}

class Scene {
  readonly #node: Child<ToNode, FromNode>;
  readonly #port: number;
  readonly #roomIds: readonly string[];
  readonly #random: () => number;

  constructor(node: Child<ToNode, FromNode>, port: number, roomIds: readonly string[], random: () => number) {
    this.#node = node;
    this.#port = port;
    this.#roomIds = roomIds;
    this.#random = random;
  }

  async window(isOn: boolean, rate: number, ms: number): Promise<Window> {
    await this.#node.ask("done", { kind: "durable", isOn });
    const toldMs: number[] = [];
    const wholeMs: number[] = [];
    const seats: RawSeat[] = [];
    const join = async (): Promise<void> => {
      const roomId = this.#roomIds[Math.floor(this.#random() * this.#roomIds.length)] ?? "";
      const startedMs = performance.now();
      const reservation = await reserve(this.#port, roomId, { name: "somebody" });
      const reservedMs = performance.now();
      const seat = await RawSeat.open(this.#port, reservation);
      const atMs = performance.now();
      toldMs.push(atMs - reservedMs);
      wholeMs.push(atMs - startedMs);
      seats.push(seat);
      void seat.acknowledge();
    };
    const joining: Promise<void>[] = [];
    const endsMs = performance.now() + ms;
    while (performance.now() < endsMs) {
      joining.push(join());
      // As people arrive: not one after the other, and not in step.
      await systemClock.sleep((-Math.log(1 - this.#random()) * 1_000) / rate);
    }
    await Promise.all(joining);
    await systemClock.sleep(SETTLE_MS);
    const { written, saveMs } = await this.#node.ask("counted", { kind: "count" });
    for (const seat of seats) seat.leave();
    await Promise.all(seats.map((seat) => seat.closed));
    await this.#node.ask("counted", { kind: "count" });
    return { toldMs, wholeMs, written, saveMs };
  }
}

/** A database of the benchmark's own, and the node on it. */
async function openScene(
  stores: StoreUrls,
  stack: AsyncDisposableStack,
  options: Options,
): Promise<{ scene: Scene; sql: pg.Client }> {
  const name = `bench_${randomBytes(6).toString("hex")}`;
  const admin = new pg.Client({ connectionString: stores.databaseUrl });
  await admin.connect();
  stack.defer(() => admin.end());
  await admin.query(`CREATE DATABASE ${name}`);
  stack.defer(async () => void (await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)));
  const url = new URL(stores.databaseUrl);
  url.pathname = `/${name}`;
  if (options.awayMs > 0) {
    const proxy = stack.use(
      new Child<number, number>("checkpoint-proxy.ts", [url.hostname, url.port || "5432"], {}),
    );
    [url.hostname, url.port] = ["127.0.0.1", String(await proxy.next(undefined, () => true))];
    await proxy.next(options.awayMs, (message) => message === options.awayMs);
  }
  const node = stack.use(
    new Child<ToNode, FromNode>("seat-node.ts", [], {
      DATABASE_URL: url.href,
      REDIS_URL: stores.redisUrl,
      KEY_PREFIX: `${name}:`,
      CLUSTER_KEY: randomBytes(16).toString("hex"),
      NODE_ID: "bench",
      BIND_HOST: "127.0.0.1",
      PORT: "0",
      INTERNAL_PORT: "0",
      MANAGEMENT_PORT: "0",
    }),
  );
  const { port } = await node.ask("ready", undefined);
  const { roomIds } = await node.ask("opened", { kind: "open", rooms: ROOMS });
  return { scene: new Scene(node, port, roomIds, seededRandom(options.seed)), sql: admin };
}

async function measure(scene: Scene, rate: number, { rounds, windowMs }: Options): Promise<Pair[]> {
  for (const isOn of [true, false]) await scene.window(isOn, rate, windowMs / 2); // the code is warm
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round++) {
    const windows: Partial<Record<"on" | "off", Window>> = {};
    // What rises or falls over a run then counts for both.
    for (const name of round % 2 === 0 ? (["on", "off"] as const) : (["off", "on"] as const)) {
      windows[name] = await scene.window(name === "on", rate, windowMs);
    }
    pairs.push(windows as Pair); // both have been measured
  }
  return pairs;
}

function tell(rate: number, pairs: readonly Pair[]): string[] {
  const spread = (value: (pair: Pair) => number, digits = 1): string => showSpread(pairs.map(value), digits);
  const p = (share: number, which: "toldMs" | "wholeMs", name: "on" | "off") => (pair: Pair) =>
    percentile(pair[name][which], share);
  const slower = (share: number, which: "toldMs" | "wholeMs") => (pair: Pair) =>
    p(share, which, "on")(pair) - p(share, which, "off")(pair);
  const pooled = (name: "on" | "off"): string => {
    const values = pairs.flatMap((pair) => pair[name].toldMs);
    return [0.5, 0.99, 1].map((share) => percentile(values, share).toFixed(1).padStart(8)).join("");
  };
  const joins = pairs.reduce((sum, { on }) => sum + on.toldMs.length, 0);
  const each = (what: keyof Written, of: "statements" | "rows"): string =>
    (pairs.reduce((sum, { on }) => sum + on.written[what][of], 0) / joins).toFixed(2);
  const saveMs = pairs.flatMap(({ on }) => on.saveMs);
  const saves = [0.5, 0.99]
    .map((share) => `p${share * 100} ${percentile(saveMs, share).toFixed(1)} ms`)
    .join(", ");
  const p99 = pairs.map(slower(0.99, "toldMs"));
  return [
    "",
    `${rate} joins a second, ${joins} of them with durable seats`,
    "  told of the seat after, ms      p50     p99     max",
    `    without durable seats    ${pooled("off")}`,
    `    with                     ${pooled("on")}`,
    `  slower by, ms: told p50 ${spread(slower(0.5, "toldMs"))}, p99 ${spread(slower(0.99, "toldMs"))};` +
      ` whole p50 ${spread(slower(0.5, "wholeMs"))}, p99 ${spread(slower(0.99, "wholeMs"))}`,
    `  of that, at the node, until the seat is durable: ${saves}`,
    `  writes a join: ${each("joins", "statements")} statements of ${each("joins", "rows")} rows before the player is told,` +
      ` ${each("tokens", "statements")} of ${each("tokens", "rows")} after they have answered`,
    `  aim: p99 slower by less than ${SLOWER_MS_MAX} ms: ${isBelow(SLOWER_MS_MAX, p99)}`,
  ];
}

async function run(options: Options): Promise<string> {
  const load = othersLoad();
  await using stores = await startStores();
  await using stack = new AsyncDisposableStack();
  process.stderr.write(`seed ${options.seed}\n`);
  const { scene, sql } = await openScene(stores, stack, options);
  // Of a cluster it asks for nothing but what Postgres says.
  const cluster = { sql: async (text: string) => (await sql.query(text)).rows } as unknown as TestCluster;
  const { rounds, windowMs, awayMs, seed } = options;
  const lines = [
    `joins of ${ROOMS} rooms, ${rounds} pairs of windows of ${windowMs} ms, Postgres ${awayMs} ms further away, seed ${seed}`,
    ...(await describeSurroundings(cluster, load)),
  ];
  for (const rate of options.rates) lines.push(...tell(rate, await measure(scene, rate, options)));
  return lines.join("\n");
}

try {
  process.stdout.write(`\n${await run(readOptions())}\n`);
} catch (error) {
  let first: unknown = error;
  // Ctrl-C reaches Postgres as well, and then tidying up fails too: what went wrong first is what is told.
  while (first instanceof SuppressedError) first = first.suppressed;
  process.stderr.write(`bench:seats: ${messageOf(first)}\n`);
  process.exitCode = 1;
}
