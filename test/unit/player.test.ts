// A player's WebSocket at their gateway, a real one, between two owners of their room.

import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { SeatRequest } from "../../src/colyseus/room-transport.ts";
import { NUMBERS, type Config } from "../../src/config.ts";
import type { HeldPlace } from "../../src/gateway/line.ts";
import { Player } from "../../src/gateway/player.ts";
import { frameOf } from "../../src/gateway/websocket-frames.ts";
import type { Epoch } from "../../src/ids.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../kit/until.ts";

const HELD_BYTES_MAX = 10_000;
/** What is read of a socket at a time, and so may come after the last that should have. */
const READ_BYTES = 64 * 1024;
const WORD_BYTES = 100;
const WORDS = 4_000;

const JOIN = Buffer.concat([
  Buffer.of(10, 5),
  Buffer.from("token"),
  Buffer.of(6),
  Buffer.from("schema"),
  Buffer.of(0),
]);

function settings(): Config {
  return {
    ...Object.fromEntries(Object.entries(NUMBERS).map(([name, { fallback }]) => [name, fallback])),
    heldMessageBytesMax: HELD_BYTES_MAX,
    messagesPerSecondMax: 1_000_000,
  } as unknown as Config; // its numbers are all that is asked for
}

async function connect() {
  const server = http.createServer();
  const door = new WebSocketServer({ noServer: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const upgrading = once(server, "upgrade") as Promise<[IncomingMessage, Duplex, Buffer]>;
  const page = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [request, socket, head] = await upgrading;
  onTestFinished(() => {
    page.terminate();
    socket.destroy();
    server.close();
  });
  let came: WebSocket | undefined;
  const lost: Player[] = [];
  const player = new Player({
    config: settings(),
    clock: systemClock,
    seat: { roomId: "room-1", sessionId: "s1", skipHandshake: true } as SeatRequest,
    origin: { headers: {}, remoteAddress: "" },
    socket,
    upgrade: () => {
      door.handleUpgrade(request, socket, head, (webSocket) => (came = webSocket));
      return came;
    },
    onPlaceLost: (each) => void lost.push(each),
    onGone: () => {},
    onJoined: () => {},
    onCutOff: () => {},
  });
  const take = (epoch: number): string[] => {
    const heard: string[] = [];
    const place: HeldPlace = {
      send: (bytes) => void heard.push(Buffer.from(bytes).toString("latin1")),
      leave: () => {},
      resync: () => {},
    };
    player.placed(place, epoch as Epoch, undefined);
    player.deliver(JOIN, frameOf(JOIN));
    return heard;
  };
  return { player, page, take, lost, webSocket: () => came! };
}

test("[GATE4] what a player says without an owner waits in order, and past its bound in their socket, not here", async () => {
  const { player, page, take, lost, webSocket } = await connect();
  const first = take(1);
  await once(page, "message");
  page.send(Buffer.from("to the first"));
  await until("the first owner hears", () => first.length === 1);
  player.holdWords();
  player.placeLost(undefined);
  expect(lost).toEqual([player]);
  let read = 0;
  webSocket().on("message", () => (read += 1));
  const words = Array.from({ length: WORDS }, (_, index) => `\r${index} `.padEnd(WORD_BYTES, "."));
  for (const word of words) page.send(Buffer.from(word, "latin1"));
  await until("the socket is not read any more", () => webSocket().isPaused);
  const sent = once(page, "pong");
  await new Promise(setImmediate);
  expect(read * WORD_BYTES).toBeLessThanOrEqual(HELD_BYTES_MAX + READ_BYTES);
  const second = take(2);
  await until("the second owner hears all", () => second.length >= WORDS);
  expect(second).toEqual(words);
  expect(first).toEqual(["to the first"]);
  page.ping();
  await sent; // and the socket is read again
  expect(page.readyState).toBe(WebSocket.OPEN);
});
