// That the books agree: who has a seat by the room, by its state, by Postgres, by the listing in Redis and by the report.

import { expect } from "vitest";
import type { TestCluster } from "./cluster.ts";
import type { Player } from "./player.ts";
import type { Census } from "./seats-game.ts";
import { until } from "./until.ts";

/**
 * Waits until all of them name the same players, and these are `present`, who are connected, and as many more as `away`.
 *
 * @param witness one of those who are present; the room's state is as they see it
 */
export async function expectSeats(
  cluster: TestCluster,
  witness: Player,
  { present, away = [] }: { readonly present: readonly string[]; readonly away?: readonly string[] },
): Promise<void> {
  const { roomId } = witness;
  const all = [...present, ...away].sort();
  let seen: unknown;
  const look = async (): Promise<boolean> => {
    const census = await witness.ask<Census>("census");
    const state = await witness.inSync();
    const rows = await cluster.sql<{ session_id: string }>("SELECT session_id FROM seat WHERE room_id = $1", [
      roomId,
    ]);
    const report = await cluster.room(roomId);
    const books = {
      clients: [...census.clients].sort(),
      reserved: [...census.reserved].sort(),
      state: Object.keys(state.players).sort(),
      postgres: rows.map((row) => row.session_id).sort(),
      listed: { room: census.listed, redis: (await cluster.listing(roomId))?.clients },
      report: { players: report.players, seats: report.seats },
    };
    seen = books;
    expect(books).toEqual({
      clients: [...present].sort(),
      reserved: [...away].sort(),
      state: all,
      postgres: all,
      listed: { room: all.length, redis: all.length },
      report: { players: present.length, seats: all.length },
    });
    return true;
  };
  await until(`all books name ${all.join(", ")}`, look, { ms: 30_000, seen: () => seen });
}
