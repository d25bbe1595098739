// The gateway benchmark's players, in a process of their own: raw WebSockets that take a seat, say ten times a second where
// they want to go, and read every patch without decoding it.
//
//   node test/load/gateway-players.ts <seed>     with an IPC channel

import { createHistogram } from "node:perf_hooks";
import { WebSocket } from "ws";
import { messageOf } from "../../src/errors.ts";
import { ROOM_NAME } from "./gateway-game.ts";
import type { FromPlayers, ToPlayers } from "./gateway-messages.ts";
import { seededRandom } from "./random.ts";

const JOIN_ROOM = 10;
const ROOM_DATA = 13;
const ROOM_STATE_PATCH = 15;
const JOINS_AT_ONCE = 8;
/** Everyone speaks once in this time, in so many groups, one after the other. */
const SAY_EVERY_MS = 100;
const GROUPS = 10;
const GO = Buffer.from([ROOM_DATA, 0xa2, ...Buffer.from("go"), 0x92]); // MessagePack: a string of two, an array of two

const random = seededRandom(Number(process.argv[2] ?? "1"));
const scenes = new Map<string, WebSocket[]>();
let playing = "";
let patches = 0;
let said = 0;
const intervals = createHistogram();

const tell = (message: FromPlayers): void => void process.send?.(message);

async function ask(
  port: number,
  path: string,
): Promise<{ roomId: string; sessionId: string; processId: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/matchmake/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  if (!response.ok) throw new Error(`a player was refused: ${await response.text()}`);
  return (await response.json()) as { roomId: string; sessionId: string; processId: string };
}

async function join(scene: string, port: number, roomId: string | undefined): Promise<string> {
  const seat = await ask(port, roomId === undefined ? `create/${ROOM_NAME}` : `joinById/${roomId}`);
  const url = `ws://127.0.0.1:${port}/${seat.processId}/${seat.roomId}?sessionId=${seat.sessionId}`;
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.binaryType = "nodebuffer";
  let lastUs = 0;
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", (code) => reject(new Error(`a player's connection was closed with ${code}`)));
    socket.once("message", () => {
      socket.send(Buffer.of(JOIN_ROOM));
      socket.on("message", (data: Buffer) => {
        if (data[0] !== ROOM_STATE_PATCH || scene !== playing) return;
        patches += 1;
        const nowUs = Math.round(performance.now() * 1_000);
        if (lastUs > 0) intervals.record(Math.max(1, nowUs - lastUs));
        lastUs = nowUs;
      });
      resolve();
    });
  });
  scenes.get(scene)?.push(socket);
  return seat.roomId;
}

async function joinAll(scene: string, port: number, rooms: number, each: number): Promise<void> {
  scenes.set(scene, []);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let room = next++; room < rooms; room = next++) {
      const roomId = await join(scene, port, undefined);
      for (let player = 1; player < each; player++) await join(scene, port, roomId);
    }
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, work));
}

let turn = 0;
setInterval(() => {
  turn = (turn + 1) % GROUPS;
  const sockets = scenes.get(playing) ?? [];
  for (let player = turn; player < sockets.length; player += GROUPS) {
    const socket = sockets[player];
    if (socket?.readyState !== WebSocket.OPEN) continue;
    // Small positive integers are themselves in MessagePack.
    socket.send(Buffer.concat([GO, Buffer.of(Math.floor(random() * 100), Math.floor(random() * 100))]));
    said += 1;
  }
}, SAY_EVERY_MS / GROUPS);

process.on("message", (message: ToPlayers) => {
  switch (message.kind) {
    case "join":
      joinAll(message.scene, message.port, message.rooms, message.each).then(
        () => tell({ kind: "joined" }),
        (error: unknown) => tell({ kind: "failed", error: messageOf(error) }),
      );
      break;
    case "play":
      playing = message.scene;
      tell({ kind: "playing" });
      break;
    case "sample": {
      const open = (scenes.get(playing) ?? []).filter(
        (socket) => socket.readyState === WebSocket.OPEN,
      ).length;
      const [p50Ms, p99Ms] = [intervals.percentile(50) / 1_000, intervals.percentile(99) / 1_000];
      tell({ kind: "heard", open, patches, said, p50Ms, p99Ms });
      patches = 0;
      said = 0;
      intervals.reset();
      break;
    }
  }
});
process.on("disconnect", () => process.exit(0));
