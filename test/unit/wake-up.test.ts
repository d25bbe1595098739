// Waiting for a time, or for what may happen before.

import { expect, test } from "vitest";
import { WakeUp } from "../../src/runtime/wake-up.ts";
import { fakeClock } from "../kit/fake-clock.ts";

test("a wait ends after its time, or with all others, and whoever waited is forgotten", async () => {
  const clock = fakeClock();
  const wakeUp = new WakeUp(clock);
  const over: string[] = [];
  const wait = (name: string, ms: number): Promise<number> => wakeUp.wait(ms).then(() => over.push(name));
  void wait("short", 10);
  void wait("none", 0);
  const long = [wait("long", 1_000), wait("longer", 2_000)];
  clock.advance(10);
  await new Promise(setImmediate);
  expect([over, wakeUp.waiting]).toEqual([["none", "short"], 2]);
  wakeUp.wakeAll();
  expect(wakeUp.waiting).toBe(0);
  await Promise.all(long);
  expect(over).toEqual(["none", "short", "long", "longer"]);
  clock.advance(5_000);
  wakeUp.wakeAll();
  const again = wait("again", 50);
  expect(wakeUp.waiting).toBe(1);
  clock.advance(50);
  await again;
  expect([over.length, wakeUp.waiting]).toEqual([5, 0]);
});
