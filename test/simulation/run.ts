// node test/simulation/run.ts --seed 17            one run, with its schedule and its last events
// node test/simulation/run.ts --seeds 1-2000       many, with what they had in common
// node test/simulation/run.ts --seeds 1-20 --sabotage <name>

import { parseArgs } from "node:util";
import { inWords } from "./report.ts";
import { SABOTAGES } from "./sabotages.ts";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: { seed: { type: "string" }, seeds: { type: "string" }, sabotage: { type: "string" } },
});
const sabotage = SABOTAGES.find(({ name }) => name === values.sabotage);
const chosen = sabotage === undefined ? {} : { sabotage };
if (values.sabotage !== undefined && sabotage === undefined) {
  throw new Error(
    `there is no sabotage ${values.sabotage}; there are ${SABOTAGES.map(({ name }) => name).join(", ")}`,
  );
}
const [from = 1, to = from] = (values.seed ?? values.seeds ?? "1-200").split("-").map(Number);

const startedMs = performance.now();
const counts: Record<string, number> = {};
let failed = 0;
let slowestMs = 0;
for (let seed = from; seed <= to; seed++) {
  const outcome = await simulate({ seed, ...chosen });
  for (const [name, count] of Object.entries(outcome.counts)) counts[name] = (counts[name] ?? 0) + count;
  slowestMs = Math.max(slowestMs, outcome.recoveredMs);
  if (values.seed !== undefined) process.stdout.write(`${inWords(outcome)}\n`);
  if (outcome.breach === undefined) continue;
  failed += 1;
  if (values.seed === undefined) {
    process.stdout.write(`seed ${seed}: ${outcome.breach.id} ${outcome.breach.what}\n`);
  }
}
const seconds = (performance.now() - startedMs) / 1_000;
const seeds = to - from + 1;
const each = Object.entries(counts).map(([name, count]) => `${(count / seeds).toFixed(1)} ${name}`);
process.stdout.write(
  `${seeds} seeds in ${seconds.toFixed(1)} s (${(seeds / seconds).toFixed(1)}/s), ${failed} failed; ` +
    `slowest recovery ${slowestMs.toFixed(0)} ms; a seed: ${each.join(", ")}\n`,
);
process.exitCode = failed > 0 ? 1 : 0;
