// Whom a node marks down, and when, against a Postgres that answers as scripted.

import { expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import type { Incarnation } from "../../src/ids.ts";
import { Heartbeat } from "../../src/membership/heartbeat.ts";
import { Lease } from "../../src/ownership/lease.ts";
import type { PromiseAnswer } from "../../src/membership/peer-network.ts";
import type { Database } from "../../src/postgres/query.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const turns = async (): Promise<void> => {
  for (let count = 0; count < 5; count++) await new Promise(setImmediate);
};

function setUp() {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  const marked: string[] = [];
  const told: string[] = [];
  const events = new EventBus();
  events.listen((name) => void told.push(name));
  let isPeerSilent = false;
  let isAway = false;
  let isMarkingHeld = false;
  let held: PromiseWithResolvers<void> | undefined;
  let hasNewcomer = false;
  let answer: PromiseAnswer = { kind: "promised" };
  const row = (name: string, leaseLeftMs: number) => ({
    incarnation: name,
    node_id: name,
    state: "up",
    lease_left_ms: leaseLeftMs,
    silent_ms: 3_000 - leaseLeftMs,
    clock_ms: clock.monotonicMs() + 1e12,
    renewed: true,
    view_version: 1,
  });
  const database = {
    run: async (statement: string, values: unknown[]) => {
      if (isAway) throw new Error("away");
      const peers = marked.length > 0 ? [] : [row("peer", isPeerSilent ? -1 : 3_000)];
      if (statement === "renew-lease") {
        await held?.promise;
        return [row("self", 3_000), ...peers, ...(hasNewcomer ? [row("newcomer", 3_000)] : [])];
      }
      if (isMarkingHeld) return new Promise(() => {}); // its row is somebody else's for now
      marked.push(String(values[0]));
      return [{ node_id: "peer", silent_ms: 0, rooms: 0 }];
    },
  } as unknown as Database; // run is all of it that is called
  const heartbeat = new Heartbeat({
    config: { leaseMs: 3_000, leaseRenewMs: 500, leaseMarginMs: 250, failsafeMs: 10_000 } as Config,
    clock,
    events,
    leaseDatabase: database,
    database,
    lease,
    incarnation: "self" as Incarnation,
    network: {
      link: () => Promise.resolve({ outcome: "silent" }),
      askPromise: () => Promise.resolve(answer),
    },
    onView: () => {},
    onResumed: () => {},
    roomCount: () => 0,
    onFenced: () => {},
  });
  const beats = async (ms: number): Promise<void> => {
    for (let gone = 0; gone < ms; gone += 500) {
      clock.advance(500);
      await turns();
    }
  };
  heartbeat.linkedBy("peer" as Incarnation);
  return {
    clock,
    heartbeat,
    lease,
    marked,
    told,
    beats,
    silence: () => (isPeerSilent = true),
    holdMarking: () => (isMarkingHeld = true),
    /** Answers wait. @returns lets them go */
    hold: () => {
      const { resolve } = (held = Promise.withResolvers());
      return resolve;
    },
    newcomer: () => (hasNewcomer = true),
    away: (is: boolean) => void (isAway = is),
    answers: (other: PromiseAnswer) => void (answer = other),
  };
}

test("[OWN5] a node that has heard from Postgres for a full lease marks a silent peer down", async () => {
  const { heartbeat, marked, beats, silence } = setUp();
  await heartbeat.start();
  silence();
  await beats(2_500);
  expect(marked).toEqual([]);
  await beats(1_000);
  expect(marked[0]).toBe("peer");
  await heartbeat.stop();
});

test("[OWN5] a node that was itself stopped for longer than its lease gives the others the time to renew", async () => {
  const { clock, heartbeat, marked, beats, silence } = setUp();
  await heartbeat.start();
  await beats(5_000);
  silence();
  clock.advance(4_000); // everybody stands still, and this node is the first to wake
  await turns();
  expect(marked).toEqual([]);
  await beats(2_500);
  expect(marked).toEqual([]);
  await beats(1_000);
  expect(marked[0]).toBe("peer");
  await heartbeat.stop();
});

test("[OWN7] while Postgres is away for all, a node goes on by its peers' promises, up to FAILSAFE_MS", async () => {
  const { heartbeat, lease, told, beats, away } = setUp();
  await heartbeat.start();
  await beats(1_000);
  away(true);
  await beats(8_000);
  expect(lease.isHeld).toBe(true);
  expect(told.filter((name) => name.startsWith("failsafe:"))).toEqual(["failsafe:entered"]);
  await beats(2_500);
  expect(lease.isHeld).toBe(false);
  expect(told).toContain("lease:lapsed");
  away(false);
  await beats(1_000);
  expect(lease.isHeld).toBe(true);
  expect(told).toContain("failsafe:left");
  await heartbeat.stop();
});

test("[OWN7] it stops when a peer reaches Postgres, and is told so once", async () => {
  const { heartbeat, lease, told, beats, away, answers } = setUp();
  await heartbeat.start();
  await beats(1_000);
  away(true);
  answers({ kind: "refused", why: "a peer reaches Postgres" });
  await beats(3_000);
  expect(lease.isHeld).toBe(false);
  expect(told.filter((name) => name.startsWith("failsafe:"))).toEqual(["failsafe:denied"]);
  answers({ kind: "promised" });
  await beats(2_000);
  expect(lease.isHeld, "a lease that was over").toBe(false);
  await heartbeat.stop();
});

test("[OWN7] a node that reaches Postgres promises nothing; one that does not keeps its promise when it does", async () => {
  const { heartbeat, marked, beats, away, silence } = setUp();
  await heartbeat.start();
  await beats(1_000);
  const peer = "peer" as Incarnation;
  expect(heartbeat.promise(peer, 3_000).kind).toBe("refused");
  away(true);
  await beats(1_000);
  silence();
  expect(heartbeat.promise(peer, 9_000)).toEqual({ kind: "promised" });
  away(false);
  await beats(7_500);
  expect(marked).toEqual([]);
  await beats(1_500);
  expect(marked[0]).toBe("peer");
  await heartbeat.stop();
});

test("[OWN6] a node whose word of another's silence is held up renews its own lease meanwhile", async () => {
  const { heartbeat, lease, beats, silence, holdMarking } = setUp();
  await heartbeat.start();
  holdMarking();
  silence();
  for (let count = 0; count < 20; count++) {
    await beats(500);
    expect(lease.leftMs).toBeGreaterThan(2_000);
  }
  void heartbeat.stop(); // that word is never answered
});

test.each([
  ["names nobody else: they hold", false, true],
  ["names somebody who has promised nothing: they end", true, false],
])("[OWN7] an answer of Postgres that comes after its promises %s", async (_what, isNamed, isHeld) => {
  const { clock, heartbeat, lease, told, hold, newcomer, answers } = setUp();
  await heartbeat.start();
  const release = hold();
  clock.advance(500);
  const askedAtMs = clock.monotonicMs();
  await turns();
  // One by one, as far as it asks its peers; Postgres has carried it out long ago.
  for (let gone = 0; gone < 1_500; gone += 50) {
    clock.advance(50);
    await turns();
  }
  expect(told).toContain("failsafe:entered");
  expect(clock.monotonicMs() + lease.leftMs, "further than Postgres's answer").toBeGreaterThan(
    askedAtMs + 2_750,
  );
  if (isNamed) newcomer();
  answers({ kind: "silent" });
  release();
  await turns();
  expect(told).toContain("failsafe:left");
  const again = hold();
  clock.advance(askedAtMs + 2_750 - clock.monotonicMs());
  expect(lease.isHeld).toBe(isHeld);
  again();
  await heartbeat.stop();
});
