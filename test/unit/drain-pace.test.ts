// How many rooms leave a draining node at the same time.

import { expect, test } from "vitest";
import { movesAtOnce, type DrainFacts } from "../../src/recovery/drain-pace.ts";

const facts = (some: Partial<DrainFacts>): DrainFacts => ({
  waiting: 50,
  underWayMs: [],
  moveMs: 60,
  timeLeftMs: 20_000,
  ...some,
});

test("[MOVE2] where there is time two rooms leave at once, before and after it is known what a move takes", () => {
  expect(movesAtOnce(facts({}))).toBe(2);
  expect(movesAtOnce(facts({ moveMs: undefined }))).toBe(2);
  expect(movesAtOnce(facts({ waiting: 1, moveMs: undefined }))).toBe(2);
});

test("[MOVE2] more leave at once where half of the time would not do for all, and never more than four", () => {
  expect(movesAtOnce(facts({ waiting: 500, moveMs: 50 }))).toBe(3);
  expect(movesAtOnce(facts({ waiting: 5_000 }))).toBe(4);
  expect(movesAtOnce(facts({ timeLeftMs: 500 }))).toBe(4);
  expect(movesAtOnce(facts({ timeLeftMs: 0 }))).toBe(4);
  expect(movesAtOnce(facts({ timeLeftMs: -1 }))).toBe(4);
});

test("[MOVE2] a move that takes long holds up none behind it", () => {
  expect(movesAtOnce(facts({ underWayMs: [10, 249] }))).toBe(2);
  expect(movesAtOnce(facts({ underWayMs: [10, 250] }))).toBe(3);
  expect(movesAtOnce(facts({ underWayMs: [900, 800] }))).toBe(4);
  expect(movesAtOnce(facts({ underWayMs: [900, 800, 700, 600] }))).toBe(4);
});
