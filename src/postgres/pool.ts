// Connections to Postgres: a bounded pool for the rooms' work, and one connection of its own for the lease, so that a
// renewal never waits behind a batch of checkpoints. Commits, which run statements of the rooms' authors, have theirs too.

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
    verify: refuseStandby,
  });
  // Idle connections break when Postgres restarts. The pool replaces them; whoever asks next learns if it cannot.
  pool.on("error", () => {});
  return pool;
}

/**
 * The pool for commits. Statements are sent without waiting for the answers to those before. Authors' own tables are found
 * in the database's `public` schema, after Ringside's own.
 */
export function openCommitPool(config: Config): pg.Pool {
  const settings = connectionSettings(config, "commits");
  const pool = new pg.Pool({
    ...settings,
    options:
      `${settings.options} -c search_path=${config.schemaName},public` +
      // A transaction whose client is gone holds its room's row; so long at most, if the network does not tell.
      ` -c idle_in_transaction_session_timeout=${config.commitMs}` +
      // Statements are sent on before it is known that their transaction has begun; outside of one they must do nothing.
      " -c default_transaction_read_only=on",
    pipeline: true,
    max: config.commitConnectionsMax,
    connectionTimeoutMillis: config.storeMs,
    idleTimeoutMillis: 0,
    query_timeout: config.storeMs,
    verify: refuseStandby,
  } as pg.PoolConfig); // `pipeline` is newer than the types
  pool.on("error", () => {});
  return pool;
}

/** What every connection has in common, for whatever it is: the schema, the deadline, and what an answer is worth. */
export function connectionSettings(config: Config, label: string): pg.ClientConfig & { options: string } {
  return {
    connectionString: config.databaseUrl,
    application_name: `ringside ${config.nodeId} ${label}`.slice(0, 63),
    keepAlive: true,
    // synchronous_commit: what a claim, a seat or a checkpoint acknowledged must survive Postgres's own crash.
    // Isolation: a statement that has waited for a lock must see what whoever held it has done.
    options:
      `-c search_path=${config.schemaName} -c statement_timeout=${config.storeMs} -c synchronous_commit=on -c jit=off` +
      String.raw` -c default_transaction_isolation=read\ committed` +
      timelineOption(config),
  };
}

/** For a Postgres that does not tell its timeline: next_epoch (migrations/0003) reads it here instead. */
export function timelineOption({ postgresTimeline }: Pick<Config, "postgresTimeline">): string {
  return postgresTimeline === 0 ? "" : ` -c ringside.timeline=${postgresTimeline}`;
}

/**
 * A standby refuses to write, but answers questions, with what was true a while ago: a room that it has not heard of yet would
 * be let go. So it counts as away. A primary never becomes one under an open connection.
 */
function refuseStandby(client: pg.PoolClient, done: (error?: Error) => void): void {
  client.query<{ standby: boolean }>(
    "SELECT pg_is_in_recovery() AS standby",
    (error: Error | null, result) => {
      if (error) done(error);
      else done(result.rows[0]?.standby === true ? new Error("this Postgres is a standby") : undefined);
    },
  );
}
