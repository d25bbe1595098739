// Players come, go and drop while nodes die: in the end the room knows exactly those who have a seat.

import type { Room } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { until } from "../kit/until.ts";

interface Arena {
  readonly players: Map<string, { readonly isBot: boolean }>;
}

/** A small generator, so that a run can be repeated by its seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test("[SEAT1] [SEAT2] [SEAT4] after joins, leaves, drops and kills at any moment, state and seats name the same players", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  console.log(`seed ${seed}`);
  const chance = random(seed);
  await using cluster = await startCluster({ env: { CHECKPOINT_MS: "400", SEAT_HOLD_MS: "2500" } });
  const first = await cluster.client().joinOrCreate<Arena>("arena", { name: "first" });
  first.reconnection.minUptime = 0;
  const { roomId } = first;
  let players: Room<unknown, Arena>[] = [];

  for (let round = 0; round < 4; round++) {
    const acts: Promise<unknown>[] = [];
    for (let count = 0; count < 6; count++) {
      const kind = chance();
      if (kind < 0.5 || players.length === 0) {
        const joining = cluster
          .client()
          .joinById<Arena>(roomId, { name: `p${round}${count}` })
          .then((room) => {
            room.reconnection.minUptime = 0;
            players.push(room);
          });
        acts.push(joining.catch(() => undefined)); // refused in the middle of a failover: not a player, then
      } else {
        const [room] = players.splice(Math.floor(chance() * players.length), 1);
        if (room === undefined) continue;
        room.reconnection.enabled = false;
        if (kind < 0.75) acts.push(room.leave(true));
        else room.connection.close();
      }
    }
    if (chance() < 0.5) await Promise.all(acts); // else the node dies in the middle of it
    const owner = await cluster.ownerOf(roomId);
    const restored = cluster.events.next("room:restored", (facts) => facts.roomId === roomId);
    await owner.kill();
    await restored;
    await Promise.race([Promise.all(acts), restored]);
    await cluster.add(owner.nodeId);
  }

  // Whoever does not come back has lapsed after SEAT_HOLD_MS, or after the arena's own minute: those are still seated.
  await until(
    "state and seats agree",
    async () => {
      const seats = await cluster.sql<{ session_id: string }>(
        "SELECT session_id FROM seat WHERE room_id = $1",
        [roomId],
      );
      const seated = seats.map((seat) => seat.session_id).sort();
      const humans = [...first.state.players].filter(([, player]) => !player.isBot).map(([key]) => key);
      const present = [first, ...players].map((room) => room.sessionId);
      return (
        JSON.stringify(humans.sort()) === JSON.stringify(seated) &&
        present.every((sessionId) => seated.includes(sessionId))
      );
    },
    {
      ms: 20_000,
      seen: () => ({
        inState: [...first.state.players]
          .filter(([, player]) => !player.isBot)
          .map(([key]) => key)
          .sort(),
        clients: [first, ...players].map((room) => room.sessionId).sort(),
        seats: cluster.events.of("seat:lapsed").map((heard) => heard.facts.sessionId),
      }),
    },
  );
  players = players.filter((room) => room.connection.isOpen);
  expect((await cluster.room(roomId)).players).toBe(players.length + 1);
});
