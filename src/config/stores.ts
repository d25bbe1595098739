// Settings of Postgres and Redis. The rows are read and checked by config.ts.

import type { NumberRow, TextRow } from "./rows.ts";

export const STORE_TEXTS = {
  databaseUrl: {
    env: ["DATABASE_URL"],
    fallback: undefined,
    secret: true,
    why: "postgres://… of the cluster's database",
  },
  schemaName: {
    env: ["DATABASE_SCHEMA"],
    fallback: "ringside",
    why: "the Postgres schema that holds Ringside's tables",
  },
  redisUrl: {
    env: ["REDIS_URL", "REDIS_URI"],
    fallback: undefined,
    secret: true,
    why: "the cluster's Redis: redis://…, redis+sentinel://host,host/primary-name or redis+cluster://host,host",
  },
  keyPrefix: {
    env: ["KEY_PREFIX"],
    fallback: "ringside:",
    why: "what this cluster's Redis keys and channels begin with",
  },
} as const satisfies Record<string, TextRow>;

export const STORE_NUMBERS = {
  storeMs: {
    env: "STORE_MS",
    fallback: 2_000,
    min: 50,
    max: 60_000,
    why: "how long one call to Postgres may take",
  },
  postgresConnectionsMax: {
    env: "POSTGRES_CONNECTIONS_MAX",
    fallback: 8,
    min: 2,
    max: 200,
    why: "how many connections to Postgres this node opens at most; one more listens, one renews the lease",
  },
  postgresTimeline: {
    env: "POSTGRES_TIMELINE",
    fallback: 0,
    min: 0,
    max: 1_000_000,
    why: "only for a Postgres that does not tell its timeline: 1, and one more whenever it was replaced by one that may lack what it had acknowledged; the same for all nodes. 0 asks Postgres",
  },
  eventsKept: {
    env: "EVENTS_KEPT",
    fallback: 10_000,
    min: 100,
    max: 10_000_000,
    why: "how many entries of the event log are kept",
  },
  redisMs: {
    env: "REDIS_MS",
    fallback: 500,
    min: 50,
    max: 10_000,
    why: "how long Redis may take to answer before this node goes on without it; players wait for it once at most",
  },
  redisPendingMax: {
    env: "REDIS_PENDING_MAX",
    fallback: 10_000,
    min: 10,
    max: 1_000_000,
    why: "how many commands may wait for Redis to answer; more are refused at once",
  },
} as const satisfies Record<string, NumberRow>;
