// What a commit costs: how many a second and how long each takes, for 1, 10 and 100 rooms that commit one after the other.
//
//   npm run bench:commit [-- --rounds 4 --window-ms 1000 --kb 1 --away-ms 1 --profile FILE --seed N]
//
// Beside it, in the same process and on the same Postgres, in windows that take turns: a transaction as one would write it
// without Ringside (BEGIN; INSERT of one row; COMMIT) whose row has as many bytes as a commit writes, on one connection, and
// on as many as there are rooms, up to 8. What is compared is a window with those of its round; of all rounds the
// median is told, with the lowest and the highest. All of it twice: with Postgres as near as it is, and behind a proxy that
// passes its answers on some ms later, as a network and a disk that must be flushed do. The stores are private ones,
// unless DATABASE_URL or REDIS_URL name others.
// Exit code 1 when something could not be measured.

import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import pg from "pg";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import { isBelow, showSpread } from "./checkpoint-figures.ts";
import type { Form, FromNode, Measured, ToNode } from "./commit-messages.ts";
import { percentile } from "./figures.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const ROOMS = [1, 10, 100];
const FORMS: readonly Form[] = ["commit", "commit with query", "one connection", "a connection each"];
const P99_RATIO_MAX = 1.5;
const THROUGHPUT_RATIO_MIN = 5;
const TABLES =
  "CREATE TABLE public.bench_ledger (room text NOT NULL, item integer NOT NULL, price integer NOT NULL);" +
  "CREATE TABLE public.bench_plain (payload bytea NOT NULL)";
/** What a row of the ledger holds beside its head: a room's id and two numbers. */
const LEDGER_BYTES = 24;

type Round = Readonly<Record<Form, Measured>>;

interface Options {
  readonly rounds: number;
  readonly "window-ms": number;
  readonly kb: number;
  readonly seed: number;
  readonly "away-ms": number;
  readonly profile: string | undefined;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "4" },
      "window-ms": { type: "string", default: "1000" },
      kb: { type: "string", default: "1" },
      "away-ms": { type: "string", default: "1" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
      profile: { type: "string" },
    },
  });
  const { profile, ...texts } = values;
  for (const [name, text] of Object.entries(texts)) {
    if (!(Number(text) > 0)) throw new Error(`--${name} must be a number above 0`);
  }
  return {
    rounds: Number(texts.rounds),
    "window-ms": Number(texts["window-ms"]),
    kb: Number(texts.kb),
    seed: Number(texts.seed),
    "away-ms": Number(texts["away-ms"]),
    profile,
  };
}

/** A database of the benchmark's own, and the node on it; `awayMs` is how much later than it gives them its answers arrive. */
async function openNode(
  stores: StoreUrls,
  stack: AsyncDisposableStack,
  awayMs: number,
): Promise<{ node: Child<ToNode, FromNode>; sql: pg.Client }> {
  const name = `bench_${randomBytes(6).toString("hex")}`;
  const admin = new pg.Client({ connectionString: stores.databaseUrl });
  await admin.connect();
  stack.defer(() => admin.end());
  await admin.query(`CREATE DATABASE ${name}`);
  stack.defer(async () => void (await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)));
  const url = new URL(stores.databaseUrl);
  url.pathname = `/${name}`;
  const sql = new pg.Client({ connectionString: url.href });
  sql.on("error", () => {}); // told by the query that was running
  await sql.connect();
  stack.defer(() => sql.end());
  await sql.query(TABLES);
  if (awayMs > 0) {
    const proxy = stack.use(
      new Child<number, number>("checkpoint-proxy.ts", [url.hostname, url.port || "5432"], {}),
    );
    [url.hostname, url.port] = ["127.0.0.1", String(await proxy.next(undefined, () => true))];
    await proxy.next(awayMs, (message) => message === awayMs);
  }
  const env = {
    DATABASE_URL: url.href,
    REDIS_URL: stores.redisUrl,
    KEY_PREFIX: `${name}:`,
    CLUSTER_KEY: randomBytes(16).toString("hex"),
    NODE_ID: "bench",
    BIND_HOST: "127.0.0.1",
    PORT: "0",
    INTERNAL_PORT: "0",
    MANAGEMENT_PORT: "0",
  };
  const node = stack.use(new Child<ToNode, FromNode>("commit-node.ts", [], env));
  await node.ask("ready", undefined);
  return { node, sql };
}

const perSecond = ({ count, wallMs }: Measured): number => (count * 1_000) / wallMs;

function table(results: ReadonlyMap<number, readonly Round[]>): string[] {
  const rows = [["rooms", "", "a second", "p50 ms", "p99 ms", "node CPU us each"]];
  for (const [rooms, rounds] of results) {
    for (const form of FORMS) {
      const median = (value: (measured: Measured) => number, digits: number): string =>
        percentile(
          rounds.map((round) => value(round[form])),
          0.5,
        ).toFixed(digits);
      rows.push([
        String(rooms),
        form,
        median(perSecond, 0),
        median(({ p50Ms }) => p50Ms, 2),
        median(({ p99Ms }) => p99Ms, 2),
        median(({ cpuMs, count }) => (cpuMs * 1_000) / count, 0),
      ]);
    }
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  "));
}

function ratios(rounds: readonly Round[], over: Form, value: (measured: Measured) => number): number[] {
  return rounds.map((round) => value(round.commit) / value(round[over]));
}

function aims(results: ReadonlyMap<number, readonly Round[]>): string[] {
  const [one = [], many = []] = [results.get(1), results.get(100)];
  const late = ratios(one, "one connection", ({ p99Ms }) => p99Ms);
  const more = ratios(many, "a connection each", perSecond);
  const thanOne = ratios(many, "one connection", perSecond);
  const less = isBelow(
    1 / THROUGHPUT_RATIO_MIN,
    more.map((ratio) => 1 / ratio),
  );
  return [
    `  ${isBelow(P99_RATIO_MAX, late)}: one room, p99 under ${P99_RATIO_MAX} times a plain transaction's: ${showSpread(late, 2)}`,
    `  ${less}: 100 rooms, at least ${THROUGHPUT_RATIO_MIN} times the throughput of one transaction each ` +
      `on 8 connections: ${showSpread(more, 2)} (on one connection: ${showSpread(thanOne, 2)})`,
  ];
}

/** All numbers of rooms, with Postgres so far away. */
async function runScene(
  options: Options,
  stores: StoreUrls,
  awayMs: number,
  load: number,
): Promise<string[]> {
  await using stack = new AsyncDisposableStack();
  const { node, sql } = await openNode(stores, stack, awayMs);
  const { seed, kb, rounds: count, profile } = options;
  const measure = async (form: Form, rooms: number): Promise<Measured> =>
    (await node.ask("measured", { kind: "measure", form, rooms, ms: options["window-ms"] })).measured;

  const results = new Map<number, Round[]>();
  const lines: string[] = [];
  let bytes = 0;
  for (const rooms of ROOMS) {
    await node.ask("opened", { kind: "open", rooms, kb, seed });
    await measure("commit", rooms); // the code is warm, and there are checkpoints to be weighed
    const { rows } = await sql.query<{ bytes: number }>(
      "SELECT round(avg(octet_length(snapshot)))::integer AS bytes FROM ringside.checkpoint",
    );
    bytes = (rows[0]?.bytes ?? 0) + LEDGER_BYTES;
    await node.ask("done", { kind: "weigh", bytes });
    const rounds: Round[] = [];
    for (let index = 0; index < count; index++) {
      const round: Partial<Record<Form, Measured>> = {};
      // What rises or falls over a run then counts for all.
      for (const form of index % 2 === 0 ? FORMS : FORMS.toReversed())
        round[form] = await measure(form, rooms);
      rounds.push(round as Round); // every form has been measured
      const shown = FORMS.map((form) => `${form} ${perSecond((round as Round)[form]).toFixed(0)}/s`);
      process.stderr.write(`  ${rooms} rooms, round ${index + 1}: ${shown.join(", ")}\n`);
    }
    results.set(rooms, rounds);
    if (profile === undefined || rooms === 10) continue;
    await node.ask("done", { kind: "profile", path: undefined });
    await measure("commit", rooms);
    const path = `${profile}.${rooms}-rooms-${awayMs}-ms.cpuprofile`;
    lines.push("", path, ...(await node.ask("profiled", { kind: "profile", path })).lines);
  }
  // Of a cluster it asks for nothing but what Postgres says.
  const cluster = { sql: async (text: string) => (await sql.query(text)).rows } as unknown as TestCluster;
  return [
    ...(awayMs === 0 ? await describeSurroundings(cluster, load) : []),
    "",
    awayMs === 0 ? "Postgres beside the node" : `Postgres ${awayMs} ms further away`,
    `a plain transaction inserts one row of ${bytes} bytes: what a commit stores of the room, and its row`,
    ...table(results),
    ...lines,
    "aims",
    ...aims(results),
  ];
}

async function run(options: Options): Promise<string> {
  const load = othersLoad();
  await using stores = await startStores();
  const { seed, kb, rounds } = options;
  process.stderr.write(`seed ${seed}\n`);
  return [
    `commits of rooms of ${kb} KB with one INSERT each, ${rounds} rounds of windows of ${options["window-ms"]} ms, seed ${seed}`,
    ...(await runScene(options, stores, 0, load)),
    ...(await runScene(options, stores, options["away-ms"], load)),
  ].join("\n");
}

try {
  process.stdout.write(`\n${await run(readOptions())}\n`);
} catch (error) {
  let first: unknown = error;
  // Ctrl-C reaches Postgres as well, and then tidying up fails too: what went wrong first is what is told.
  while (first instanceof SuppressedError) first = first.suppressed;
  process.stderr.write(`bench:commit: ${messageOf(first)}\n`);
  process.exitCode = 1;
}
