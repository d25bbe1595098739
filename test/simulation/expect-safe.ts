// A run in a test: fails with the whole story when an invariant does not hold.

import { expect } from "vitest";
import { inWords } from "./report.ts";
import { simulate, type Outcome } from "./simulate.ts";

/** @throws with the seed, its faults and its last events when something does not hold */
export async function expectSafe(seed: number): Promise<Outcome> {
  const outcome = await simulate({ seed });
  if (outcome.breach !== undefined) expect.fail(inWords(outcome));
  return outcome;
}

/** Runs many seeds, and says how fast. */
export async function expectAllSafe(fromSeed: number, count: number): Promise<void> {
  const startedMs = performance.now();
  const totals: Record<string, number> = {};
  for (let seed = fromSeed; seed < fromSeed + count; seed++) {
    const { counts } = await expectSafe(seed);
    for (const [name, value] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + value;
  }
  const rate = (count * 1_000) / (performance.now() - startedMs);
  const each = Object.entries(totals).map(([name, total]) => `${(total / count).toFixed(1)} ${name}`);
  process.stdout.write(
    `seeds ${fromSeed}-${fromSeed + count - 1}: ${rate.toFixed(1)} a second; each ${each.join(", ")}\n`,
  );
  // A simulator in which nothing happens would hold whatever is claimed of it.
  for (const [name, value] of Object.entries(totals)) expect(value, name).toBeGreaterThan(count);
}
