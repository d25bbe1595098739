// kill -9 of a room's owner at every moment of a player's coming and going, to the line (kit/seats-game.ts). What a player was
// told holds, what they were not told is refused or comes true, and all books agree afterwards.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { expectSeats } from "../kit/census.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { RawSeat, reserve } from "../kit/raw-seat.ts";
import type { Doom } from "../kit/seats-game.ts";
import { until } from "../kit/until.ts";

/** How long a seat is kept for one who may come back; by rooms that have no rule, or for whom no rule was said. */
const HOLD_MS = 2_500;

let cluster: TestCluster;
let owner: TestNode;
let gateway: TestNode;
let witness: Player;

beforeAll(async () => {
  cluster = await startCluster({
    nodes: 2,
    game: "kit/seats-game.ts",
    // Nothing is saved between a room's first checkpoint and its death: all that survives is what is told to players.
    env: { CHECKPOINT_MS: "600000", SEAT_HOLD_MS: String(HOLD_MS) },
  });
});

afterAll(async () => cluster[Symbol.asyncDispose]());

beforeEach(async () => {
  [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const options = { name: "witness", maxClients: 2, holdSeconds: 5 };
  witness = await cluster.place({ owner, gateway, options });
  await until("the first checkpoint", async () => (await cluster.newestSeq(witness.roomId)) > 0);
});

afterEach(async () => {
  await witness.room.leave();
  if (owner.hasExited) await cluster.add(owner.nodeId);
});

const doom = (moment: Doom): Promise<unknown> => witness.ask("doom", moment);
const port = (): number => gateway.publicPort;

/** Waits until the process has ended itself and its room is back. */
async function survived(restored: Promise<unknown>): Promise<void> {
  expect(await owner.exited).toBe("SIGKILL");
  await restored;
}

const restoring = (): Promise<unknown> =>
  cluster.events.next("room:restored", ({ roomId }) => roomId === witness.roomId);

async function rowsOf(roomId: string): Promise<string[]> {
  const rows = await cluster.sql<{ session_id: string }>("SELECT session_id FROM seat WHERE room_id = $1", [
    roomId,
  ]);
  return rows.map((row) => row.session_id);
}

/** One seat of two is free: one more may join, and not two. */
async function expectOneFreeSeat(): Promise<void> {
  const third = await until("a seat is free", () => cluster.joinTo(witness, gateway, { name: "third" }));
  await third.inSync();
  await expect(cluster.joinTo(witness, gateway, { name: "fourth" })).rejects.toThrow(/locked|full/);
  await expectSeats(cluster, witness, { present: [witness.sessionId, third.sessionId] });
  await third.room.leave();
  await expectSeats(cluster, witness, { present: [witness.sessionId] });
}

test("[SEAT1] in onJoin, before the seat is durable: the player is refused, and nothing is left of them", async () => {
  await doom("onJoin");
  const restored = restoring();
  const joining = RawSeat.join(port(), witness.roomId);
  await expect(joining).rejects.toThrow(/closed with/);
  await survived(restored);
  expect(await rowsOf(witness.roomId)).toEqual([witness.sessionId]);
  await expectSeats(cluster, witness, { present: [witness.sessionId] });
  await expectOneFreeSeat();
});

test("[SEAT1] with the seat durable and the player not told: it is kept for no longer than a return takes", async () => {
  await doom("joined");
  const restored = restoring();
  const reservation = await reserve(port(), witness.roomId);
  await expect(RawSeat.open(port(), reservation)).rejects.toThrow(/closed with/);
  await survived(restored);
  expect(await rowsOf(witness.roomId), "the seat was durable").toHaveLength(2);
  // Nobody can know its token, so nobody gets in by its name.
  await expect(RawSeat.open(port(), reservation)).rejects.toThrow("closed with 4002");
  await until(
    "the room is open to nobody as long as it is kept",
    async () => (await cluster.listing(witness.roomId))?.locked,
  );
  await cluster.events.next("seat:lapsed", ({ sessionId }) => sessionId === reservation.sessionId);
  const seen = await witness.inSync();
  expect(seen.trail, "the room never heard of them").toEqual(["join witness"]);
  await expectOneFreeSeat();
});

test("[SEAT1] [SEAT2] with the player told, who has not answered yet: the seat is theirs", async () => {
  const seat = await RawSeat.join(port(), witness.roomId, { name: "newcomer" });
  const restored = restoring();
  await owner.kill();
  await restored;
  const back = await seat.again(port());
  await back.acknowledge();
  await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
  const seen = await witness.inSync();
  // Their gateway may have presented their seat before they come by themselves: then that is a return.
  expect(seen.calls[seat.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
  expect(seen.calls[seat.sessionId]?.reconnects).toBeLessThanOrEqual(1);
  back.leave();
  expect(await back.closed).toBe(4000);
  await expectOneFreeSeat();
});

test("[SEAT2] [GATE4] in onLeave: who was not told of having left leaves the next owner", async () => {
  const seat = await RawSeat.join(port(), witness.roomId, { name: "leaver" });
  await seat.acknowledge();
  await doom("onLeave");
  const restored = restoring();
  seat.leave();
  await survived(restored);
  // Their gateway kept the connection, and says for them again what nobody has answered.
  expect(await seat.closed).toBe(4000);
  await expectSeats(cluster, witness, { present: [witness.sessionId] });
  await expectOneFreeSeat();
});

test("[SEAT1] about to tell a player of having left: their seat is given up by then", async () => {
  const seat = await RawSeat.join(port(), witness.roomId, { name: "leaver" });
  await seat.acknowledge();
  await doom("leaving");
  const restored = restoring();
  seat.leave();
  await survived(restored);
  expect(await rowsOf(witness.roomId)).toEqual([witness.sessionId]);
  await expect(seat.again(port())).rejects.toThrow("closed with 4002");
  await expectSeats(cluster, witness, { present: [witness.sessionId] });
  await expectOneFreeSeat();
});

test.each(["onDrop", "dropped"] as const)(
  "[SEAT1] [SEAT2] at a drop (%s): the player is back in their seat",
  async (moment) => {
    const seat = await RawSeat.join(port(), witness.roomId, { name: "dropper" });
    await seat.acknowledge();
    await doom(moment);
    const restored = restoring();
    seat.cut();
    await survived(restored);
    const back = await seat.again(port());
    await back.acknowledge();
    await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
    back.leave();
    expect(await back.closed).toBe(4000);
    await expectOneFreeSeat();
  },
);

test("[SEAT3] with a new token durable of which the player has not heard: the one that they have works", async () => {
  const seat = await RawSeat.join(port(), witness.roomId, { name: "returner" });
  await seat.acknowledge();
  seat.cut();
  await doom("onReconnect");
  const restored = restoring();
  // Their gateway keeps the connection and presents to the next owner what they came with, which by then is the one before.
  const returning = seat.again(port());
  await survived(restored);
  const back = await returning;
  await back.acknowledge();
  await expect(seat.again(port())).rejects.toThrow("closed with 4002");
  await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
  back.leave();
  expect(await back.closed).toBe(4000);
  await expectOneFreeSeat();
});

test.each(["the new one", "the one before"])(
  "[SEAT3] with the player told of a new token, who has not answered: %s works, and then only its successor",
  async (which) => {
    const seat = await RawSeat.join(port(), witness.roomId, { name: "returner" });
    await seat.acknowledge();
    seat.cut();
    await until("they are away", async () => (await cluster.room(witness.roomId)).players === 1);
    await doom("returned");
    const restored = restoring();
    const told = await seat.again(port());
    await survived(restored);
    const [used, other] = which === "the new one" ? [told, seat] : [seat, told];
    const back = await used.again(port());
    await back.acknowledge();
    await expect(other.again(port())).rejects.toThrow("closed with 4002");
    await expect(used.again(port())).rejects.toThrow("closed with 4002");
    await expectSeats(cluster, witness, { present: [witness.sessionId, seat.sessionId] });
    back.leave();
    expect(await back.closed).toBe(4000);
    await expectOneFreeSeat();
  },
);
