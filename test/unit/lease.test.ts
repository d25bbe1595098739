import { expect, test } from "vitest";
import { Lease } from "../../src/ownership/lease.ts";
import { mayJudge } from "../../src/membership/heartbeat.ts";
import { fakeClock } from "../kit/fake-clock.ts";

test("[OWN4] a lease is counted from before the renewal was asked for, and ends a margin earlier than Postgres's", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  expect(lease.isHeld).toBe(false);
  const askedAtMs = clock.monotonicMs();
  clock.advance(400); // the answer took its time
  lease.renewed(askedAtMs);
  expect(lease.leftMs).toBe(3_000 - 250 - 400);
  clock.advance(2_349);
  expect(lease.isHeld).toBe(true);
  clock.advance(1);
  expect(lease.isHeld).toBe(false);
  expect(lease.leftMs).toBe(0);
});

test("[OWN4] an answer that comes late does not shorten a lease that a later question has won", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  lease.renewed(1_000);
  lease.renewed(500);
  expect(lease.leftMs).toBe(1_000 + 2_750 - clock.monotonicMs());
});

test("[OWN3] a revoked lease never comes back", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  lease.renewed(clock.monotonicMs());
  lease.revoke();
  lease.renewed(clock.monotonicMs());
  expect(lease.isHeld).toBe(false);
});

test.each([
  ["never heard from Postgres", undefined, 10_000, false],
  ["heard from it for less than a lease", 8_000, 10_000, false],
  ["heard from it for a full lease", 7_000, 10_000, true],
])("[OWN5] who %s may judge others' silence: %s", (_what, since, now, may) => {
  expect(mayJudge(since, now, 3_000)).toBe(may);
});
