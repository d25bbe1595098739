// Players in a process of their own, for the drill of the sockets: on the stock SDK, or light (sockets-seated.ts).
//
//   node test/load/sockets-players.ts <seed>     with an IPC channel

import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { seededRandom } from "./random.ts";
import type { FromPlayers, ToPlayers } from "./sockets-messages.ts";
import { joinBySdk, joinLight, type Seated } from "./sockets-seated.ts";

const JOINS_AT_ONCE = 8;
const TRIES_MAX = 10;
const TRY_AGAIN_MS = 1_000;
const MOVES_EVERY_MS = 250;
const GROUPS = 10;

const random = seededRandom(Number(process.argv[2] ?? "1"));
let seated: Seated[] = [];
console.info = () => {}; // the SDK tells of each attempt there

/** Again and again, as a player would: nothing is measured yet, and the machine may be busy with something else. */
async function again<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES_MAX) throw error;
      await systemClock.sleep(TRY_AGAIN_MS);
    }
  }
}

const tell = (message: FromPlayers): void => void process.send?.(message);

async function joinAll({
  ports,
  game,
  rooms,
  isLight,
}: Extract<ToPlayers, { kind: "join" }>): Promise<string[]> {
  const join = isLight ? joinLight : joinBySdk;
  const roomIds: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < rooms.length; index = next++) {
      const port = ports[index % ports.length] ?? 0;
      const roomId = rooms[index] ?? null;
      const own = await again(() => join(port, game, roomId));
      seated.push(own);
      roomIds[index] = own.roomId;
    }
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, work));
  return roomIds;
}

async function obey(message: ToPlayers): Promise<FromPlayers> {
  switch (message.kind) {
    case "join":
      return { kind: "joined", roomIds: await joinAll(message) };
    case "leave": {
      const leaving = seated.filter(({ roomId }) => message.roomIds.includes(roomId));
      seated = seated.filter((own) => !leaving.includes(own));
      await Promise.all(leaving.map((own) => own.leave()));
      return { kind: "left" };
    }
    case "arm":
      for (const own of seated) own.arm();
      return { kind: "armed" };
    case "tell":
      return { kind: "facts", players: seated.map(({ facts }) => facts) };
  }
}

let turn = 0;
setInterval(() => {
  turn = (turn + 1) % GROUPS;
  for (let index = turn; index < seated.length; index += GROUPS) {
    const angle = random() * 2 * Math.PI;
    seated[index]?.say(Math.cos(angle), Math.sin(angle));
  }
}, MOVES_EVERY_MS / GROUPS);

process.on("message", (message: ToPlayers) => {
  obey(message).then(tell, (error: unknown) => tell({ kind: "failed", error: messageOf(error) }));
});
process.on("disconnect", () => process.exit(0));
