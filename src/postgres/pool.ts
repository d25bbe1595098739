// Connections to Postgres: a bounded pool for the rooms' work, and one connection of its own for the lease, so that a
// renewal never waits behind a batch of checkpoints.

import pg from "pg";
import type { Config } from "../config.ts";

/**
 * A pool whose every statement has a deadline on both sides: Postgres stops working on it, and we stop waiting.
 *
 * @param max connections at most; a caller that gets none within `config.storeMs` is rejected
 */
export function openPool(config: Config, max: number, label: string): pg.Pool {
  const pool = new pg.Pool({
    ...connectionSettings(config, label),
    max,
    connectionTimeoutMillis: config.storeMs,
    idleTimeoutMillis: 0, // a connection that must first be opened is the last thing a recovery needs
    query_timeout: config.storeMs,
  });
  // Idle connections break when Postgres restarts. The pool replaces them; whoever asks next learns if it cannot.
  pool.on("error", () => {});
  return pool;
}

export function connectionSettings(config: Config, label: string): pg.ClientConfig {
  return {
    connectionString: config.databaseUrl,
    application_name: `ringside ${config.nodeId} ${label}`.slice(0, 63),
    keepAlive: true,
    // synchronous_commit: what a claim, a seat or a checkpoint acknowledged must survive Postgres's own crash.
    options: `-c search_path=${config.schemaName} -c statement_timeout=${config.storeMs} -c synchronous_commit=on -c jit=off`,
  };
}
