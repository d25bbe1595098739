// Whom a node marks down, and when, against a Postgres that answers as scripted.

import { expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import type { Incarnation } from "../../src/ids.ts";
import { Heartbeat } from "../../src/membership/heartbeat.ts";
import { Lease } from "../../src/ownership/lease.ts";
import type { Database } from "../../src/postgres/query.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const turns = async (): Promise<void> => {
  for (let count = 0; count < 5; count++) await new Promise(setImmediate);
};

function setUp() {
  const clock = fakeClock();
  const lease = new Lease(clock, 3_000, 250);
  const marked: string[] = [];
  const events = new EventBus();
  let isPeerSilent = false;
  const row = (name: string, leaseLeftMs: number) => ({
    incarnation: name,
    node_id: name,
    state: "up",
    lease_left_ms: leaseLeftMs,
    renewed: true,
    view_version: 1,
  });
  const database = {
    run: (statement: string, values: unknown[]) => {
      const peers = marked.length > 0 ? [] : [row("peer", isPeerSilent ? -1 : 3_000)];
      if (statement === "renew-lease") return Promise.resolve([row("self", 3_000), ...peers]);
      marked.push(String(values[0]));
      return Promise.resolve([{ node_id: "peer", silent_ms: 0, rooms: 0 }]);
    },
  } as unknown as Database; // run is all of it that is called
  const heartbeat = new Heartbeat({
    config: { leaseMs: 3_000, leaseRenewMs: 500 } as Config,
    clock,
    events,
    database,
    lease,
    incarnation: "self" as Incarnation,
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
  return { clock, heartbeat, marked, beats, silence: () => (isPeerSilent = true) };
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
