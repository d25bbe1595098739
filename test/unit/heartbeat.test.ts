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
  let answer: PromiseAnswer = { kind: "promised" };
  const row = (name: string, leaseLeftMs: number) => ({
    incarnation: name,
    node_id: name,
    state: "up",
    lease_left_ms: leaseLeftMs,
    clock_ms: clock.monotonicMs() + 1e12,
    renewed: true,
    view_version: 1,
  });
  const database = {
    run: (statement: string, values: unknown[]) => {
      if (isAway) return Promise.reject(new Error("away"));
      const peers = marked.length > 0 ? [] : [row("peer", isPeerSilent ? -1 : 3_000)];
      if (statement === "renew-lease") return Promise.resolve([row("self", 3_000), ...peers]);
      marked.push(String(values[0]));
      return Promise.resolve([{ node_id: "peer", silent_ms: 0, rooms: 0 }]);
    },
  } as unknown as Database; // run is all of it that is called
  const heartbeat = new Heartbeat({
    config: { leaseMs: 3_000, leaseRenewMs: 500, leaseMarginMs: 250, failsafeMs: 10_000 } as Config,
    clock,
    events,
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
