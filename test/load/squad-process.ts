// A process full of players on the stock SDK, started by squad.ts. They move about a few times a second and tell what
// happens to their connections. Nothing of the SDK is changed or set: its own rules are part of what the drill measures.
//
//   node test/load/squad-process.ts <ws url> <seed> [room name]     with an IPC channel

import { Client, type Room } from "@colyseus/sdk";
import type { ArenaState } from "../../rooms/arena/arena-state.ts";
import { messageOf } from "../../src/errors.ts";
import { repeat } from "../../src/runtime/repeat.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { seededRandom } from "./random.ts";
import type { FromSquad, Order, ToSquad } from "./squad-messages.ts";

/** How many join at the same time. */
const JOINS_AT_ONCE = 8;
const JOIN_ATTEMPTS = 3;
const MOVES_EVERY_MS = 250;
/** The players are moved in this many groups, one after the other, so that they do not all speak at once. */
const GROUPS = 10;
/** A room whose clock has not moved for this long is not being played. */
const SILENT_MS = 1_000;

interface Seated {
  readonly room: Room<unknown, ArenaState>;
  tick: number;
  tickAt: number;
  isAway: boolean;
}

/** Rooms of another name have a `tick` and `players` too, which is all that is looked at. */
const [url = "", seed = "1", roomName = "arena"] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const seated = new Map<number, Seated>();

// The SDK tells of each of its attempts there; 200 players at once drown what the drill has to say.
console.info = () => {};

const tell = (message: FromSquad): void => {
  process.send?.(message, () => {}); // if it cannot be told any more, the drill is over
};

async function join({ player, roomId }: Order): Promise<void> {
  const client = new Client(url);
  const options = { name: `p${player}` };
  const room =
    roomId === null
      ? await client.create<ArenaState>(roomName, options)
      : await client.joinById<ArenaState>(roomId, options);
  const own: Seated = { room, tick: 0, tickAt: 0, isAway: false };
  seated.set(player, own);
  room.onStateChange((state) => {
    if (state.tick === own.tick) return;
    own.tick = state.tick;
    own.tickAt = Date.now();
  });
  room.onDrop((code) => {
    if (own.isAway) return;
    own.isAway = true;
    tell({ kind: "dropped", player, at: Date.now(), code });
  });
  room.onReconnect(() => {
    own.isAway = false;
    const { retryCount: tries } = room.reconnection;
    tell({ kind: "back", player, at: Date.now(), tries, sessionId: room.sessionId });
  });
  room.onLeave((code, reason) => {
    seated.delete(player);
    tell({ kind: "left", player, code, reason: reason ?? "" });
  });
  tell({ kind: "joined", player, roomId: room.roomId, sessionId: room.sessionId });
}

/** Joining is not what is measured, and a machine that is filled with thousands of players may be late for one of them. */
async function joinAtLast(order: Order): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      await join(order);
      return;
    } catch (error) {
      if (attempts === JOIN_ATTEMPTS) throw error;
    }
  }
}

async function joinAll(orders: readonly Order[]): Promise<void> {
  const queue = [...orders];
  const work = async (): Promise<void> => {
    for (let order = queue.shift(); order !== undefined; order = queue.shift()) await joinAtLast(order);
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, work));
}

function count(): number {
  const now = Date.now();
  return [...seated.values()].filter(
    ({ room, tickAt, isAway }) =>
      !isAway && now - tickAt < SILENT_MS && room.state.players.get(room.sessionId) !== undefined,
  ).length;
}

let turn = 0;
void repeat(
  systemClock,
  MOVES_EVERY_MS / GROUPS,
  new AbortController().signal,
  () => {
    turn = (turn + 1) % GROUPS;
    for (const [player, { room, isAway }] of seated) {
      if (player % GROUPS !== turn || isAway) continue;
      const angle = random() * 2 * Math.PI;
      room.send("move", { x: Math.cos(angle), y: Math.sin(angle) });
    }
  },
  (error) => tell({ kind: "failed", error: messageOf(error) }),
);

process.on("message", (message: ToSquad) => {
  if (message.kind === "count") {
    tell({ kind: "counted", id: message.id, playing: count() });
    return;
  }
  joinAll(message.orders).catch((error: unknown) => tell({ kind: "failed", error: messageOf(error) }));
});
// The drill is over, however it ended.
process.on("disconnect", () => process.exit(0));
