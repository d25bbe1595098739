import { expect, test } from "vitest";
import { MessageBudget } from "../../src/gateway/message-budget.ts";
import { fakeClock } from "../kit/fake-clock.ts";

/** How many of `times` were within the budget. */
function said(budget: MessageBudget, times: number): number {
  let within = 0;
  for (let i = 0; i < times; i++) if (budget.spend()) within += 1;
  return within;
}

test("[GATE7] who says no more than the limit is never stopped, evenly or in bursts", () => {
  const clock = fakeClock();
  const even = new MessageBudget(clock, 50);
  const bursts = new MessageBudget(clock, 50);
  for (let second = 0; second < 30; second++) {
    for (let tenth = 0; tenth < 10; tenth++) {
      expect(said(even, 5)).toBe(5);
      clock.advance(100);
    }
    if (second % 4 === 3) expect(said(bursts, 200), "four seconds at once").toBe(200);
  }
});

test("[GATE7] who says twice as much is stopped, after the burst", () => {
  const clock = fakeClock();
  const budget = new MessageBudget(clock, 50);
  let seconds = 0;
  while (said(budget, 100) === 100 && seconds < 100) {
    seconds += 1;
    clock.advance(1_000);
  }
  expect(seconds).toBeGreaterThanOrEqual(3);
  expect(seconds).toBeLessThanOrEqual(8);
});

test("[GATE7] all at once is four seconds' worth, and not one more", () => {
  expect(said(new MessageBudget(fakeClock(), 50), 10_000)).toBe(200);
});

test("[GATE7] a room's own limit wins, below the default and above it, and goes with the room", () => {
  const budget = new MessageBudget(fakeClock(), 50);
  budget.follow(5);
  expect(said(budget, 100)).toBe(5);
  budget.follow(5); // the same room again, at its next owner, is no new grant
  expect(said(budget, 100)).toBe(0);
  budget.follow(1_000);
  expect(said(budget, 10_000)).toBe(1_000);
  budget.follow(undefined);
  expect(said(budget, 10_000)).toBe(200);
  budget.follow(0);
  expect(said(budget, 10)).toBe(0);
});

test("[GATE7] what could not be read for a while is no flood when it comes at once", () => {
  const clock = fakeClock();
  const budget = new MessageBudget(clock, 10);
  expect(said(budget, 40)).toBe(40);
  clock.advance(30_000);
  budget.wasDeaf(30_000);
  expect(said(budget, 300)).toBe(300);
});
