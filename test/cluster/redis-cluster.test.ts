// A Redis Cluster of three masters: what holds with one server holds with it, also while the master that holds our keys is
// away.

import { expect, inject, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { RealRedisCluster, whyNoRedisServer } from "../kit/real-redis.ts";
import {
  expectAnswered,
  expectCalls,
  expectHarmless,
  expectNews,
  onEach,
  tryMatchmaking,
  untilListingIsTrue,
  type Rows,
} from "../kit/redis-truth.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`redis-cluster.test.ts is skipped: ${missing}`);

test.skipIf(missing !== undefined)(
  "[RED1] [RED3] a Redis Cluster is as good as one server, and losing the master of our keys is as harmless",
  async () => {
    await using servers = await RealRedisCluster.start();
    await using cluster = await startCluster({
      game: "kit/redis-game.ts",
      stores: { databaseUrl: inject("databaseUrl"), redisUrl: servers.url },
      env: { KEY_PREFIX: "many:" },
    });
    const pids = cluster.nodes.map(({ pid }) => pid);
    const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
    const player = await cluster.place({ owner: a, gateway: b, room: "wired" });
    const players = [player, await cluster.place({ owner: b, gateway: c, room: "wired" })];
    const key = "{many:}roomcaches"; // in braces, so that all our keys lie in one slot
    const holder = await servers.holderOf(key);
    const rows = async (): Promise<Rows> => {
      const flat = (await holder.ask("HGETALL", key)) as string[];
      return Object.fromEntries(
        flat.flatMap((id, index) => (index % 2 === 0 ? [[id, flat[index + 1] ?? ""]] : [])),
      );
    };
    await untilListingIsTrue(cluster, rows);
    await expectNews(players);
    await player.ask("keep", "this");
    expect(await player.ask("kept")).toBe("this");
    expect(await player.ask("count")).toBe(1); // a transaction
    expectAnswered(await tryMatchmaking(cluster, player));

    const lost = onEach(cluster, "redis:lost");
    await holder.kill();
    await lost;
    expectAnswered(await tryMatchmaking(cluster, player));
    await expectCalls(cluster, players);
    const regained = onEach(cluster, "redis:regained");
    await holder.restart();
    await regained;
    await untilListingIsTrue(cluster, rows);
    await expectNews(players);
    expectAnswered(await tryMatchmaking(cluster, player));
    for (const each of players) await each.inSync();
    expectHarmless(cluster, pids, players);
  },
);
