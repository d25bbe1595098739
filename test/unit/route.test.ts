// What a gateway remembers of those who never came in.

import type { IncomingMessage } from "node:http";
import { duplexPair } from "node:stream";
import { expect, test } from "vitest";
import type { SeatRequest } from "../../src/colyseus/room-transport.ts";
import { EventBus } from "../../src/events.ts";
import { Router, type RouterParts } from "../../src/gateway/route.ts";
import { fakeClock } from "../kit/fake-clock.ts";

test("a handshake that fails leaves nothing behind: who comes to the room next is let in, at whatever epoch", async () => {
  let epoch = 9;
  const seated: string[] = [];
  const router = new Router({
    config: { upgradeHoldMs: 1_000, upgradesHeldMax: 10, playerBytesMax: 1_000 },
    clock: fakeClock(),
    events: new EventBus(),
    lease: { isHeld: true },
    transport: {
      seat: (_place: unknown, { sessionId }: SeatRequest) => void seated.push(sessionId),
      messagesPerSecond: () => undefined,
    },
    epochHere: () => epoch,
  } as unknown as RouterParts); // all that is asked for where a room is here
  const come = (sessionId: string, key: string): Promise<void> => {
    const headers = { upgrade: "websocket", "sec-websocket-key": key, "sec-websocket-version": "13" };
    const request = { method: "GET", url: "/", headers, socket: {} } as unknown as IncomingMessage;
    const seat: SeatRequest = {
      roomId: "room-1",
      sessionId,
      reconnectionToken: undefined,
      skipHandshake: false,
      authToken: null,
      isConnected: false,
    };
    return router.route({ request, socket: duplexPair()[0], head: Buffer.alloc(0), seat });
  };
  await come("bad", "no key");
  expect(router.players).toBe(0);
  epoch = 8;
  const coming = come("good", "dGhlIHNhbXBsZSBub25jZQ==");
  await new Promise(setImmediate);
  expect(seated).toEqual(["good"]);
  await coming;
});
