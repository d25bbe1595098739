// Work in slices: what else is due has its turn in between.

import { expect, test } from "vitest";
import { Turns } from "../../src/runtime/turns.ts";
import { fakeClock } from "../kit/fake-clock.ts";

/** Notes in what order pieces and the turns of the event loop come. */
function setUp(sliceMs: number) {
  const clock = fakeClock();
  const turns = new Turns(clock, sliceMs);
  const order: string[] = [];
  /** A piece that takes so long. */
  const piece = (name: string, ms: number): Promise<string> =>
    turns.run(() => {
      order.push(name);
      clock.advance(ms);
      return name;
    });
  const untilDone = async (work: Promise<unknown>): Promise<void> => {
    let isDone = false;
    void work.finally(() => (isDone = true));
    while (!isDone) {
      order.push("|"); // here ticks would run
      await new Promise(setImmediate);
    }
  };
  return { piece, order, turns, untilDone };
}

test("[REC7] pieces come in the order in which they were asked for, a slice of time a turn", async () => {
  const { piece, order, untilDone } = setUp(4);
  const work = Promise.all([
    piece("a", 1),
    piece("b", 1),
    piece("c", 3),
    piece("d", 1),
    piece("e", 9),
    piece("f", 0),
  ]);
  expect(order, "nothing runs at once").toEqual([]);
  await untilDone(work);
  expect(await work).toEqual(["a", "b", "c", "d", "e", "f"]);
  const slices = order.join("").split("|").filter(Boolean);
  expect(slices).toEqual(["abc", "de", "f"]);
});

test("a piece that throws, or whose promise rejects, costs the others nothing", async () => {
  const { piece, turns, order } = setUp(100);
  const thrown = turns.run(() => {
    throw new Error("thrown");
  });
  const rejected = turns.run(() => Promise.reject(new Error("rejected")));
  const good = piece("good", 1);
  await expect(thrown).rejects.toThrow("thrown");
  await expect(rejected).rejects.toThrow("rejected");
  expect(await good).toBe("good");
  expect(await piece("later", 1)).toBe("later");
  expect(order).toEqual(["good", "later"]);
});

test("a piece that waits for something holds up nobody: only what it does before that is its turn", async () => {
  const { piece, turns } = setUp(1);
  const gate = Promise.withResolvers<string>();
  const waits = turns.run(() => gate.promise);
  expect(await piece("next", 0)).toBe("next");
  gate.resolve("at last");
  expect(await waits).toBe("at last");
});
