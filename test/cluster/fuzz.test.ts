// A short run of the fuzzer with a seed that does not change. `npm run fuzz` is the long one.

import { expect, inject, test } from "vitest";
import { fuzz } from "../fuzz/run.ts";

const SEED = 8;

test("[GATE3] [GATE7] [IPC1] what no client would send ends nothing but its own connection", async () => {
  const { gaps, printed, seconds, sent, suspects, wrong } = await fuzz({
    seed: SEED,
    wanted: { http: 4_000, frames: 25_000, ipc: 600 },
    stores: { databaseUrl: inject("databaseUrl"), redisUrl: inject("redisUrl") },
    say: () => {},
  });
  expect(wrong, [...suspects, ...printed.map(([text, times]) => `${times} x ${text}`)].join("\n")).toEqual(
    [],
  );
  expect(sent.frames).toBeGreaterThanOrEqual(25_000);
  // The machine is busy with the attack itself; a room that stood still would show.
  expect(gaps.during.p99Ms, `${JSON.stringify(gaps)} in ${seconds} s`).toBeLessThan(1_000);
});
