// Whether the simulator sees anything: builds that are broken in one place must each be found out within a few seeds.

import { expect, test } from "vitest";
import { SABOTAGES } from "./sabotages.ts";
import { simulate } from "./simulate.ts";

const SEEDS_MAX = 20;

test.each(SABOTAGES)("it is found out that $name", async (sabotage) => {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { breach } = await simulate({ seed, sabotage });
    if (breach === undefined) continue;
    process.stdout.write(`${sabotage.name}: found by seed ${seed}, ${breach.id}\n`);
    expect(sabotage.breaks, breach.what).toContain(breach.id);
    return;
  }
  expect.fail(`${SEEDS_MAX} seeds have not found out that ${sabotage.name}`);
});
