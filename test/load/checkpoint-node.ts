// One node of the checkpoint benchmark: the real startNode with the bench game, and a channel over which it is told to open
// rooms, to hold its checkpoints, and to tell what it did. Everything it tells it has measured itself.
//
//   node test/load/checkpoint-node.ts     with a node's settings in the environment and an IPC channel

import { PerformanceObserver, performance } from "node:perf_hooks";
import { matchMaker } from "@colyseus/core";
import { Encoder } from "@colyseus/schema";
import { readConfig } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import { startNode } from "../../src/node.ts";
import { unreachable } from "../../src/runtime/unreachable.ts";
import game, { BenchRoom, lateness, ROOM_NAME, type BenchOptions } from "./bench-game.ts";
import { measureEncoding } from "./checkpoint-encode.ts";
import { holdCheckpoints } from "./checkpoint-hold.ts";
import type { FromNode, NodeSample, ToNode } from "./checkpoint-messages.ts";
import { startProfile } from "./checkpoint-profile.ts";

const OPENED_AT_ONCE = 16;
/** Colyseus's own size of the buffer of each room. */
const BUFFER_KB = 8;

/** Before the rooms are there: the buffer is to hold a full state, which is smaller than a checkpoint's body. */
function prepareFor(kb: number): void {
  Encoder.BUFFER_SIZE = Math.ceil(Math.max(BUFFER_KB, kb)) * 1_024;
}

const tell = (message: FromNode): void => void process.send?.(message);
const end = (error: unknown): never => {
  process.stderr.write(`node: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}\n`);
  process.exit(1);
};
process.on("uncaughtException", end);
// As in main.ts: one room's or one player's trouble.
process.on("unhandledRejection", (error) => process.stderr.write(`node: ${messageOf(error)}\n`));
process.on("disconnect", () => process.exit(0)); // the benchmark is over; its database goes with it

// ---- what is counted ----

const counts = { saved: 0, statements: 0, saveMsMax: 0, failed: 0, gcMs: 0 };
const events = new EventBus();
events.listen((name, facts) => {
  // The name tells which facts come with it.
  if (name === "checkpoint:saved") {
    const { rooms, saveMs } = facts as { rooms: number; saveMs: number };
    counts.saved += rooms;
    counts.statements += 1;
    counts.saveMsMax = Math.max(counts.saveMsMax, saveMs);
  } else if (name === "checkpoint:failed" || name === "checkpoint:refused" || name === "room:threw") {
    counts.failed += 1;
    process.stderr.write(`node: ${name} ${JSON.stringify(facts)}\n`);
  } else if (name === "lease:lapsed") process.stderr.write("node: its lease lapsed: too much load\n");
});
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) counts.gcMs += entry.duration;
}).observe({ entryTypes: ["gc"] });

let since = { ms: performance.now(), cpu: process.cpuUsage(), loop: performance.eventLoopUtilization() };

function sample(): NodeSample {
  const now = { ms: performance.now(), cpu: process.cpuUsage(), loop: performance.eventLoopUtilization() };
  const cpuUs = now.cpu.user + now.cpu.system - since.cpu.user - since.cpu.system;
  const taken = {
    wallMs: now.ms - since.ms,
    cpuMs: cpuUs / 1_000,
    utilization: performance.eventLoopUtilization(now.loop, since.loop).utilization,
    ticks: lateness.count,
    lateP50Us: lateness.percentile(50),
    lateP99Us: lateness.percentile(99),
    lateMaxUs: lateness.max,
    heapMb: process.memoryUsage().heapUsed / 2 ** 20,
    ...counts,
  };
  lateness.reset();
  Object.assign(counts, { saved: 0, statements: 0, saveMsMax: 0, failed: 0, gcMs: 0 });
  since = now;
  return taken;
}

// ---- what it is told ----

async function openRooms(
  count: number,
  moving: number,
  room: Omit<BenchOptions, "moves">,
): Promise<string[]> {
  const opened: string[] = [];
  prepareFor(room.kb);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const options = { ...room, moves: index < moving, seed: room.seed + index } satisfies BenchOptions;
      // Here, whatever the ring says: a node of the benchmark is told how many rooms it has.
      const { roomId } = await matchMaker.handleCreateRoom(ROOM_NAME, options);
      if (options.moves) opened.push(roomId);
    }
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, work));
  return opened;
}

async function openForEncoding(room: BenchOptions): Promise<BenchRoom> {
  prepareFor(room.kb);
  const { roomId } = await matchMaker.handleCreateRoom(ROOM_NAME, room);
  return matchMaker.getLocalRoomById(roomId) as unknown as BenchRoom; // of the only class there is
}

const hold = holdCheckpoints();
let profile: Awaited<ReturnType<typeof startProfile>> | undefined;

async function obey(message: ToNode): Promise<FromNode> {
  switch (message.kind) {
    case "open":
      return { kind: "opened", moving: await openRooms(message.count, message.moving, message.room) };
    case "checkpoints":
      await hold.set(!message.on);
      return { kind: "done" };
    case "sample":
      return { kind: "sampled", sample: sample() };
    case "encode": {
      const from = await openForEncoding({ ...message.room, moves: true });
      const into = await openForEncoding({ ...message.room, moves: false });
      const figures = await measureEncoding(from, into, message.rounds);
      from.autoDispose = into.autoDispose = true;
      await Promise.all([from.disconnect(), into.disconnect()]);
      return { kind: "encoded", figures };
    }
    case "profile": {
      if (message.path !== undefined && profile !== undefined) {
        return { kind: "profiled", figures: await profile.end(message.path) };
      }
      profile = await startProfile();
      return { kind: "done" };
    }
    default:
      return unreachable(message);
  }
}

const node = await startNode(readConfig(process.env), game.game, {
  clock: hold.clock,
  events,
  onError: (error) => process.stderr.write(`node: ${messageOf(error)}\n`),
  onFenced: () => end(new Error("others marked this node down: the machine has too much to do")),
});
process.on("message", (message: ToNode) => {
  obey(message).then(tell, (error: unknown) => {
    tell({
      kind: "failed",
      error: error instanceof Error ? (error.stack ?? error.message) : messageOf(error),
    });
  });
});
tell({ kind: "ready", publicPort: node.publicPort, internalPort: node.internalPort });
