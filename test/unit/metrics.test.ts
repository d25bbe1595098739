// Events in, Prometheus's text out.

import type { AddressInfo } from "node:net";
import { register } from "@prometheus-io/client";
import { expect, test, vi } from "vitest";
import { EventBus, type Events } from "../../src/events.ts";
import type { Epoch, Incarnation, NodeId, RoomId, SessionId } from "../../src/ids.ts";
import { whereMetricsAre } from "../../src/local/management.ts";
import type { ClusterReport } from "../../src/ops/cluster-report.ts";
import { createManagementServer } from "../../src/ops/management-server.ts";
import { openMetrics, type MeasuredRoom } from "../../src/ops/metrics.ts";
import { Exposition } from "../kit/exposition.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const roomId = "room-1" as RoomId;
const epoch = 2 as Epoch;
const sessionId = "session-1" as SessionId;

function restored(facts: Partial<Events["room:restored"]>): Events["room:restored"] {
  return {
    roomId,
    epoch,
    name: "arena",
    fromNodeId: "node-b" as NodeId,
    fromEpoch: 1 as Epoch,
    checkpointSeq: 9,
    checkpointAgeMs: 1_700,
    seats: 2,
    waitedMs: 30,
    restoreMs: 4,
    rebuildMs: 0.25,
    why: "recovery",
    ...facts,
  };
}

function setUp() {
  const clock = fakeClock(10_000);
  const events = new EventBus();
  const lease = { leftMs: 2_750 };
  let rooms: MeasuredRoom[] = [];
  const backlog = { waiting: 0, opening: 0 };
  const errors: unknown[] = [];
  const metrics = openMetrics({
    clock,
    events,
    lease,
    rooms: () => rooms,
    refusals: { totals: new Map([["origin", 3]]) },
    backlog: () => backlog,
    onError: (error) => errors.push(error),
  });
  return {
    clock,
    events,
    lease,
    backlog,
    errors,
    metrics,
    setRooms: (next: MeasuredRoom[]) => (rooms = next),
    scrape: async () => new Exposition(await metrics.text()),
  };
}

test("[CKP6] gauges are what is so when they are asked for", async () => {
  const { clock, setRooms, scrape, lease, backlog } = setUp();
  Object.assign(backlog, { waiting: 40, opening: 8 });
  setRooms([
    { players: 3, awaited: new Set(), unsavedSinceMs: 8_600, savingSinceMs: undefined },
    { players: 0, awaited: new Set(["a", "b"]), unsavedSinceMs: undefined, savingSinceMs: undefined },
    { players: 1, awaited: new Set(["c"]), unsavedSinceMs: 9_900, savingSinceMs: undefined },
  ]);
  const first = await scrape();
  expect(first.get("ringside_rooms")).toBe(3);
  expect(first.get("ringside_players")).toBe(4);
  expect(first.get("ringside_seats_awaited")).toBe(3);
  expect(first.get("ringside_rooms_waiting")).toBe(40);
  expect(first.get("ringside_rooms_opening")).toBe(8);
  expect(first.get("ringside_lease_left_seconds")).toBe(2.75);
  expect(first.get("ringside_rpo_oldest_seconds")).toBe(1.4);
  expect(first.get("ringside_door_refused_total", { why: "origin" })).toBe(3);

  clock.advance(500);
  lease.leftMs = 0;
  expect((await scrape()).get("ringside_rpo_oldest_seconds")).toBe(1.9);
  expect((await scrape()).get("ringside_lease_left_seconds")).toBe(0);

  setRooms([
    { players: 0, awaited: new Set(), unsavedSinceMs: 500, savingSinceMs: undefined },
    ...Array.from({ length: 99 }, () => ({
      players: 0,
      awaited: new Set(),
      unsavedSinceMs: 10_250,
      savingSinceMs: undefined,
    })),
  ]);
  expect((await scrape()).get("ringside_rpo_oldest_seconds")).toBe(10);
  expect((await scrape()).get("ringside_rpo_p99_seconds")).toBe(0.25);

  setRooms([]);
  const empty = await scrape();
  for (const name of ["rooms", "players", "seats_awaited", "rpo_oldest_seconds", "rpo_p99_seconds"])
    expect(empty.get(`ringside_${name}`), name).toBe(0);
});

test("checkpoints are counted: saved, failed and refused, their bytes, and how long a statement took", async () => {
  const { events, scrape, metrics } = setUp();
  const before = await scrape();
  for (const name of ["saved", "failed", "refused"])
    expect(before.get(`ringside_checkpoints_${name}_total`)).toBe(0);

  events.emit("checkpoint:saved", { rooms: 40, bytes: 9_000, saveMs: 7 });
  events.emit("checkpoint:saved", { rooms: 1, bytes: 300, saveMs: 2_000 });
  events.emit("checkpoint:failed", { rooms: 12, error: "away" });
  events.emit("checkpoint:refused", { roomId, epoch });
  const after = await scrape();
  expect(after.get("ringside_checkpoints_saved_total")).toBe(41);
  expect(after.get("ringside_checkpoint_stored_bytes_total")).toBe(9_300);
  expect(after.get("ringside_checkpoints_failed_total")).toBe(12);
  expect(after.get("ringside_checkpoints_refused_total")).toBe(1);
  expect(after.get("ringside_checkpoint_save_seconds_count")).toBe(2);
  expect(after.get("ringside_checkpoint_save_seconds_sum")).toBeCloseTo(2.007, 9);
  expect(after.get("ringside_checkpoint_save_seconds_bucket", { le: "0.005" })).toBe(0);
  expect(after.get("ringside_checkpoint_save_seconds_bucket", { le: "0.01" })).toBe(1);

  metrics.stop();
  events.emit("checkpoint:saved", { rooms: 1, bytes: 1, saveMs: 1 });
  expect((await scrape()).get("ringside_checkpoints_saved_total")).toBe(41);
});

test("a failover is measured: silence, claim, wait, restore, what was lost, and the players' way back", async () => {
  const { events, scrape } = setUp();
  const lost = {
    lostNodeId: "node-b" as NodeId,
    lostIncarnation: "b" as Incarnation,
    rooms: 1,
  };
  events.emit("node:lost", { ...lost, reason: "refused", silentMs: 120 });
  events.emit("node:lost", { ...lost, reason: "lapsed", silentMs: 3_040 });
  events.emit("rooms:claimed", {
    roomIds: Array.from({ length: 40 }, (_, index) => `room-${index}` as RoomId),
    asked: 64,
    claimMs: 90,
    why: "recovery",
  });
  events.emit("rooms:claimed", { roomIds: [roomId], asked: 1, claimMs: 3, why: "demand" });
  events.emit("room:restored", restored({}));
  events.emit("room:restored", restored({ why: "move", checkpointAgeMs: -3, restoreMs: 2 }));
  events.emit("seat:reclaimed", { roomId, epoch, sessionId, afterMs: 230 });
  events.emit("seat:reclaimed", { roomId, epoch, sessionId, afterMs: 640 });
  events.emit("room:settled", { roomId, epoch, seats: 2, back: 2, firstBackMs: 230, backMs: 640 });
  events.emit("room:settled", { roomId, epoch, seats: 1, back: 0, firstBackMs: null, backMs: 0 });
  const text = await scrape();
  expect(text.get("ringside_node_lost_silence_seconds_sum", { reason: "refused" })).toBe(0.12);
  expect(text.get("ringside_node_lost_silence_seconds_count", { reason: "lapsed" })).toBe(1);
  expect(text.get("ringside_node_lost_silence_seconds_count", { reason: "left" })).toBe(0);
  expect(text.get("ringside_claim_seconds_sum", { why: "recovery" })).toBe(0.09);
  expect(text.get("ringside_claim_rooms_sum", { why: "recovery" })).toBe(40);
  expect(text.get("ringside_claim_rooms_bucket", { why: "recovery", le: "32" })).toBe(0);
  expect(text.get("ringside_claim_rooms_bucket", { why: "demand", le: "1" })).toBe(1);
  expect(text.get("ringside_room_restore_wait_seconds_sum", { why: "recovery" })).toBe(0.03);
  expect(text.get("ringside_room_rebuild_seconds_sum", { why: "recovery" })).toBe(0.00025);
  expect(text.get("ringside_room_rebuild_seconds_bucket", { why: "recovery", le: "0.0001" })).toBe(0);
  for (const which of ["first", "last"])
    expect(text.get(`ringside_room_${which}_player_back_seconds_count`), "nobody came to one").toBe(1);
  expect(text.get("ringside_room_first_player_back_seconds_sum")).toBe(0.23);
  expect(text.get("ringside_room_last_player_back_seconds_sum")).toBe(0.64);
  expect(text.get("ringside_room_restore_seconds_sum", { why: "recovery" })).toBe(0.004);
  expect(text.get("ringside_room_restore_seconds_count", { why: "demand" })).toBe(0);
  expect(text.get("ringside_room_restore_checkpoint_age_seconds_sum", { why: "recovery" })).toBe(1.7);
  expect(text.get("ringside_room_restore_checkpoint_age_seconds_sum", { why: "move" })).toBe(0);
  expect(text.get("ringside_seat_reclaimed_seconds_count")).toBe(2);
  expect(text.get("ringside_seat_reclaimed_seconds_sum")).toBeCloseTo(0.87, 9);
});

test("names follow Prometheus's conventions, the process is measured too, and nothing lands in the global registry", async () => {
  const { families } = await setUp().scrape();
  const own = [...families.values()].filter(({ name }) => name.startsWith("ringside_"));
  expect(own.length).toBeGreaterThanOrEqual(14);
  for (const { name, type, help, samples } of own) {
    expect(name).toMatch(/^[a-z0-9_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(name).not.toMatch(/_(ms|millis\w*|minutes|kb|kilobytes)(_|$)/);
    if (type === "histogram") expect(name).toMatch(/_(seconds|rooms)$/);
    expect(help).toMatch(/\.$/);
    for (const { labels } of samples)
      for (const label of Object.keys(labels)) expect(["le", "why", "reason"]).toContain(label);
  }
  for (const name of [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "nodejs_eventloop_lag_p99_seconds",
  ])
    expect(families.get(name)?.samples, name).toHaveLength(1);
  expect(register.getMetricsAsArray()).toEqual([]);
});

test("there are as many series after a hundred rooms, nodes and players as before the first", async () => {
  const { events, scrape } = setUp();
  const countSeries = async (): Promise<number> =>
    [...(await scrape()).families.values()]
      .filter(({ name }) => name.startsWith("ringside_"))
      .reduce((sum, { samples }) => sum + samples.length, 0);
  const before = await countSeries();
  for (let index = 0; index < 100; index++) {
    const own = { roomId: `room-${index}` as RoomId, epoch };
    const lostNodeId = `node-${index}` as NodeId;
    const lostIncarnation = `incarnation-${index}` as Incarnation;
    for (const why of ["recovery", "demand", "move"] as const)
      events.emit("room:restored", restored({ ...own, fromNodeId: lostNodeId, why }));
    for (const reason of ["refused", "replaced", "lapsed", "left"] as const)
      events.emit("node:lost", { lostNodeId, lostIncarnation, reason, silentMs: index, rooms: index });
    for (const why of ["recovery", "demand"] as const)
      events.emit("rooms:claimed", { roomIds: [own.roomId], asked: index, claimMs: index, why });
    events.emit("room:settled", { ...own, seats: 1, back: 1, firstBackMs: index, backMs: index });
    events.emit("seat:reclaimed", { ...own, sessionId: `session-${index}` as SessionId, afterMs: index });
    events.emit("checkpoint:saved", { rooms: index, bytes: index, saveMs: index });
    events.emit("checkpoint:failed", { rooms: 1, error: `error ${index}` });
    events.emit("checkpoint:refused", own);
  }
  expect(await countSeries()).toBe(before);
});

test("a metric that breaks takes nothing else with it: not the event's other listeners, not the other metrics", async () => {
  const { events, setRooms, scrape, errors } = setUp();
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const heard: string[] = [];
  events.listen((name) => heard.push(name));
  // What no event says, if nobody makes a mistake.
  events.emit("checkpoint:saved", { rooms: Number.POSITIVE_INFINITY, bytes: -1, saveMs: 1 });
  events.emit("node:lost", { reason: "unheard of", silentMs: "long" } as never);
  expect(heard).toEqual(["checkpoint:saved", "node:lost"]);
  warned.mockRestore();

  setRooms([
    {
      get players(): number {
        throw new Error("no players");
      },
      awaited: new Set(),
      unsavedSinceMs: undefined,
      savingSinceMs: undefined,
    },
  ]);
  events.emit("checkpoint:refused", { roomId, epoch });
  const text = await scrape();
  expect(text.get("ringside_checkpoints_refused_total")).toBe(1);
  expect(text.find("ringside_players"), "no old value is shown for one that cannot be read").toBeUndefined();
  expect(errors).toHaveLength(1);
  setRooms([]);
  expect((await scrape()).get("ringside_players")).toBe(0);
});

test("GET /metrics answers in the format's own type; when it cannot, it says so and the rest is answered still", async () => {
  const { metrics } = setUp();
  let isBroken = false;
  const server = createManagementServer({
    readiness: () => ({ isReady: true, why: "ready" }),
    readinessForPlayers: () => ({ isReady: false, why: "not these" }),
    report: () => Promise.resolve({ version: 1 } as ClusterReport),
    metrics: {
      contentType: metrics.contentType,
      text: () => (isBroken ? Promise.reject(new Error("broken")) : metrics.text()),
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
  const answer = await get("/metrics");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(new Exposition(await answer.text()).get("ringside_rooms")).toBe(0);
  isBroken = true;
  const refusal = await get("/metrics");
  expect(refusal.status).toBe(503);
  expect(await refusal.json()).toEqual({ error: "the metrics cannot be read: broken" });
  expect((await get("/livez")).status).toBe(200);
  expect((await get("/readyz")).status).toBe(200);
  expect((await get("/gatewayz")).status, "is for players").toBe(503);
  await new Promise((resolve) => server.close(resolve));
});

test("the local cluster's port says where each node's own metrics are", () => {
  const node = (nodeId: string, managementPort: number) => ({
    nodeId,
    pid: 1,
    publicPort: 1,
    managementPort,
    isDraining: false,
    isReady: true,
    state: "running" as const,
  });
  const nodes = [node("node-a", 4_001), { ...node("node-b", 4_002), state: "exited" as const }];
  expect(whereMetricsAre(nodes)).toBe(
    "each node has its own metrics: http://127.0.0.1:4001/metrics (node-a)",
  );
  expect(whereMetricsAre([])).toMatch(/none runs right now/);
});
