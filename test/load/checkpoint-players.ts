// Players of the checkpoint benchmark, in a process of their own: raw WebSockets that take a seat, acknowledge it, say a
// few times a second where they want to go, and read every patch without decoding it. The node does for them all that it
// does for a player on the SDK; what the SDK itself would burn is left out, since it is not what is measured.
//
//   node test/load/checkpoint-players.ts <seed>     with an IPC channel

import { WebSocket } from "ws";
import { messageOf } from "../../src/errors.ts";
import { seededRandom } from "./random.ts";
import type { FromPlayers, ToPlayers } from "./checkpoint-messages.ts";

const JOIN_ROOM = 10;
const ROOM_DATA = 13;
const JOINS_AT_ONCE = 8;
const TURNS_EVERY_MS = 250;
const TURN = Buffer.from([ROOM_DATA, 0xa4, ...Buffer.from("turn")]); // as MessagePack has a string of four

const random = seededRandom(Number(process.argv[2] ?? "1"));
const sockets: WebSocket[] = [];
let patches = 0;

const tell = (message: FromPlayers): void => void process.send?.(message);

async function join(port: number, roomId: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/matchmake/joinById/${roomId}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  if (!response.ok) throw new Error(`a player was refused: ${await response.text()}`);
  const { processId, sessionId } = (await response.json()) as { processId: string; sessionId: string };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${processId}/${roomId}?sessionId=${sessionId}`);
  socket.binaryType = "nodebuffer";
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", (code) => reject(new Error(`a player's connection was closed with ${code}`)));
    socket.once("message", () => {
      socket.send(Buffer.of(JOIN_ROOM));
      socket.on("message", () => void (patches += 1));
      resolve();
    });
  });
  sockets.push(socket);
}

async function joinAll(port: number, roomIds: readonly string[], each: number): Promise<void> {
  const queue = roomIds.flatMap((roomId) => Array.from({ length: each }, () => roomId));
  const work = async (): Promise<void> => {
    for (let roomId = queue.shift(); roomId !== undefined; roomId = queue.shift()) await join(port, roomId);
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, work));
}

setInterval(() => {
  for (const socket of sockets) {
    // A small positive integer is itself in MessagePack.
    if (socket.readyState === WebSocket.OPEN)
      socket.send(Buffer.concat([TURN, Buffer.of(Math.floor(random() * 128))]));
  }
}, TURNS_EVERY_MS);

process.on("message", (message: ToPlayers) => {
  if (message.kind === "sample") {
    const open = sockets.filter((socket) => socket.readyState === WebSocket.OPEN).length;
    tell({ kind: "heard", patches, open });
    patches = 0;
    return;
  }
  joinAll(message.port, message.roomIds, message.each).then(
    () => tell({ kind: "joined" }),
    (error: unknown) => tell({ kind: "failed", error: messageOf(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
