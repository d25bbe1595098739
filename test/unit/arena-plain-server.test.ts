// The rooms know nothing of Ringside: here they run on a plain Colyseus server, with the stock SDK.

import { defineRoom, defineServer, matchMaker } from "@colyseus/core";
import { Client, type Room } from "@colyseus/sdk";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLAYER } from "../../rooms/arena/arena-field.ts";
import { ArenaRoom } from "../../rooms/arena/arena-room.ts";
import type { ArenaState, Player } from "../../rooms/arena/arena-state.ts";
import { DuelRoom } from "../../rooms/duel/duel-room.ts";
import type { DuelState } from "../../rooms/duel/duel-state.ts";

const transport = new WebSocketTransport();
const server = defineServer({
  rooms: { arena: defineRoom(ArenaRoom), duel: defineRoom(DuelRoom) },
  transport,
  gracefullyShutdown: false,
  greet: false,
});
let endpoint = "";

beforeAll(async () => {
  await server.listen(0);
  const address = transport.server?.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no TCP address");
  endpoint = `http://127.0.0.1:${address.port}`;
});

afterAll(() => server.gracefullyShutdown(false));

/** Resolves with the first state, the one at hand or one that comes, of which `holds` is true. */
function until<State>(room: Room<unknown, State>, holds: (state: State) => boolean): Promise<State> {
  return new Promise((resolve) => {
    const look = (state: State): void => {
      if (holds(state)) resolve(state);
    };
    room.onStateChange(look);
    look(room.state);
  });
}

function own(room: Room<unknown, ArenaState>): Player | undefined {
  return room.state.players?.get(room.sessionId);
}

test("a player joins the bots, moves, and can do nothing by sending nonsense", async () => {
  const room: Room<unknown, ArenaState> = await new Client(endpoint).create<ArenaState>("arena", {
    name: "Ana",
  });
  await until(room, () => own(room) !== undefined);
  expect(room.state.players.size).toBe(6);
  expect(own(room)).toMatchObject({ name: "Ana", isBot: false });

  const send = (type: string, message?: unknown): void => room.send(type as never, message as never);
  for (const message of [
    undefined,
    null,
    5,
    "x",
    [],
    { x: "1" },
    { x: Number.NaN, y: 0 },
    { x: Infinity, y: 1 },
  ]) {
    send("move", message);
    send("dash", message);
    send("name", message);
  }
  send("move", { x: 1e9, y: 0 });
  const startTick = room.state.tick;
  await until(room, (state) => state.tick > startTick + 20);
  const player = own(room);
  expect(Math.hypot(player?.vx ?? Infinity, player?.vy ?? Infinity)).toBeLessThan(PLAYER.speed * 1.6);
  expect(Number.isFinite((player?.x ?? NaN) + (player?.y ?? NaN))).toBe(true);
  await room.leave();
});

test("a dropped player stays, marked away, and returns to the same seat with the same score", async () => {
  const client = new Client(endpoint);
  const watcher: Room<unknown, ArenaState> = await client.create<ArenaState>("arena");
  const room: Room<unknown, ArenaState> = await client.joinById<ArenaState>(watcher.roomId, { name: "Ben" });
  await until(room, () => own(room) !== undefined);
  const { reconnectionToken, sessionId } = room;
  const local = matchMaker.getLocalRoomById(room.roomId) as ArenaRoom;
  const seated = local.state.players.get(sessionId);
  if (seated !== undefined) seated.score = 1_234;

  room.reconnection.enabled = false;
  room.connection.close(3_000);
  await until(watcher, (state) => state.players.get(sessionId)?.isAway === true);
  expect(watcher.state.players.get(sessionId)?.score).toBeGreaterThanOrEqual(1_234);

  const back: Room<unknown, ArenaState> = await client.reconnect<ArenaState>(reconnectionToken);
  expect(back.sessionId).toBe(sessionId);
  await until(back, () => own(back)?.isAway === false);
  expect(own(back)?.score).toBeGreaterThanOrEqual(1_234);

  await back.leave();
  await until(watcher, (state) => !state.players.has(sessionId));
  await watcher.leave();
});

test("what the hooks save is taken back, and what is not readable is left out", async () => {
  const room: Room<unknown, ArenaState> = await new Client(endpoint).create<ArenaState>("arena");
  const local = matchMaker.getLocalRoomById(room.roomId) as ArenaRoom;
  const key = room.sessionId;
  const saved = [[key, { move: { x: 0, y: 1 }, wantsDash: false, streak: 3 }]];
  local.onRestoreRoom(JSON.parse(JSON.stringify(saved)));
  expect(local.onCacheRoom()).toEqual(saved);
  for (const broken of [undefined, null, 7, "x", {}, [null], [["nobody", {}]], [[key, null]], [[key]]]) {
    local.onRestoreRoom(broken);
    expect(local.onCacheRoom()).toEqual([]);
  }
  await room.leave();
});

test("two players duel by requests, and a refusal says why", async () => {
  const client = new Client(endpoint);
  const ana: Room<unknown, DuelState> = await client.create<DuelState>("duel", { name: "Ana" });
  const ben: Room<unknown, DuelState> = await client.joinById<DuelState>(ana.roomId, { name: "Ben" });
  const ask = (room: Room<unknown, DuelState>, type: string, message?: unknown): Promise<unknown> =>
    room.request(type as never, message as never);
  await until(ana, (state) => state.phase === "playing");

  await expect(ask(ben, "drop", { column: 3, move: 0 })).rejects.toMatchObject({ reason: "not-your-turn" });
  await expect(ask(ana, "drop", { column: 99, move: 0 })).rejects.toMatchObject({ reason: "unreadable" });
  for (let move = 0; move < 6; move++) {
    const room = move % 2 === 0 ? ana : ben;
    await expect(ask(room, "drop", { column: move % 2, move })).resolves.toMatchObject({
      row: 5 - Math.floor(move / 2),
    });
  }
  await expect(ask(ana, "drop", { column: 0, move: 6 })).resolves.toEqual({ row: 2 });
  await until(ben, (state) => state.phase === "over" && state.winner === 1 && state.endedBy === "four");

  await expect(ask(ana, "rematch")).resolves.toEqual({ begun: false });
  await expect(ask(ben, "rematch")).resolves.toEqual({ begun: true });
  await until(ana, (state) => state.game === 2 && state.turn === 2);
  await ben.leave();
  await until(ana, (state) => state.endedBy === "left" && state.winner === 1);
  await ana.leave();
});
