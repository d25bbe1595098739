// A node with many rooms is killed: in which order they come back, and what cannot hold them up.

import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { Exposition } from "../kit/exposition.ts";
import { Gate } from "../kit/gate.ts";
import { Player } from "../kit/player.ts";
import { until } from "../kit/until.ts";

/** How many rooms have so many players. */
const ROOMS = [
  { players: 4, rooms: 5 },
  { players: 3, rooms: 10 },
  { players: 2, rooms: 15 },
  { players: 1, rooms: 28 },
  { players: 0, rooms: 2 },
];
const COUNT = ROOMS.reduce((sum, { rooms }) => sum + rooms, 0);
const AT_ONCE = 2;
/** What recovery-plan.ts makes of it: one more for a room that is waited for, sixteen that are slow. */
const OPENINGS_MAX = AT_ONCE + 1 + 8 * AT_ONCE;
/** Two that are opened at the same time may be told of in either order. */
const NEIGHBOURS = 3;

async function fill(cluster: TestCluster): Promise<Map<string, Player[]>> {
  const rooms = new Map<string, Player[]>();
  const wanted = ROOMS.flatMap(({ players, rooms: count }) => Array.from({ length: count }, () => players));
  const makeOne = async (players: number): Promise<void> => {
    const first = await Player.create(cluster.client(), "gated");
    const all = [first];
    while (all.length < players) all.push(await Player.join(cluster.client(), first.roomId));
    if (players === 0) await first.room.leave();
    for (const { room } of all) room.reconnection.enabled = false; // comes back when the test says so
    rooms.set(first.roomId, players === 0 ? [] : all);
  };
  const worker = async (): Promise<void> => {
    for (let players = wanted.pop(); players !== undefined; players = wanted.pop()) await makeOne(players);
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  return rooms;
}

async function scrape(node: TestNode): Promise<Exposition> {
  return new Exposition(await (await fetch(`http://127.0.0.1:${node.managementPort}/metrics`)).text());
}

test("[REC7] [REC4] sixty rooms come back fullest first, one that is waited for at once; what hangs or is damaged holds up nobody", async () => {
  await using gate = await Gate.open();
  await using cluster = await startCluster({
    game: "kit/gated-game.ts",
    nodes: 1,
    env: {
      CHECKPOINT_MS: "100",
      RESTORES_AT_ONCE_MAX: String(AT_ONCE),
      OPEN_MS: "60000", // what hangs does so until this test is over
      GATE_URL: gate.url,
    },
  });
  const owner = cluster.node("node-a");
  const rooms = await fill(cluster);
  const saved = await until("every room is saved with its players", async () => {
    const rows = await cluster.sql<{ room_id: string; players: number }>(
      "SELECT room_id, players FROM room r WHERE EXISTS (SELECT 1 FROM checkpoint c WHERE c.room_id = r.room_id)",
    );
    return (
      rows.length === COUNT &&
      rows.every(({ room_id: id, players }) => rooms.get(id)?.length === players) &&
      rows
    );
  });
  const playersIn = (roomId: string): number => rooms.get(roomId)?.length ?? 0;
  const byFullness = saved
    .map(({ room_id: roomId }) => roomId)
    .toSorted((a, b) => playersIn(b) - playersIn(a) || (a < b ? -1 : 1));
  const damaged = byFullness[1] ?? "";
  const wanted = byFullness.findLast((roomId) => playersIn(roomId) === 1) ?? "";
  const survivor = await cluster.add("node-b");
  expect(cluster.events.of("room:restored"), "a node that joins takes nothing").toEqual([]);

  gate.clear();
  gate.letPass(() => false);
  const player = rooms.get(wanted)![0]!;
  const unreadable = cluster.events.next("room:unreadable", ({ roomId }) => roomId === damaged, 60_000);
  await cluster.sql("UPDATE checkpoint SET snapshot = substring(snapshot FROM 1 FOR 40) WHERE room_id = $1", [
    damaged,
  ]);
  player.room.reconnection.enabled = true;
  await owner.kill();

  // All places are taken by rooms that do not get on; the player who comes back waits for none of them.
  await until("the room that is waited for is being opened", () => gate.asked.includes(wanted), {
    seen: () => gate.asked.map((roomId) => byFullness.indexOf(roomId)),
  });
  expect(gate.asked.length).toBeLessThanOrEqual(OPENINGS_MAX);
  expect(cluster.events.of("room:restored")).toEqual([]);
  await until("all are known to wait", async () => {
    const midway = await scrape(survivor);
    expect(midway.get("ringside_rooms_opening")).toBeLessThanOrEqual(OPENINGS_MAX);
    return midway.get("ringside_rooms_waiting") >= COUNT - 1 - OPENINGS_MAX;
  });

  const demanded = cluster.events.next("room:restored", ({ roomId }) => roomId === wanted);
  gate.letPass((roomId) => roomId === wanted);
  expect((await demanded).facts.why).toBe("demand");
  await until("the player is back in the seat", () => player.returns === 1);
  expect(cluster.events.of("room:restored"), "before every other").toHaveLength(1);

  const hanging = gate.asked.filter((roomId) => roomId !== wanted).slice(0, AT_ONCE); // they take all places
  const others = byFullness.filter((roomId) => ![...hanging, damaged, wanted].includes(roomId));
  const all = others.map((id) => cluster.events.next("room:restored", ({ roomId }) => roomId === id, 60_000));
  gate.letPass((roomId) => !hanging.includes(roomId));
  await Promise.all(all);
  await unreadable;
  const restored = cluster.events.of("room:restored").map(({ facts }) => facts.roomId as string);
  expect(restored).toHaveLength(others.length + 1);
  expect(restored.filter((roomId) => hanging.includes(roomId))).toEqual([]);

  // Each claim took the fullest first, and the rooms were begun, and came, in that order.
  const claims = cluster.events.of("rooms:claimed").map(({ facts }) => facts);
  const queue: string[] = [];
  for (const { roomIds, why } of claims) {
    if (why === "demand") continue;
    const sorted = roomIds.toSorted((a, b) => playersIn(b) - playersIn(a) || (a < b ? -1 : 1));
    expect(roomIds).toEqual(sorted);
    queue.push(...roomIds.filter((roomId) => others.includes(roomId)));
  }
  expect(queue.toSorted()).toEqual(others.toSorted());
  const begun = gate.asked.filter((roomId) => others.includes(roomId));
  expect(begun).toHaveLength(others.length);
  const came = restored.filter((roomId) => others.includes(roomId));
  for (const [index, roomId] of queue.entries()) {
    const what = `room ${index}, of ${playersIn(roomId)} players`;
    expect(Math.abs(begun.indexOf(roomId) - index), `${what}, is begun`).toBeLessThanOrEqual(NEIGHBOURS);
    // Those that stood at the gate together may come together.
    expect(Math.abs(came.indexOf(roomId) - index), `${what}, is back`).toBeLessThan(OPENINGS_MAX);
  }

  // What hung opens when it can.
  const last = hanging.map((id) => cluster.events.next("room:restored", ({ roomId }) => roomId === id));
  gate.letPass(() => true);
  for (const { facts } of await Promise.all(last)) {
    expect(facts).toMatchObject({ seats: playersIn(facts.roomId), epoch: 2 });
  }

  const measured = await scrape(survivor);
  for (const name of ["room_restore", "room_restore_wait", "room_rebuild"]) {
    expect(measured.get(`ringside_${name}_seconds_count`, { why: "demand" })).toBe(1);
    expect(measured.get(`ringside_${name}_seconds_count`, { why: "recovery" })).toBe(COUNT - 2);
  }
  const taken = cluster.events.of("rooms:claimed").flatMap(({ facts }) => facts.roomIds);
  expect(new Set(taken).size, "each with its id").toBe(COUNT);
  const claimed = ["demand", "recovery"].map((why) => measured.get("ringside_claim_rooms_sum", { why }));
  expect(claimed[0]! + claimed[1]!).toBeGreaterThanOrEqual(COUNT);
  expect(measured.get("ringside_room_first_player_back_seconds_count")).toBe(1);
  expect(cluster.events.of("seat:lapsed")).toEqual([]);
});

test("[REC7] rooms that are restored at the same time do not hold the event loop together: others have their turn in between", async () => {
  await using gate = await Gate.open();
  await using cluster = await startCluster({
    game: "kit/gated-game.ts",
    nodes: 1,
    env: { CHECKPOINT_MS: "100", RESTORES_AT_ONCE_MAX: "12", GATE_URL: gate.url },
  });
  const owner = cluster.node("node-a");
  const players = await Promise.all(
    Array.from({ length: 12 }, () => Player.create(cluster.client(), "heavy")),
  );
  for (const { roomId } of players) await cluster.untilSaved(roomId);
  await cluster.add("node-b");
  gate.clear();
  gate.letPass(() => false);
  const all = players.map((player) =>
    cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId),
  );
  await owner.kill();
  await until("all are being opened", () => gate.asked.length === players.length);
  gate.letPass(() => true); // they would all go on in one turn
  const restored = await Promise.all(all);
  for (const { facts } of restored) expect(facts.rebuildMs).toBeGreaterThanOrEqual(10);
  const turns: number[] = [];
  for (const player of players) {
    turns.push(await until("an answer", () => player.ask<number>("turn")));
  }
  expect(new Set(turns).size).toBe(players.length);
});
