import { expect, test } from "vitest";
import { JoinDeadline } from "../../src/gateway/join-deadline.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("[GATE7] the deadline of a join runs out once, and not for who has answered", async () => {
  const clock = fakeClock();
  let times = 0;
  const deadline = new JoinDeadline(clock, 5_000, () => (times += 1));
  deadline.start();
  clock.advance(4_999);
  deadline.stop();
  clock.advance(10_000);
  await soon();
  expect(times).toBe(0);
  deadline.start();
  clock.advance(3_000);
  deadline.start(); // told anew, by the next owner
  clock.advance(4_000);
  await soon();
  expect(times).toBe(0);
  clock.advance(1_000);
  await soon();
  expect(times).toBe(1);
  expect(deadline.isRunning).toBe(false);
});

test("[GATE7] an answer that came while the process stood still counts", async () => {
  const clock = fakeClock();
  let times = 0;
  const deadline = new JoinDeadline(clock, 5_000, () => (times += 1));
  deadline.start();
  clock.advance(5_000); // the timer is due, and what came in comes after it
  deadline.stop();
  await soon();
  expect(times).toBe(0);
});
