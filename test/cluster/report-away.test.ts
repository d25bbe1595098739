// What operators are told while Postgres is away: as much as the nodes know themselves.

import { expect, inject, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { privatePostgres } from "../kit/private-postgres.ts";
import { until } from "../kit/until.ts";

test.each([
  ["crashed", "crash", "restart"],
  ["hanging", "hang", "wake"],
] as const)(
  "[OWN7] [CKP6] with Postgres %s the report tells of every node and room, and of what is not saved",
  async (_what, takeAway, bringBack) => {
    await using postgres = await privatePostgres();
    await using cluster = await startCluster({
      game: "kit/probe-game.ts",
      stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
      env: { LEASE_MS: "1500", LEASE_RENEW_MS: "150", LEASE_MARGIN_MS: "100", CHECKPOINT_MS: "200" },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const players = [await cluster.place({ owner: a }), await cluster.place({ owner: b })];
    await cluster.untilSaved(players[0]?.roomId ?? "");
    const before = await cluster.report(b);
    expect(before.postgresAwayMs).toBeNull();

    await postgres[takeAway]();
    const away = await until("the report to tell that it is away", async () => {
      const report = await cluster.report(b);
      // For longer than a lease: what is told of is not what was known before.
      return (report.postgresAwayMs ?? 0) > 2_000 && report;
    });
    expect(away.nodes.map(({ nodeId, pid, state, rooms }) => ({ nodeId, pid, state, rooms }))).toEqual(
      before.nodes.map(({ nodeId, pid, state, rooms }) => ({ nodeId, pid, state, rooms })),
    );
    for (const { roomId } of players) {
      const then = before.rooms.find((room) => room.roomId === roomId);
      const now = away.rooms.find((room) => room.roomId === roomId);
      expect(now).toMatchObject({
        name: then?.name,
        nodeId: then?.nodeId,
        epoch: then?.epoch,
        players: 1,
        phase: "active",
      });
      expect(now?.rpoMs, "what a crash would cost now").toBeGreaterThan(1_000);
    }
    expect(away.rpo.oldestMs).toBeGreaterThan(1_000);

    await postgres[bringBack]();
    await until("it to be back", async () => (await cluster.report(b)).postgresAwayMs === null);
    for (const player of players) await player.room.leave();
  },
);
