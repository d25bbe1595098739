// What a run did, for whoever reads a failure.

import type { Outcome } from "./simulate.ts";
import { INVARIANTS } from "./invariants.ts";

export function inWords({ breach, counts, recoveredMs, schedule, seed, trace, virtualMs }: Outcome): string {
  const end =
    breach === undefined
      ? `all held; recovered in ${recoveredMs.toFixed(0)} ms`
      : `${breach.id} broken (${INVARIANTS[breach.id]}): ${breach.what}`;
  return [
    `seed ${seed}, ${virtualMs.toFixed(0)} ms: ${end}`,
    `counts: ${JSON.stringify(counts)}`,
    "the faults, with the ms at which they began:",
    ...schedule.map((line) => `  ${line}`),
    "the last events:",
    ...trace.map((line) => `  ${line}`),
    `again: node test/simulation/run.ts --seed ${seed}`,
  ].join("\n");
}
