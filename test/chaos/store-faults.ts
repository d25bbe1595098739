// Faults of the stores: Redis and Postgres are taken away, hang, forget or are slow, and COMMITs go astray.

import pg from "pg";
import { systemClock } from "../../src/runtime/clock.ts";
import type { CommitFault } from "../kit/fault-proxy.ts";
import {
  count,
  exclusively,
  lasts,
  refuses,
  Skip,
  type Befallen,
  type FaultContext,
  type Faults,
} from "./fault.ts";
import { PACE, SETTINGS } from "./settings.ts";

const COMMITS_WITHIN_MS = 5_000;
const REDIS_ANSWERS_MS = 1_000;
const SLOW_ANSWERS_MS = 5_000 * PACE;
/** Somebody may have its port for a moment, or the machine be too busy to start anything. */
const TRIES_BACK = 3;

export const STORE_FAULTS: Faults<
  | "redis-restart"
  | "redis-hang"
  | "redis-empty"
  | "postgres-restart"
  | "postgres-hang"
  | "postgres-slow"
  | "drop-reply"
  | "cut-before-commit"
> = {
  "redis-restart": (context) =>
    exclusively("redis", async () => {
      const { redis } = context.world;
      await redis.kill();
      const isGone = !(await redis.answers(REDIS_ANSWERS_MS));
      await lasts(context);
      await untilBack(() => redis.restart());
      return { target: "redis", bit: isGone ? "it refuses" : undefined };
    }),

  "redis-hang": (context) =>
    exclusively("redis", async () => {
      const { redis } = context.world;
      if (!redis.isReal) throw new Skip("there is no redis-server here");
      redis.hang();
      let isSilent: boolean;
      try {
        isSilent = !(await redis.answers(REDIS_ANSWERS_MS));
        await lasts(context);
      } finally {
        redis.wake();
      }
      return { target: "redis", bit: isSilent ? "it does not answer" : undefined };
    }),

  "redis-empty": ({ world: { redis } }) =>
    exclusively("redis", async () => {
      const before = Number(await untilBack(() => redis.ask("DBSIZE")));
      if (before === 0) throw new Skip("it is empty");
      await untilBack(() => redis.ask("FLUSHALL"));
      return { target: "redis", bit: count(before, "keys were deleted") };
    }),

  "postgres-restart": (context) =>
    exclusively("postgres", async () => {
      const { postgres } = context.world;
      await postgres.crash();
      const bit = await refuses(() => roundTripMs(postgres.url, 500), "it refuses");
      await lasts(context);
      await untilBack(() => postgres.restart());
      return { target: "postgres", bit };
    }),

  "postgres-hang": (context) =>
    exclusively("postgres", async () => {
      const { postgres } = context.world;
      await postgres.hang();
      let bit: string | undefined;
      try {
        bit = await refuses(() => roundTripMs(postgres.url, 200), "it does not answer");
        await lasts(context);
      } finally {
        await postgres.wake();
      }
      return { target: "postgres", bit };
    }),

  "postgres-slow": (context) =>
    exclusively("slow", async () => {
      const { world, random } = context;
      const delayMs = Math.round(20 + random() * SETTINGS.storeMs * 0.7);
      const all = await world.everySurroundings();
      for (const { postgres } of all) postgres.delayMs = delayMs;
      let tookMs: number | undefined;
      try {
        for (const { postgres } of all) {
          // Undefined where it has another fault as well.
          tookMs ??= await roundTripMs(postgres.through(world.postgres.url), SLOW_ANSWERS_MS).catch(
            () => undefined,
          );
        }
        await lasts(context);
      } finally {
        for (const { postgres } of all) postgres.delayMs = 0;
      }
      if (tookMs === undefined) throw new Skip("Postgres was away: nobody can tell how slow it was");
      return { target: "postgres", bit: tookMs >= delayMs ? `${delayMs} ms later` : undefined };
    }),

  "drop-reply": (context) => exclusively("commits", () => failCommits(context, "drop-reply")),
  "cut-before-commit": (context) => exclusively("commits", () => failCommits(context, "cut-before")),
};

async function failCommits({ world, random, healing }: FaultContext, fault: CommitFault): Promise<Befallen> {
  const proxies = (await world.everySurroundings()).map(({ postgres }) => postgres);
  const bites = (): number => proxies.reduce((sum, proxy) => sum + proxy.bites[fault], 0);
  const commits = (): number => proxies.reduce((sum, proxy) => sum + proxy.commits, 0);
  const before = { bites: bites(), commits: commits() };
  const times = 1 + Math.floor(random() * 3);
  for (const proxy of proxies) proxy.failCommits(fault, times);
  const endsMs = systemClock.monotonicMs() + COMMITS_WITHIN_MS;
  while (bites() === before.bites && systemClock.monotonicMs() < endsMs && !healing.aborted)
    await systemClock.sleep(50);
  for (const proxy of proxies) proxy.spareCommits();
  if (commits() === before.commits) throw new Skip("no COMMIT came by");
  return { target: "postgres", bit: count(bites() - before.bites, "COMMITs") };
}

/** Whatever becomes of a fault, the store must be there again: else all that follows were the fault of the run. */
async function untilBack<Result>(bringBack: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await bringBack();
    } catch (error) {
      if (tries === TRIES_BACK) throw error;
    }
  }
}

async function roundTripMs(url: string, timeoutMs: number): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  const sql = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  sql.on("error", () => {}); // told by the query
  try {
    await sql.connect();
    await sql.query("SELECT 1");
    return systemClock.monotonicMs() - startedMs;
  } finally {
    void sql.end().catch(() => {}); // a server that hangs would not let it end
  }
}
