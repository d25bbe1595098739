import { expect, test } from "vitest";
import { Batcher } from "../../src/runtime/batcher.ts";

test("[SEAT1] what is asked for in one moment goes out together, and what comes meanwhile goes next", async () => {
  const batches: number[][] = [];
  const gates: (() => void)[] = [];
  const batcher = new Batcher<number, number>({ batchMax: 10, waitingMax: 10 }, async (items) => {
    batches.push([...items]);
    await new Promise<void>((resolve) => gates.push(resolve));
    return items.map((item) => item * 2);
  });
  const first = [batcher.add(1), batcher.add(2)];
  while (gates.length === 0) await new Promise(setImmediate);
  const second = [batcher.add(3), batcher.add(4)];
  gates.shift()?.();
  expect(await Promise.all(first)).toEqual([2, 4]);
  while (gates.length === 0) await new Promise(setImmediate);
  gates.shift()?.();
  expect(await Promise.all(second)).toEqual([6, 8]);
  expect(batches).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

test("past the bound an asker is refused at once, and a batch that fails fails for its own only", async () => {
  let fail = true;
  const batcher = new Batcher<number, number>({ batchMax: 2, waitingMax: 3 }, (items) => {
    if (!fail) return Promise.resolve(items);
    fail = false;
    return Promise.reject(new Error("no"));
  });
  const asked = [1, 2, 3].map((item) => batcher.add(item));
  await expect(batcher.add(4)).rejects.toMatchObject({ code: "TOO_MANY" });
  expect(await Promise.allSettled(asked)).toMatchObject([
    { status: "rejected" },
    { status: "rejected" },
    { status: "fulfilled", value: 3 },
  ]);
  await batcher.idle();
});
