// A primary with a replica and three Sentinels, all real: the primary hangs, the replica is promoted, and later dies. Players
// in running rooms notice neither.

import { expect, inject, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { SentinelSet, whyNoRedisServer } from "../kit/real-redis.ts";
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
import { until } from "../kit/until.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`redis-sentinel.test.ts is skipped: ${missing}`);

const PREFIX = "sentinel:";
const DOWN_AFTER_MS = 1_000;
/** What a failover takes in all: to be noticed, voted on, carried out and followed. */
const FAILOVER_MS = 15_000;

test.skipIf(missing !== undefined)(
  "[RED1] [RED3] the primary hangs, and its successor dies: players play on, and the one that the Sentinels name is used",
  async () => {
    await using set = await SentinelSet.start(DOWN_AFTER_MS);
    await using cluster = await startCluster({
      game: "kit/redis-game.ts",
      stores: { databaseUrl: inject("databaseUrl"), redisUrl: set.url },
      env: { KEY_PREFIX: PREFIX },
    });
    const pids = cluster.nodes.map(({ pid }) => pid);
    const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
    const player = await cluster.place({ owner: a, gateway: b, room: "wired" });
    const players = [player, await cluster.place({ owner: b, gateway: c, room: "wired" })];
    const rows = async (): Promise<Rows> => {
      const flat = (await (await set.primary()).ask("HGETALL", `${PREFIX}roomcaches`)) as string[];
      return Object.fromEntries(
        flat.flatMap((key, index) => (index % 2 === 0 ? [[key, flat[index + 1] ?? ""]] : [])),
      );
    };
    await untilListingIsTrue(cluster, rows);

    for (const fault of ["hang", "kill"] as const) {
      const before = await set.primary();
      const lost = onEach(cluster, "redis:lost");
      const regained = onEach(cluster, "redis:regained");
      const from = player.tick;
      await before[fault]();
      const faultMs = performance.now();
      await lost;
      expectAnswered(await tryMatchmaking(cluster, player));
      await expectCalls(cluster, players);
      await regained;
      expect(performance.now() - faultMs, `ms of failover after ${fault}`).toBeLessThan(FAILOVER_MS);
      expect((await set.primary()).port, "the successor").not.toBe(before.port);
      await untilListingIsTrue(cluster, rows);
      await expectNews(players);
      expectAnswered(await tryMatchmaking(cluster, player));
      expect(player.tick).toBeGreaterThan(from);
      for (const each of players) await each.inSync();
      expectHarmless(cluster, pids, players);
      if (fault === "kill") break;
      // It wakes, believes itself the primary, and is told otherwise; nobody may have gone back to it.
      before.wake();
      await until(
        "the old primary follows the new one",
        async () => String(await before.ask("INFO", "replication")).includes("master_link_status:up"),
        { ms: 40_000 },
      );
      await untilListingIsTrue(cluster, rows);
      expectHarmless(cluster, pids, players);
    }
  },
  120_000,
);
