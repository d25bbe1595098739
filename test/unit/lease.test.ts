import { expect, test } from "vitest";
import { Lease } from "../../src/ownership/lease.ts";
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

test("[OWN7] what the peers promise makes a lease longer, up to when it ends whatever they say", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  lease.renewed(clock.monotonicMs());
  clock.advance(2_000);
  lease.extended(clock.monotonicMs(), Number.POSITIVE_INFINITY);
  expect(lease.leftMs).toBe(2_750);
  clock.advance(2_000);
  lease.extended(clock.monotonicMs(), clock.monotonicMs() + 1_000);
  expect(lease.leftMs).toBe(1_000);
  lease.extended(clock.monotonicMs(), clock.monotonicMs() - 1);
  expect(lease.leftMs, "a promise takes nothing away").toBe(1_000);
});

test("[OWN7] what was promised ends with an answer of Postgres that says so, though it reached further", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  const askedAtMs = clock.monotonicMs();
  lease.renewed(askedAtMs);
  clock.advance(1_300);
  lease.extended(clock.monotonicMs(), Number.POSITIVE_INFINITY);
  lease.renewed(askedAtMs);
  expect(lease.leftMs).toBe(2_750);
  lease.renewed(askedAtMs, true);
  expect(lease.leftMs).toBe(2_750 - 1_300);
});

test("[OWN7] a lease that is over is given back by Postgres only", () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  lease.renewed(clock.monotonicMs());
  clock.advance(2_750);
  lease.extended(clock.monotonicMs(), Number.POSITIVE_INFINITY);
  expect(lease.isHeld).toBe(false);
  lease.renewed(clock.monotonicMs());
  expect(lease.isHeld).toBe(true);
});
