// What a room may have waiting for a player who has not said yet that they have heard of their seat.

import { ClientState, type Room } from "@colyseus/core";
import { expect, test } from "vitest";
import { RoomClient } from "../../src/colyseus/room-client.ts";
import type { RoomGuard } from "../../src/colyseus/room-guard.ts";
import { Place } from "../../src/colyseus/room-place.ts";
import type { SeatRequest } from "../../src/colyseus/room-transport.ts";

const MIB = 1024 * 1024;

function setUp() {
  const [sent, closed]: [number[], number[]] = [[], []];
  const place = new Place({
    send: (bytes) => void sent.push(bytes.length),
    close: (code) => void closed.push(code),
    cut: () => {},
  });
  const guard = { mayAct: () => true } as unknown as RoomGuard; // all that is asked of it
  const client = new RoomClient({ sessionId: "s1" } as SeatRequest, place, {} as Room, guard);
  return { client, sent, closed };
}

test("[GATE7] what waits for one who does not acknowledge is bounded, in bytes and in number, and then they are cut", () => {
  const fat = setUp();
  for (let count = 0; count < 5; count++) fat.client.enqueueRaw(Buffer.alloc(MIB / 4));
  expect(fat.closed).toEqual([]);
  fat.client.enqueueRaw(Buffer.alloc(MIB / 4));
  expect([fat.closed, fat.client._enqueuedMessages.length]).toEqual([[1006], 0]);
  const chatty = setUp();
  for (let count = 0; count < 1_000; count++) chatty.client.enqueueRaw(Buffer.alloc(1));
  expect(chatty.closed).toEqual([]);
  chatty.client.enqueueRaw(Buffer.alloc(1));
  expect([chatty.closed, chatty.client._enqueuedMessages.length]).toEqual([[1006], 0]);
  expect([...fat.sent, ...chatty.sent]).toEqual([]);
});

test("[GATE7] one message of any size is what a room may greet its players with, and others may follow it", () => {
  const { client, sent, closed } = setUp();
  client.enqueueRaw(Buffer.alloc(10));
  client.enqueueRaw(Buffer.alloc(5 * MIB));
  for (let count = 0; count < 100; count++) client.enqueueRaw(Buffer.alloc(100));
  expect([closed, client._enqueuedMessages.length]).toEqual([[], 102]);
  client.state = ClientState.JOINED;
  client.enqueueRaw(Buffer.alloc(7));
  expect(sent).toEqual([7]);
});
