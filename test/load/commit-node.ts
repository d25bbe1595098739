// The node of the commit benchmark: the real startNode with rooms that commit, and in the same process, by the same driver
// and to the same Postgres, transactions as one would write them without Ringside.
//
//   node test/load/commit-node.ts     with a node's settings in the environment and an IPC channel

import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { matchMaker } from "@colyseus/core";
import pg from "pg";
import { readConfig } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import { commit } from "../../src/index.ts";
import { startNode } from "../../src/node.ts";
import { connectionSettings } from "../../src/postgres/pool.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { unreachable } from "../../src/runtime/unreachable.ts";
import game, { ROOM_NAME, type BenchOptions, type BenchRoom } from "./bench-game.ts";
import type { Form, FromNode, Measured, ToNode } from "./commit-messages.ts";
import { profileUntil } from "./commit-profile.ts";
import { percentile } from "./figures.ts";

const CONNECTIONS_MAX = 8;
const ENTRY = "INSERT INTO public.bench_ledger (room, item, price) VALUES ($1, $2, $3)";

const tell = (message: FromNode): void => void process.send?.(message);
const end = (error: unknown): never => {
  process.stderr.write(`node: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}\n`);
  process.exit(1);
};
process.on("uncaughtException", end);
process.on("unhandledRejection", end);
process.on("disconnect", () => process.exit(0)); // the benchmark is over; its database goes with it

const config = readConfig(process.env);
const rooms: BenchRoom[] = [];
let payload = randomBytes(1); // random, so that Postgres does not compress it
let profile: Awaited<ReturnType<typeof profileUntil>> | undefined;

// ---- the forms ----

/** One after the other, each when the one before is durable: the state changes a little, and one row is added. */
async function commitOnce(room: BenchRoom, count: number, withQuery: boolean): Promise<void> {
  const [body] = room.state.bodies.values();
  if (body === undefined) throw new Error("the room is empty");
  const values = [room.roomId, count % 500, 5];
  await commit(room, (tx): void | Promise<void> => {
    body.score += 1;
    tx.undo(() => (body.score -= 1));
    if (withQuery) return tx.query(ENTRY, values).then(() => undefined);
    tx.run(ENTRY, values);
  });
}

async function insertOnce(client: pg.ClientBase): Promise<void> {
  await client.query("BEGIN");
  await client.query({
    name: "plain",
    text: "INSERT INTO public.bench_plain (payload) VALUES ($1)",
    values: [payload],
  });
  await client.query("COMMIT");
}

/** @returns what each of `workers` does again and again, and how to tidy up */
function stepsOf(
  form: Form,
  workers: number,
): { step(worker: number, count: number): Promise<void>; end(): Promise<void> } {
  switch (form) {
    case "commit":
    case "commit with query":
      return {
        step: (worker, count) => commitOnce(rooms[worker] as BenchRoom, count, form === "commit with query"),
        end: () => Promise.resolve(),
      };
    case "one connection":
    case "a connection each": {
      const max = form === "one connection" ? 1 : Math.min(workers, CONNECTIONS_MAX);
      const pool = new pg.Pool({ ...connectionSettings(config, "plain"), max });
      return {
        step: async () => {
          const client = await pool.connect();
          await insertOnce(client);
          client.release();
        },
        end: () => pool.end(),
      };
    }
    default:
      return unreachable(form);
  }
}

async function measure(form: Form, count: number, ms: number): Promise<Measured> {
  // Who has one connection can do one at a time: more in the line would only measure the line.
  const workers = form === "one connection" ? 1 : count;
  const { step, end: tidy } = stepsOf(form, workers);
  const tookMs: number[] = [];
  const run = async (untilMs: number): Promise<void> => {
    const work = async (_: unknown, worker: number): Promise<void> => {
      for (let index = 0; performance.now() < untilMs; index++) {
        const startedMs = performance.now();
        await step(worker, index);
        tookMs.push(performance.now() - startedMs);
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
  };
  await run(performance.now() + ms / 5); // connections open, statements are prepared
  tookMs.length = 0;
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
  await run(startedMs + ms);
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  await tidy();
  const measured = { count: tookMs.length, wallMs, cpuMs: (user + system) / 1_000 };
  return { ...measured, p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) };
}

// ---- what it is told ----

async function open(count: number, kb: number, seed: number): Promise<void> {
  while (rooms.length < count) {
    const options = { kb, hz: 1, moves: false, seed: seed + rooms.length } satisfies BenchOptions;
    const { roomId } = await matchMaker.handleCreateRoom(ROOM_NAME, options);
    rooms.push(matchMaker.getLocalRoomById(roomId) as unknown as BenchRoom); // of the only class there is
  }
}

async function obey(message: ToNode): Promise<FromNode> {
  switch (message.kind) {
    case "open":
      await open(message.rooms, message.kb, message.seed);
      return { kind: "opened" };
    case "weigh":
      payload = randomBytes(message.bytes);
      return { kind: "done" };
    case "measure":
      return { kind: "measured", measured: await measure(message.form, message.rooms, message.ms) };
    case "profile":
      if (message.path !== undefined && profile !== undefined) {
        return { kind: "profiled", lines: await profile.end(message.path) };
      }
      profile = await profileUntil();
      return { kind: "done" };
    default:
      return unreachable(message);
  }
}

const events = new EventBus();
events.listen((name, facts) => {
  if (/threw|failed|refused|doubted|lapsed/.test(name))
    process.stderr.write(`node: ${name} ${JSON.stringify(facts)}\n`);
});
await startNode(config, game.game, {
  clock: systemClock,
  events,
  onError: (error) => process.stderr.write(`node: ${messageOf(error)}\n`),
  onFenced: () => end(new Error("others marked this node down: the machine has too much to do")),
});
process.on("message", (message: ToNode) => {
  obey(message).then(tell, (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
    tell({ kind: "failed", error: text });
  });
});
tell({ kind: "ready" });
