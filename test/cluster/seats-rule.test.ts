// How long a seat is kept, and what its player hears of the time in which they were away: the same on a new node as on the old.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSeats } from "../kit/census.ts";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { RawSeat } from "../kit/raw-seat.ts";
import { until } from "../kit/until.ts";

/** SEAT_HOLD_MS, and so at most how long a restored room waits before it is told who has not come back. */
const HOLD_MS = 1_500;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster({
    game: "kit/seats-game.ts",
    env: { CHECKPOINT_MS: "150", SEAT_HOLD_MS: String(HOLD_MS) },
  });
});

afterAll(async () => cluster[Symbol.asyncDispose]());

interface Scene {
  readonly witness: Player;
  readonly seat: RawSeat;
  /** Kills the room's owner, and does `meanwhile` before it can be back; resolves with the time at which it was. */
  readonly failOver: (meanwhile?: () => void) => Promise<number>;
}

async function scene(room: "probe" | "old", holdSeconds: number): Promise<Scene> {
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const witness = await cluster.place({ owner, gateway, room, options: { name: "witness", holdSeconds } });
  const seat = await RawSeat.join(gateway.publicPort, witness.roomId, { name: "goer" });
  await seat.acknowledge();
  await witness.inSync();
  const failOver = async (meanwhile = (): void => {}): Promise<number> => {
    const dies = await cluster.ownerOf(witness.roomId);
    const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === witness.roomId);
    const dead = dies.kill();
    meanwhile();
    await dead;
    const { at } = await restored;
    await cluster.add(dies.nodeId);
    return at;
  };
  return { witness, seat, failOver };
}

const lapsing = ({ seat }: Scene): Promise<{ at: number }> =>
  cluster.events.next("seat:lapsed", ({ sessionId }) => sessionId === seat.sessionId);

async function trail({ witness }: Scene): Promise<readonly string[]> {
  return (await witness.inSync()).trail.filter((entry) => entry.includes("goer"));
}

test.each(["probe", "old"] as const)(
  "[SEAT4] %s: who was away when the node died has what was left of the room's own time, longer than SEAT_HOLD_MS",
  async (room) => {
    const now = await scene(room, 6);
    const { witness, seat, failOver } = now;
    const droppedAt = Date.now();
    seat.cut();
    await until("the room has heard of it", async () => (await trail(now)).includes("drop goer"));
    await until("three of its six seconds are over", () => Date.now() - droppedAt > 3_000);
    await cluster.untilSaved(witness.roomId);
    const lapsed = lapsing(now);
    const restoredAt = await failOver();
    const { at } = await lapsed;
    // By the room's clock, which stood still for at most as long as it took to come back, and the last checkpoint's age.
    expect(at - droppedAt).toBeGreaterThan(5_500);
    expect(at - restoredAt, "not anew").toBeLessThan(5_500);
    // An onLeave that waited for them by itself died with the node: it is called again, to do what it does when nobody came.
    const drops = room === "old" ? ["drop goer", "drop goer"] : ["drop goer"];
    expect(await trail(now)).toEqual(["join goer", ...drops, "leave goer"]);
    await expectSeats(cluster, witness, { present: [witness.sessionId] });
    await witness.room.leave();
  },
);

test.each(["probe", "old"] as const)(
  "[SEAT4] %s: who was there and does not come back has dropped, and the room's own time is kept from then on",
  async (room) => {
    const now = await scene(room, 2);
    const { witness, seat, failOver } = now;
    await cluster.untilSaved(witness.roomId);
    const lapsed = lapsing(now);
    // Their connection breaks with the node's, and they are gone.
    const restoredAt = await failOver(() => seat.cut());
    const { at } = await lapsed;
    expect(at - restoredAt).toBeGreaterThanOrEqual(HOLD_MS + 2_000 - 50);
    expect(at - restoredAt).toBeLessThan(HOLD_MS + 2_000 + 3_000);
    expect(await trail(now)).toEqual(["join goer", "drop goer", "leave goer"]);
    await expectSeats(cluster, witness, { present: [witness.sessionId] });
    await witness.room.leave();
  },
);

test("[SEAT2] [SEAT4] a room's own time outlasts SEAT_HOLD_MS: who comes back in it has their seat", async () => {
  const now = await scene("probe", 60);
  const { witness, seat, failOver } = now;
  await cluster.untilSaved(witness.roomId);
  await failOver(() => seat.cut());
  await until("the room has been told", async () => (await trail(now)).includes("drop goer"));
  await expectSeats(cluster, witness, { present: [witness.sessionId], away: [seat.sessionId] });
  const back = await seat.again(cluster.port);
  await back.acknowledge();
  expect((await witness.inSync()).calls[seat.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
  // And once more, away this time: what the room gave them then has not been used up by then.
  back.cut();
  await until("away", async () => (await trail(now)).length === 3);
  await cluster.untilSaved(witness.roomId);
  await failOver();
  await witness.inSync();
  const again = await back.again(cluster.port);
  await again.acknowledge();
  await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
  again.leave();
  await again.closed;
  await witness.room.leave();
});

test("[SEAT4] a room without a rule keeps the seats of those who were there for SEAT_HOLD_MS, and hears of onLeave only", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-seats-"));
  const log = join(folder, "calls");
  try {
    await using plain = await startCluster({
      nodes: 2,
      game: "kit/hooks-game.ts",
      env: { CHECKPOINT_MS: "150", SEAT_HOLD_MS: String(HOLD_MS) },
    });
    const [owner, gateway] = [plain.node("node-a"), plain.node("node-b")];
    const stays = await plain.place({ owner, gateway, room: "plain", options: { log } });
    const goes = await Player.join(plain.client(owner), stays.roomId, { log });
    await stays.ask("pid");
    await plain.untilSaved(stays.roomId);
    goes.room.reconnection.enabled = false;
    const lapsed = plain.events.next("seat:lapsed", ({ sessionId }) => sessionId === goes.sessionId);
    const restored = plain.events.next("room:restored", ({ roomId }) => roomId === stays.roomId);
    await owner.kill();
    const [{ at: restoredAt }, { at }] = await Promise.all([restored, lapsed]);
    expect(at - restoredAt).toBeGreaterThanOrEqual(HOLD_MS - 50);
    expect(at - restoredAt).toBeLessThan(HOLD_MS + 3_000);
    const hooks = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { hook: string; sessionId?: string })
      .filter(({ sessionId }) => sessionId === goes.sessionId);
    expect(hooks.map(({ hook }) => hook)).toEqual(["onJoin", "onLeave"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("[SEAT5] what a room says while a player is away never reaches them, nor late nor twice: they get the state, and what is said from then on", async () => {
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const witness = await cluster.place({ owner, gateway, options: { name: "witness" } });
  const player = await cluster.joinTo(witness, gateway, { name: "goer" });
  const heard: number[] = [];
  player.room.onMessage("shout", (word: number) => void heard.push(word));
  const told: number[] = [];
  witness.room.onMessage("shout", (word: number) => void told.push(word));
  let said = 0;
  const shout = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time++) await witness.ask("shout", (said += 1));
  };
  const hearsTo = (last: number): Promise<unknown> =>
    until(`hears ${last}`, () => heard.at(-1) === last, { seen: () => heard });
  const isAway = (): Promise<unknown> =>
    until("away", async () => (await cluster.room(witness.roomId)).players === 1);
  await player.inSync();
  await shout(3);
  await hearsTo(3);

  // Away, and back on the same node.
  player.room.reconnection.minDelay = player.room.reconnection.maxDelay = 700;
  player.room.connection.close();
  await isAway();
  await shout(3);
  await until("back", () => player.returns === 1);
  await player.inSync();
  await shout(2);
  await hearsTo(8);

  // Away, and back on another.
  await cluster.untilSaved(witness.roomId);
  player.room.connection.close();
  await isAway();
  await shout(2);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === witness.roomId);
  await owner.kill();
  await restored;
  await until("both are back", () => player.returns === 2 && witness.returns === 1);
  await player.inSync();
  await shout(2);
  await hearsTo(12);
  expect(heard).toEqual([1, 2, 3, 7, 8, 11, 12]);
  expect(told).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));

  // Who has come and not answered yet is told everything from then on, after the state.
  const raw = await RawSeat.join(cluster.port, witness.roomId, { name: "raw" });
  await shout(2);
  await witness.inSync();
  expect(raw.frames).toBe(0);
  await raw.acknowledge();
  await until("the state and both words", () => raw.frames >= 3, { seen: () => raw.frames });
  await cluster.add(owner.nodeId);
});
