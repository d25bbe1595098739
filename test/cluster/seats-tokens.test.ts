// Reconnection tokens: what opens a seat, to whom, and how often.

import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { RawSeat, reserve } from "../kit/raw-seat.ts";
import type { Census } from "../kit/seats-game.ts";
import { until } from "../kit/until.ts";

const REFUSED = "closed with 4002";

let cluster: TestCluster;
/** Sits in the room all the time, and tells what becomes of the others. */
let witness: Player;
let port: number;

beforeAll(async () => {
  cluster = await startCluster({ nodes: 2, game: "kit/seats-game.ts", env: { CHECKPOINT_MS: "200" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  witness = await cluster.place({ owner, gateway, options: { name: "witness" } });
  port = gateway.publicPort;
});

afterAll(async () => cluster[Symbol.asyncDispose]());

async function clients(): Promise<readonly string[]> {
  return (await witness.ask<Census>("census")).clients.filter((id) => id !== witness.sessionId);
}

async function leave(seat: RawSeat): Promise<void> {
  seat.leave();
  await seat.closed;
  await until("they have left", async () => (await clients()).length === 0);
}

interface Row extends Record<string, unknown> {
  readonly token_hash: Buffer;
  readonly previous_hash: Buffer | null;
  readonly is_heard: boolean;
}

async function row(sessionId: string): Promise<Row | undefined> {
  return (await cluster.sql<Row>("SELECT * FROM seat WHERE session_id = $1", [sessionId]))[0];
}

test("[SEAT3] a token has 128 bits, is stored as a hash, and is another after each use", async () => {
  const first = await RawSeat.join(port, witness.roomId);
  await first.acknowledge();
  await until("Postgres knows that they have heard", async () => (await row(first.sessionId))?.is_heard);
  first.cut();
  const second = await first.again(port);
  await second.acknowledge();
  const tokens = [first.token, second.token];
  expect(new Set(tokens).size).toBe(2);
  for (const token of tokens) expect(Buffer.from(token, "base64url")).toHaveLength(16);
  await until("that also", async () => (await row(first.sessionId))?.previous_hash === null);
  const stored = JSON.stringify(await row(first.sessionId));
  for (const token of tokens) expect(stored).not.toContain(token);
  // What was used is worth nothing, also when the seat waits for its player.
  await expect(first.again(port)).rejects.toThrow(REFUSED);
  expect(second.closedWith).toBeUndefined();
  second.cut();
  await until("they are away", async () => (await clients()).length === 0);
  await expect(first.again(port)).rejects.toThrow(REFUSED);
  await leave(await second.again(port));
});

test("[SEAT3] a token that was replaced works as long as its player has not heard of the new one, and not longer", async () => {
  const first = await RawSeat.join(port, witness.roomId);
  await first.acknowledge();
  first.cut();
  const lost = await first.again(port); // told of a new token, and says nothing
  expect(await row(first.sessionId)).toMatchObject({
    is_heard: false,
    previous_hash: expect.any(Buffer) as unknown,
  });
  const again = await first.again(port); // so it may not have heard
  await lost.closed;
  await again.acknowledge();
  await expect(first.again(port)).rejects.toThrow(REFUSED);
  await expect(lost.again(port)).rejects.toThrow(REFUSED);
  expect(again.closedWith).toBeUndefined();
  await leave(again);
});

test("[SEAT3] the newest connection has the seat: the one before is told so, and the room hears of no drop", async () => {
  const first = await RawSeat.join(port, witness.roomId, { name: "mover" });
  await first.acknowledge();
  const second = await first.again(cluster.node("node-a").publicPort);
  await second.acknowledge();
  // It may try again, in case that it is the page that lives. An old one cannot take the seat back.
  expect(await first.closed).toBe(4010);
  await expect(first.again(port)).rejects.toThrow(REFUSED);
  expect(second.closedWith).toBeUndefined();
  const third = await second.again(port);
  // And one that comes while the one before has not acknowledged anything.
  const fourth = await second.again(port);
  await fourth.acknowledge();
  await Promise.all([second.closed, third.closed]);
  expect(await clients()).toEqual([first.sessionId]);
  const seen = await witness.inSync();
  expect(seen.calls[first.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
  expect(seen.trail.filter((entry) => entry.includes("mover"))).toEqual(["join mover"]);
  expect((await witness.ask<Census>("census")).listed).toBe(2);
  await leave(fourth);
});

test("[SEAT3] a connection that its page has left takes the seat late: the page that lives comes back with what it was told", async () => {
  const first = await RawSeat.join(port, witness.roomId, { name: "double" });
  await first.acknowledge();
  first.cut();
  const lives = await first.again(port);
  const late = await first.again(cluster.node("node-a").publicPort); // it was on its way before
  expect(await lives.closed).toBe(4010);
  const back = await lives.again(port);
  await back.acknowledge();
  await late.closed;
  await expect(late.again(port)).rejects.toThrow(REFUSED);
  expect(back.closedWith).toBeUndefined();
  expect((await witness.inSync()).calls[first.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
  await leave(back);
});

test("[SEAT3] many connections with one token at the same time: one of them has the seat, and it is held once", async () => {
  const first = await RawSeat.join(port, witness.roomId);
  await first.acknowledge();
  first.cut();
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => first.again(port)));
  const opened = tries.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(opened.length).toBeGreaterThan(0);
  await until("one is left", () => opened.filter((seat) => seat.closedWith === undefined).length === 1);
  const last = opened.find((seat) => seat.closedWith === undefined);
  await last?.acknowledge();
  expect(await clients()).toEqual([first.sessionId]);
  expect(await witness.ask<Census>("census")).toMatchObject({ listed: 2, reserved: [] });
  if (last !== undefined) await leave(last);
});

test("[SEAT3] a token opens no other room's seat, and no other seat of its room", async () => {
  const [one, two] = [await RawSeat.join(port, witness.roomId), await RawSeat.join(port, witness.roomId)];
  const elsewhere = await cluster.place({ room: "probe" });
  const three = await RawSeat.join(port, elsewhere.roomId);
  for (const seat of [one, two, three]) await seat.acknowledge();
  await expect(one.again(port, { token: two.token })).rejects.toThrow(REFUSED);
  await expect(one.again(port, { token: three.token })).rejects.toThrow(REFUSED);
  await expect(three.again(port, { token: one.token })).rejects.toThrow(REFUSED);
  for (const seat of [one, two, three]) expect(seat.closedWith).toBeUndefined();
  one.cut();
  two.leave();
  await until("one is away", async () => (await clients()).length === 0);
  await expect(RawSeat.open(port, one.reservation)).rejects.toThrow(REFUSED);
  await leave(await one.again(port));
  await elsewhere.room.leave();
});

test("[SEAT3] whoever guesses is answered ever later and reported; the player with the right token is let in at once", async () => {
  const player = await RawSeat.join(port, witness.roomId);
  await player.acknowledge();
  player.cut();
  const guessed = cluster.events.next("seat:guessed", ({ roomId }) => roomId === witness.roomId);
  const guesses: Promise<number>[] = [];
  const guess = async (index: number): Promise<number> => {
    const startedMs = performance.now();
    await expect(player.again(port, { token: `guess-${index}` })).rejects.toThrow(REFUSED);
    return performance.now() - startedMs;
  };
  for (let index = 0; index < 60; index++) guesses.push(guess(index));
  expect((await guessed).facts.tries).toBeGreaterThan(5);
  // In the middle of it, from the same address and for the same seat.
  let isOver = false;
  const over = Promise.all(guesses).then((tookMs) => {
    isOver = true;
    return tookMs;
  });
  const back = await player.again(port);
  expect(isOver, "guesses still wait for their answers").toBe(false);
  await back.acknowledge();
  expect(Math.max(...(await over))).toBeGreaterThan(900);
  expect(back.closedWith).toBeUndefined();
  await leave(back);
});

test("[SEAT3] who joined with an auth token comes back with it, or with another of the same user's", async () => {
  const host = await RawSeat.join(port, await loginRoom(), {}, "ada-1");
  await host.acknowledge();
  host.cut();
  for (const wrong of [{}, { auth: "eve-1" }, { auth: "nobody" }]) {
    await expect(host.again(port, wrong), JSON.stringify(wrong)).rejects.toThrow(REFUSED);
  }
  const same = await host.again(port, { auth: "ada-1" });
  await same.acknowledge();
  same.cut();
  const renewed = await same.again(port, { auth: "ada-2" });
  await renewed.acknowledge();
  expect(renewed.closedWith).toBeUndefined();
  renewed.leave();
  await renewed.closed;
});

/** A room that nobody may enter without an auth token, made by one who has one. */
async function loginRoom(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/matchmake/create/login`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer maker-1" },
    body: "{}",
  });
  return ((await response.json()) as { roomId: string }).roomId;
}

test("[SEAT3] the stock SDK follows the tokens: page after page, each return with the newest", async () => {
  const client = await cluster.clientVia(cluster.node("node-b"));
  let room = await client.joinById(witness.roomId, { name: "reader" });
  const { sessionId } = room;
  const used: string[] = [];
  for (let page = 0; page < 3; page++) {
    used.push(room.reconnectionToken);
    // The page is closed, or is not: the new one has the seat.
    if (page === 1) room.connection.close();
    const next = await client.reconnect(room.reconnectionToken);
    room.reconnection.enabled = false;
    room = next;
    expect(room.sessionId).toBe(sessionId);
  }
  expect(new Set([...used, room.reconnectionToken]).size).toBe(4);
  for (const token of used) await expect(client.reconnect(token)).rejects.toThrow();
  expect(await clients()).toEqual([sessionId]);
  await room.leave();
});

test("[SEAT3] a seat that nobody has a token for is refused by HTTP as well", async () => {
  await expect(reserve(port, "no-such-room")).rejects.toThrow();
  await expect(cluster.client().reconnect(`${witness.roomId}:AAAAAAAAAAAAAAAAAAAAAA`)).rejects.toThrow(
    /expired/,
  );
});

test("[SEAT2] who is back before a slow onDrop has kept their seat waits for it, and is in it", async () => {
  const slow = await cluster.place({ room: "slow", options: { name: "slow" } });
  const seat = await RawSeat.join(port, slow.roomId);
  await seat.acknowledge();
  seat.cut();
  const back = await seat.again(port);
  await back.acknowledge();
  expect((await slow.ask<Census>("census")).clients).toContain(seat.sessionId);
  expect((await slow.inSync()).calls[seat.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  back.leave();
  await back.closed;
  await slow.room.leave();
});

test("[SEAT1] who is gone before they can have heard of their seat has none, however long the room keeps others'", async () => {
  const slow = await cluster.place({ room: "slow", options: { name: "slow" } });
  const reservation = await reserve(port, slow.roomId);
  const taken = cluster.events.next("seat:taken", ({ sessionId }) => sessionId === reservation.sessionId);
  // The room's onJoin takes 300 ms.
  const opening = RawSeat.open(port, reservation, {}, (socket) => {
    socket.once("open", () => setImmediate(() => socket.terminate()));
  });
  await expect(opening).rejects.toThrow();
  await taken;
  await until("their seat is gone", async () => (await row(reservation.sessionId)) === undefined, {
    ms: 5_000,
  });
  expect(await slow.ask<Census>("census")).toMatchObject({
    clients: [slow.sessionId],
    reserved: [],
    listed: 1,
  });
  expect(Object.keys((await slow.inSync()).players)).toEqual([slow.sessionId]);
  await slow.room.leave();
});

test("[SEAT3] a session id that the author's onAuth chooses opens no second way to a seat that is somebody's", async () => {
  const roomId = await loginRoom();
  const first = await RawSeat.join(port, roomId, {}, "twin-1");
  await first.acknowledge();
  expect(first.sessionId).toBe("twin");
  await expect(RawSeat.join(port, roomId, {}, "twin-2")).rejects.toThrow(/full/);
  expect(first.closedWith).toBeUndefined();
  first.cut();
  await until("away", async () => (await cluster.room(roomId)).players === 0);
  await expect(RawSeat.join(port, roomId, {}, "twin-2")).rejects.toThrow(/full/);
  const back = await first.again(port, { auth: "twin-1" });
  await back.acknowledge();
  back.leave();
  await back.closed;
});
