// What the keeping of seats leans on in Colyseus without its being public API (colyseus/hosted-seats.ts, seat-return.ts).

import { EventEmitter } from "node:events";
import { ClientState, LocalDriver, LocalPresence, matchMaker, RegisteredHandler, Room } from "@colyseus/core";
import { beforeAll, expect, test } from "vitest";
import { internals, type RoomInternals } from "../../src/colyseus/room-internals.ts";
import { keepFor } from "../../src/colyseus/seat-return.ts";

class SeatRoom extends Room {
  override autoDispose = false;
}

type AnyClient = Parameters<RoomInternals["_onJoin"]>[0];

beforeAll(async () => {
  matchMaker.setHealthChecksEnabled(false);
  await matchMaker.setup(new LocalPresence(), new LocalDriver());
  matchMaker.addRoomType(Object.assign(new RegisteredHandler(SeatRoom), { name: "seats" }));
});

async function create(roomId: string): Promise<Room> {
  await matchMaker.handleCreateRoom("seats", {}, undefined, roomId);
  return matchMaker.getLocalRoomById(roomId) as Room;
}

function clientOf(sessionId: string): AnyClient {
  const sent: unknown[] = [];
  const ref = Object.assign(new EventEmitter(), { readyState: 1 });
  return {
    sessionId,
    id: sessionId,
    ref,
    readyState: 1,
    state: ClientState.JOINING,
    sent,
    _enqueuedMessages: [],
    raw: (bytes: Uint8Array) => void sent.push(bytes),
    enqueueRaw: () => {},
    leave: () => {},
  } as unknown as AnyClient;
}

const CONTEXT = { ip: undefined, headers: new Headers() };

async function join(room: Room, sessionId: string): Promise<AnyClient> {
  expect(await internals(room)._reserveSeat(sessionId, {}, { id: sessionId })).toBe(true);
  const client = clientOf(sessionId);
  await internals(room)._onJoin(client, CONTEXT);
  return client;
}

test("[SEAT3] a seat that is kept goes by the token its client had, and opens to a connection that is given that name", async () => {
  const room = await create("returns");
  const first = await join(room, "s");
  const inside = internals(room);
  room.clients.delete(first);
  delete first._enqueuedMessages;
  first.reconnectionToken = "name";
  keepFor(room, first);
  expect(inside._reservedSeats["s"]?.[3]).toBe(true);
  expect(Object.keys(inside._reconnections)).toEqual(["name"]);
  expect(inside._reservedSeatTimeouts["s"], "it waits without an end").toBeUndefined();
  const second = clientOf("s");
  await inside._onJoin(second, CONTEXT, { reconnectionToken: "name" });
  expect(room.clients.get("s")).toBe(second);
  expect([...room.clients]).toEqual([second]);
  expect(second.auth).toEqual({ id: "s" });
  expect([inside._reservedSeats["s"], Object.keys(inside._reconnections)]).toEqual([undefined, []]);
  expect(inside._listing.clients).toBe(1);
});

test("[SEAT1] an acknowledged join is one whose client has turned to JOINED", async () => {
  const room = await create("acknowledges");
  const client = await join(room, "s");
  expect(client.state).toBe(ClientState.JOINING);
  internals(room)._onMessage(client, Buffer.of(10));
  expect(client.state).toBe(ClientState.JOINED);
});

test("[SEAT4] asking again to keep a seat gives the same promise, and its rejection ends the wait", async () => {
  const room = await create("keeps");
  const client = await join(room, "s");
  room.clients.delete(client);
  delete client._enqueuedMessages;
  const kept = keepFor(room, client);
  expect(room.allowReconnection(client, 1)).toBe(kept);
  kept.reject(false);
  await expect(kept.promise).rejects.toBe(false);
  await new Promise(setImmediate);
  expect(internals(room)._reservedSeats["s"]).toBeUndefined();
});
