// Players on the stock SDK, in a process of their own, for the drill of the sockets. Nothing of the SDK is changed or set.
//
//   node test/load/sockets-players.ts <seed>     with an IPC channel

import { Client, type Room } from "@colyseus/sdk";
import type { ArenaState } from "../../rooms/arena/arena-state.ts";
import { messageOf } from "../../src/errors.ts";
import { seededRandom } from "./random.ts";
import type { FromPlayers, PlayerFacts, ToPlayers } from "./sockets-messages.ts";

const JOINS_AT_ONCE = 8;
const MOVES_EVERY_MS = 250;
const GROUPS = 10;

interface Seated {
  readonly room: Room<unknown, ArenaState>;
  drops: number;
  returns: number;
  leftWith: number | undefined;
  lastAtMs: number;
  longestGapMs: number;
  patches: number;
}

const random = seededRandom(Number(process.argv[2] ?? "1"));
let seated: Seated[] = [];
console.info = () => {}; // the SDK tells of each attempt there

const tell = (message: FromPlayers): void => void process.send?.(message);

async function join(port: number, roomId: string | null): Promise<string> {
  const client = new Client(`ws://127.0.0.1:${port}`);
  const options = { name: "p" };
  const room =
    roomId === null
      ? await client.create<ArenaState>("arena", options)
      : await client.joinById<ArenaState>(roomId, options);
  const nowMs = performance.now();
  const own: Seated = {
    room,
    drops: 0,
    returns: 0,
    leftWith: undefined,
    lastAtMs: nowMs,
    longestGapMs: 0,
    patches: 0,
  };
  seated.push(own);
  room.onStateChange(() => {
    const atMs = performance.now();
    own.longestGapMs = Math.max(own.longestGapMs, atMs - own.lastAtMs);
    own.lastAtMs = atMs;
    own.patches += 1;
  });
  room.onDrop(() => void (own.drops += 1));
  room.onReconnect(() => void (own.returns += 1));
  room.onLeave((code) => void (own.leftWith = code));
  room.onError(() => {});
  return room.roomId;
}

async function joinAll(ports: readonly number[], rooms: readonly (string | null)[]): Promise<string[]> {
  const roomIds: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < rooms.length; index = next++) {
      const port = ports[index % ports.length] ?? 0;
      const roomId = rooms[index] ?? null;
      // Once more, as a player would: nothing is measured yet.
      roomIds[index] = await join(port, roomId).catch(() => join(port, roomId));
    }
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, work));
  return roomIds;
}

function factsOf(own: Seated): PlayerFacts {
  const { room, drops, returns, leftWith, longestGapMs, lastAtMs, patches } = own;
  const gapMs = Math.max(longestGapMs, performance.now() - lastAtMs);
  return { roomId: room.roomId, drops, returns, leftWith, longestGapMs: gapMs, patches };
}

async function obey(message: ToPlayers): Promise<FromPlayers> {
  switch (message.kind) {
    case "join":
      return { kind: "joined", roomIds: await joinAll(message.ports, message.rooms) };
    case "leave": {
      const leaving = seated.filter(({ room }) => message.roomIds.includes(room.roomId));
      seated = seated.filter((own) => !leaving.includes(own));
      await Promise.all(leaving.map(({ room }) => room.leave()));
      return { kind: "left" };
    }
    case "arm":
      for (const own of seated) {
        Object.assign(own, {
          lastAtMs: performance.now(),
          longestGapMs: 0,
          patches: 0,
          drops: 0,
          returns: 0,
        });
      }
      return { kind: "armed" };
    case "tell":
      return { kind: "facts", players: seated.map(factsOf) };
  }
}

let turn = 0;
setInterval(() => {
  turn = (turn + 1) % GROUPS;
  for (let index = turn; index < seated.length; index += GROUPS) {
    const own = seated[index];
    if (own?.room.connection.isOpen !== true) continue;
    const angle = random() * 2 * Math.PI;
    own.room.send("move", { x: Math.cos(angle), y: Math.sin(angle) });
  }
}, MOVES_EVERY_MS / GROUPS);

process.on("message", (message: ToPlayers) => {
  obey(message).then(tell, (error: unknown) => tell({ kind: "failed", error: messageOf(error) }));
});
process.on("disconnect", () => process.exit(0));
