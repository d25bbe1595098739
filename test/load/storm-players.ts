// Light players in a process of their own, for the drill of the storm.
//
//   node test/load/storm-players.ts     with an IPC channel

import { messageOf } from "../../src/errors.ts";
import { LightPlayer, type Reservation } from "./light-player.ts";
import type { FromPlayers, ToPlayers } from "./storm-messages.ts";

const JOINS_AT_ONCE = 24;

const players: LightPlayer[] = [];
let refused = 0;
const tell = (message: FromPlayers): void => void process.send?.(message);

async function reserve(port: number, path: string, options: object): Promise<Reservation> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/matchmake/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(options),
    });
    if (response.ok) return (await response.json()) as Reservation;
    refused += 1;
    await response.body?.cancel();
  }
}

async function joinAll({
  port,
  backTo,
  perRoom,
  everyMs,
  ...wanted
}: Extract<ToPlayers, { kind: "join" }>): Promise<void> {
  let left = wanted.players;
  const fillOne = async (): Promise<void> => {
    while (left > 0) {
      const here = Math.min(left, perRoom);
      left -= here;
      const first = await reserve(port, "create/crowd", { everyMs });
      for (let index = 0; index < here; index++) {
        const again = (): Promise<Reservation> => reserve(port, `joinById/${first.roomId}`, {});
        const seat = async (reservation: Reservation): Promise<void> => {
          const player = new LightPlayer(reservation, backTo);
          await player.join(port);
          players.push(player);
        };
        // Once more, as a player would, where a busy machine has let the reservation lapse.
        await seat(index === 0 ? first : await again()).catch(async () => seat(await again()));
      }
    }
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, fillOne));
}

async function obey(message: ToPlayers): Promise<FromPlayers> {
  switch (message.kind) {
    case "join": {
      const fromMs = performance.now();
      refused = 0;
      await joinAll(message);
      return { kind: "joined", tookMs: performance.now() - fromMs, refused };
    }
    case "arm":
      for (const player of players) player.arm();
      return { kind: "armed" };
    case "tell":
      return { kind: "facts", players: players.map(({ facts }) => facts) };
  }
}

process.on("message", (message: ToPlayers) => {
  obey(message).then(tell, (error: unknown) => tell({ kind: "failed", error: messageOf(error) }));
});
process.on("disconnect", () => process.exit(0));
