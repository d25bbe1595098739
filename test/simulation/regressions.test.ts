// Seeds that once failed, and the simulator's own promise: that a seed is enough to see a run again.

import { expect, test } from "vitest";
import { expectSafe } from "./expect-safe.ts";
import { REGRESSIONS } from "./regressions.ts";
import { simulate } from "./simulate.ts";

test.each(REGRESSIONS)("[OWN5] [OWN6] seed $seed holds, which once showed: $showed", async ({ seed }) => {
  await expectSafe(seed);
});

test("a seed gives the same run each time, to the last event", async () => {
  for (const seed of [3, 17, 42]) {
    const [first, second] = [
      await simulate({ seed, isDigested: true }),
      await simulate({ seed, isDigested: true }),
    ];
    expect(second.digest).toBe(first.digest);
    expect(second.trace).toEqual(first.trace);
  }
});

test("other seeds give other runs", async () => {
  const digests = new Set<number>();
  for (let seed = 1; seed <= 10; seed++) digests.add((await simulate({ seed, isDigested: true })).digest);
  expect(digests.size).toBe(10);
});
