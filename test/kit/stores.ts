// One Postgres and one Redis for a whole run of cluster tests, as real servers; each test gets a database and a key
// prefix of its own (kit/cluster.ts).

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "../../src/local/postgres.ts";
import { startRedis } from "../../src/local/redis.ts";

export interface StoreUrls {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

/** Starts both. `DATABASE_URL` and `REDIS_URL` choose servers that are there already. */
export async function startStores(): Promise<StoreUrls & AsyncDisposable> {
  const { DATABASE_URL: givenDatabase, REDIS_URL: givenRedis } = process.env;
  const dataDir = mkdtempSync(join(tmpdir(), "ringside-test-"));
  const postgres = givenDatabase === undefined ? await startPostgres({ dataDir }) : undefined;
  const redis = givenRedis === undefined ? await startRedis() : undefined;
  return {
    databaseUrl: postgres?.url ?? givenDatabase ?? "",
    redisUrl: redis?.url ?? givenRedis ?? "",
    async [Symbol.asyncDispose]() {
      await redis?.stop();
      await postgres?.stop();
      if (postgres !== undefined) rmSync(postgres.home, { recursive: true, force: true });
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
