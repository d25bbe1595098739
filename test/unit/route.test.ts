// What a gateway remembers of those who never came in, and of those who did not wait.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import net, { type Socket } from "node:net";
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

test("who hangs up while the room moves is led nowhere, and takes no seat when it is here", async () => {
  const lease = { isHeld: false };
  const seated: string[] = [];
  const router = new Router({
    config: { upgradeHoldMs: 1_000, upgradesHeldMax: 10, playerBytesMax: 1_000 },
    clock: fakeClock(),
    events: new EventBus(),
    lease,
    transport: {
      seat: (_place: unknown, { sessionId }: SeatRequest) => void seated.push(sessionId),
      messagesPerSecond: () => undefined,
    },
    epochHere: () => 3,
  } as unknown as RouterParts); // all that is asked for where a room is here
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const headers = { upgrade: "websocket", "sec-websocket-key": key, "sec-websocket-version": "13" };
  const request = { method: "GET", url: "/", headers, socket: {} } as unknown as IncomingMessage;
  // Half open, as an HTTP server's are.
  const server = net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const call = async (
    sessionId: string,
  ): Promise<{ done: Promise<void>; socket: Socket; player: Socket }> => {
    const arriving = once(server, "connection");
    const player = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
    const [socket] = (await arriving) as [Socket];
    const seat: SeatRequest = {
      roomId: "room-1",
      sessionId,
      reconnectionToken: undefined,
      skipHandshake: false,
      authToken: null,
      isConnected: false,
    };
    return { done: router.route({ request, socket, head: Buffer.alloc(0), seat }), socket, player };
  };
  const [gone, waiting] = [await call("gone"), await call("waiting")];
  try {
    const ended = once(gone.socket, "end");
    gone.player.end();
    await ended;
    router.follow({ version: 2, members: [] }); // all who wait look again
    await gone.done; // it is offered to nobody any more
    lease.isHeld = true;
    router.follow({ version: 3, members: [] });
    await waiting.done;
    expect(seated).toEqual(["waiting"]);
  } finally {
    for (const { socket, player } of [gone, waiting]) for (const each of [socket, player]) each.destroy();
    server.close();
  }
});
