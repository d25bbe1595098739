// What a crash would lose now, summed up over many rooms.

import fc from "fast-check";
import { expect, test } from "vitest";
import { percentile, rpoMs, summarizeRpo } from "../../src/ops/rpo.ts";

test("[CKP6] a room would lose what is unsaved since its oldest unsaved change; nothing unsaved is 0", () => {
  expect(rpoMs({ unsavedSinceMs: undefined, savingSinceMs: undefined }, 5_000)).toBe(0);
  expect(rpoMs({ unsavedSinceMs: 5_000, savingSinceMs: undefined }, 5_000), "just now").toBe(1);
  expect(rpoMs({ unsavedSinceMs: 3_600.4, savingSinceMs: undefined }, 5_000)).toBe(1_400);
});

test("[CKP6] what is on its way to Postgres is not there yet", () => {
  expect(rpoMs({ unsavedSinceMs: undefined, savingSinceMs: 3_000 }, 5_000)).toBe(2_000);
  expect(rpoMs({ unsavedSinceMs: 4_900, savingSinceMs: 3_000 }, 5_000)).toBe(2_000);
});

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test.each<[string, number[], { oldestMs: number; p99Ms: number }]>([
  ["no rooms", [], { oldestMs: 0, p99Ms: 0 }],
  ["one room", [700], { oldestMs: 700, p99Ms: 700 }],
  ["rooms with nothing unsaved", [0, 0, 0], { oldestMs: 0, p99Ms: 0 }],
  ["fewer than 100: the 99th percentile is the oldest", [30, 10, 20], { oldestMs: 30, p99Ms: 30 }],
  ["exactly 100: one may be worse", upTo(100), { oldestMs: 100, p99Ms: 99 }],
  ["101: still one", upTo(101), { oldestMs: 101, p99Ms: 100 }],
  ["200: two may be worse", upTo(200).reverse(), { oldestMs: 200, p99Ms: 198 }],
  [
    "those with nothing unsaved count: 99 idle rooms and one stuck one",
    [60_000, ...upTo(99).fill(0)],
    { oldestMs: 60_000, p99Ms: 0 },
  ],
  ["numbers, not words, are compared", [9, 1_000, 80], { oldestMs: 1_000, p99Ms: 1_000 }],
])("[CKP6] oldest and 99th percentile of %s", (_what, values, expected) => {
  expect(summarizeRpo(values)).toEqual(expected);
});

test("[CKP6] a percentile's rank is exact", () => {
  expect(percentile(upTo(25), 28)).toBe(7);
  expect(percentile(upTo(100), 7)).toBe(7);
});

test("[CKP6] a percentile is the smallest measured value that enough of the values do not exceed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(100_000), { minLength: 1, maxLength: 1_500 }),
      fc.integer({ min: 1, max: 100 }),
      (values, percent) => {
        const before = [...values];
        const found = percentile(values, percent);
        expect(values).toEqual(before); // it sorts a copy
        expect(values).toContain(found);
        // In whole numbers: count * 100 >= percent * n.
        const atMost = values.filter((value) => value <= found).length;
        const below = values.filter((value) => value < found).length;
        expect(atMost * 100).toBeGreaterThanOrEqual(percent * values.length);
        expect(below * 100).toBeLessThan(percent * values.length);
      },
    ),
    { numRuns: 300 },
  );
});
