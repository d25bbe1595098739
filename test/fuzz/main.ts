// npm run fuzz: requests, frames and calls between nodes that no client would send, to a cluster that others play on.
//
//   npm run fuzz -- [--seed N] [--requests 100000] [--frames 1000000] [--ipc 10000] [--only http:12,frames:7]
//
// What is sent is decided by the seed, a connection's worth at a time (a bout); when a node ends, the last bouts are printed, and
// --only sends these and no others. Exit code 0 when nothing is wrong, 1 when something is, 2 when the run itself failed.

import { parseArgs } from "node:util";
import { systemClock } from "../../src/runtime/clock.ts";
import { startStores } from "../kit/stores.ts";
import { KINDS, type Kind } from "./bouts.ts";
import { fuzz, mega, type FuzzReport } from "./run.ts";

function readOptions(): { seed: number; wanted: Record<Kind, number>; only: [Kind, number][] | undefined } {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
      requests: { type: "string", default: "100000" },
      frames: { type: "string", default: "1000000" },
      ipc: { type: "string" },
      only: { type: "string" },
    },
  });
  const [seed, http, frames] = [values.seed, values.requests, values.frames].map(Number) as [
    number,
    number,
    number,
  ];
  const ipc = Number(values.ipc ?? Math.round(http / 10));
  for (const each of [seed, http, frames, ipc]) {
    if (!Number.isInteger(each) || each < 0)
      throw new Error("--seed, --requests, --frames and --ipc are whole numbers");
  }
  const only = values.only?.split(",").map((text): [Kind, number] => {
    const [name, index] = text.split(":");
    const kind = KINDS.find((each) => each === name);
    if (kind === undefined) throw new Error(`--only takes ${KINDS.join(", ")}, each with a number: frames:7`);
    return [kind, Number(index)];
  });
  return { seed, wanted: { http, frames, ipc }, only };
}

function say(line: string): void {
  process.stderr.write(`${new Date(systemClock.nowMs()).toISOString().slice(11, 19)} ${line}\n`);
}

function tell({ sent, seconds, ends, gaps, inside, printed, wrong, suspects }: FuzzReport): void {
  const lines = [
    `${sent.http} requests, ${sent.frames} frames and ${sent.ipc} requests between nodes; ${seconds} s`,
    `attacked sockets ended: ${Object.entries(ends)
      .map(([end, times]) => `${end} ${times}`)
      .join(", ")}`,
    ...(["before", "during"] as const).map((when) => {
      const { patches, p50Ms, p99Ms, maxMs } = gaps[when];
      return `bystanders ${when}: ${patches} patches, gaps p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms`;
    }),
    ...Object.entries(inside).map(
      ([nodeId, { before, after }]) =>
        `${nodeId}: heap ${mega(before.heapBytes)} -> ${mega(after.heapBytes)} MB, resident ${mega(before.residentBytes)} -> ` +
        `${mega(after.residentBytes)} MB, descriptors ${before.descriptors} -> ${after.descriptors}`,
    ),
    ...(printed.length === 0
      ? []
      : ["printed by nodes:", ...printed.map(([text, times]) => `  ${times} x ${text}`)]),
    ...(suspects.length === 0 ? [] : ["the last bouts:", ...suspects.map((text) => `  ${text}`)]),
    ...(wrong.length === 0 ? ["nothing is wrong"] : ["WRONG:", ...wrong.map((text) => `  ${text}`)]),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function main(): Promise<boolean> {
  const { seed, wanted, only } = readOptions();
  say(
    `npm run fuzz -- --seed ${seed} --requests ${wanted.http} --frames ${wanted.frames} --ipc ${wanted.ipc}`,
  );
  await using stores = await startStores();
  const report = await fuzz({ seed, wanted, only, stores, say });
  tell(report);
  return report.wrong.length === 0;
}

try {
  const isRight = await main();
  process.exit(isRight ? 0 : 1); // the SDK would keep it
} catch (error) {
  process.stderr.write(`fuzz: ${error instanceof Error ? String(error.stack) : String(error)}\n`);
  process.exit(2);
}
