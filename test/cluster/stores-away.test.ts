// Postgres and Redis go away and come back, each as a server of the test's own.

import { expect, inject, test } from "vitest";
import { startRedis } from "../../src/local/redis.ts";
import { startCluster } from "../kit/cluster.ts";
import { privatePostgres } from "../kit/private-postgres.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";
const LEASE = { LEASE_MS: "1500", LEASE_RENEW_MS: "150", LEASE_MARGIN_MS: "100" };

test.each([
  ["crashes", "crash", "restart"],
  ["hangs", "hang", "wake"],
] as const)(
  "[OWN4] [OWN5] [OWN6] Postgres %s for longer than a lease: the world stands still, then goes on where it was",
  async (_does, takeAway, bringBack) => {
    await using postgres = await privatePostgres();
    await using cluster = await startCluster({
      game: GAME,
      stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
      env: { ...LEASE, CHECKPOINT_MS: "200" },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const players = [
      await cluster.place({ owner: a, gateway: b }),
      await cluster.place({ owner: b, gateway: b }),
    ];
    const [player] = players;
    if (player === undefined) throw new Error("there is no player");
    for (const each of players) await each.ask("add", 6);
    for (const each of players) await each.inSync();

    const lapses = cluster.nodes.map((node) =>
      cluster.events.next("lease:lapsed", (_facts, from) => from === node.nodeId),
    );
    await postgres[takeAway]();
    const lapsed = await Promise.all(lapses);
    // What is said meanwhile is heard afterwards, in order.
    const answers = players.map((each) => each.ask<number>("add", 1));
    const regains = cluster.nodes.map((node) =>
      cluster.events.next("lease:regained", (_facts, from) => from === node.nodeId),
    );
    await postgres[bringBack]();
    const regained = await Promise.all(regains);
    expect(await Promise.all(answers)).toEqual([7, 7]);

    for (const each of players) {
      await each.untilTicking();
      const owner = await cluster.ownerOf(each.roomId);
      const from = lapsed.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
      const to = regained.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
      expect(to - from, "ms without a lease").toBeGreaterThan(0);
      // 100 ms for what was on its way when the lease was over.
      expect(
        each.ticks.filter(({ at }) => at > from + 100 && at < to - 20),
        "the world while there was no lease",
      ).toEqual([]);
      const steps = each.ticks.map(({ tick }, index) => tick - (each.ticks[index - 1]?.tick ?? tick));
      expect(Math.min(...steps), "no step back").toBeGreaterThanOrEqual(0);
      expect(Math.max(...steps), "no leap ahead either").toBeLessThan(20);
      const after = await each.inSync();
      expect(after.players[each.sessionId]?.score).toBe(7);
      expect(after.calls[each.sessionId]).toEqual({ joins: 1, reconnects: 0, leaves: 0 });
      each.expectUndisturbed();
      await expectOneOwner(cluster, each, 1);
    }
    expect(cluster.nodes).toHaveLength(3);
    for (const name of ["node:lost", "node:fenced", "room:restored", "room:fenced"] as const) {
      expect(cluster.events.of(name), name).toEqual([]);
    }
    // And what is checkpointed from now on is as good as before.
    await cluster.untilSaved(player.roomId);
    await a.kill();
    await until("the player is on another node", async () => (await player.facts()).pid !== a.pid);
    expect((await player.inSync()).players[player.sessionId]?.score).toBe(7);
  },
);

test("[REC1] [OWN5] an owner that dies while Postgres is away is replaced when Postgres is back", async () => {
  await using postgres = await privatePostgres();
  await using cluster = await startCluster({
    game: GAME,
    stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
    env: { ...LEASE, CHECKPOINT_MS: "200" },
  });
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const player = await cluster.place({ owner: a, gateway: b });
  const bystander = await cluster.place({ owner: c, gateway: c });
  await player.ask("add", 13);
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  const away = cluster.events.next("lease:lapsed", (_facts, from) => from === b.nodeId);
  await postgres.crash();
  await away;
  await a.kill();
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await postgres.restart();
  expect((await restored).facts).toMatchObject({ epoch: 2, fromEpoch: 1 });
  const after = await player.inSync();
  expect(after.players[player.sessionId]).toMatchObject({ score: 13 });
  await expectOneOwner(cluster, player, 2);
  bystander.expectUndisturbed();
  await bystander.untilTicking();
  await expectOneOwner(cluster, bystander, 1);
});

test("[RED1] Redis is killed and starts empty: no player notices, and running rooms are found again", async () => {
  let redis = await startRedis();
  const { port, url } = redis;
  const password = decodeURIComponent(new URL(url).password);
  try {
    await using cluster = await startCluster({
      game: GAME,
      stores: { databaseUrl: inject("databaseUrl"), redisUrl: url },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const player = await cluster.place({ owner: a, gateway: b });
    await player.ask("add", 2);
    const losses = cluster.nodes.map((node) =>
      cluster.events.next("redis:lost", (_facts, from) => from === node.nodeId),
    );
    await redis.stop();
    await Promise.all(losses);
    const from = player.tick;
    // A second of play, by the room's own count.
    await until("the world goes on without Redis", () => player.tick > from + 20);
    expect(await player.ask("add", 3)).toBe(5);
    await player.inSync();

    const regains = cluster.nodes.map((node) =>
      cluster.events.next("redis:regained", (_facts, from) => from === node.nodeId),
    );
    redis = await startRedis({ port, password });
    await Promise.all(regains);
    await until("the room is listed again", () => cluster.listing(player.roomId));
    for (const node of cluster.nodes) {
      const friend = await cluster.client(node).joinOrCreate("probe", { name: `via ${node.nodeId}` });
      expect(friend.roomId, `found through ${node.nodeId}`).toBe(player.roomId);
      await friend.leave();
    }
    await player.inSync();
    player.expectUndisturbed();
    await expectOneOwner(cluster, player, 1);
    expect(cluster.nodes).toHaveLength(3);
  } finally {
    await redis.stop();
  }
});

test("[RED1] [REC1] an owner dies while Redis is away: its player is back all the same", async () => {
  const redis = await startRedis();
  await using cluster = await startCluster({
    game: GAME,
    stores: { databaseUrl: inject("databaseUrl"), redisUrl: redis.url },
    env: { CHECKPOINT_MS: "200" },
  });
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner: a, gateway: b });
  await player.ask("add", 17);
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  const losses = cluster.nodes.map((node) =>
    cluster.events.next("redis:lost", (_facts, from) => from === node.nodeId),
  );
  await redis.stop();
  await Promise.all(losses);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await a.kill();
  expect((await restored).facts).toMatchObject({ epoch: 2 });
  await until("the player is back", () => player.returns > 0);
  expect((await player.inSync()).players[player.sessionId]).toMatchObject({ score: 17 });
  await player.untilTicking();
  await expectOneOwner(cluster, player, 2);
});
