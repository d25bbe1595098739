// Brings the database's schema up to this version's. Nodes that start together wait for one another: one migrates,
// the others find the work done. What this Postgres would refuse later it is asked for here, where somebody is looking.

import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import pg from "pg";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import { connectionSettings, timelineOption } from "./pool.ts";

/**
 * Applies the migrations that are missing, each in one transaction.
 *
 * @throws RingsideError POSTGRES_UNREACHABLE when there is no way to the database, or it takes no writes; BAD_CONFIG when it
 * refuses us, or does not tell its timeline
 */
export async function migrate(config: Config): Promise<void> {
  const client = new pg.Client({
    ...connectionSettings(config, "migrate"),
    connectionTimeoutMillis: 5_000,
    // A migration may take longer than any other statement, and waiting for another node's does.
    options: `-c statement_timeout=60000${timelineOption(config)}`,
  });
  client.on("error", () => {}); // told by the query that was running
  try {
    await client.connect();
  } catch (error) {
    throw explainConnectFailure(error, config.databaseUrl);
  }
  try {
    await runner({
      dbClient: client,
      dir: fileURLToPath(new URL("migrations/", import.meta.url)),
      direction: "up",
      migrationsTable: "migration",
      schema: config.schemaName,
      createSchema: true,
      advisoryLockMode: "wait",
      log: () => {},
    });
    await client.query(`SELECT ${config.schemaName}.next_epoch(0)`).catch((error: unknown) => {
      throw explainNoEpoch(error, config.databaseUrl);
    });
  } catch (error) {
    throw isReadOnly(error) ? explainReadOnly(error, config.databaseUrl) : error;
  } finally {
    await client.end().catch(() => {}); // the connection is not used again, whatever became of it
  }
}

/** What is wrong with DATABASE_URL, in words that tell what to do. Never repeats the URL: it may hold a password. */
function explainConnectFailure(error: unknown, databaseUrl: string): RingsideError {
  const { pathname, username } = new URL(databaseUrl);
  const where = whereIs(databaseUrl);
  const code = codeOf(error);
  if (code === "28P01" || code === "28000") {
    const hint = `Postgres at ${where} refuses user ${username || "(none)"}: check the user and password in DATABASE_URL`;
    return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
  }
  if (code === "3D000") {
    const hint = `there is no database ${pathname.slice(1)} at ${where}: create it, or name another in DATABASE_URL`;
    return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
  }
  const hint = `no Postgres answers at ${where} (${messageOf(error)}): start it, or correct DATABASE_URL`;
  return new RingsideError("POSTGRES_UNREACHABLE", { hint }, error);
}

/**
 * What an error means that a statement met while the node starts: that Postgres went away, in words that tell what to do, or
 * itself when it is about something else.
 */
export function explainLoss(error: unknown, databaseUrl: string): unknown {
  const code = codeOf(error);
  // 08: the connection; 57: the server is going down; E…: the network. None: the connection broke, or took too long.
  const isAway = error instanceof Error && (typeof code !== "string" || /^(?:08|57|E[A-Z])/u.test(code));
  if (isAway && !(error instanceof RingsideError)) return explainConnectFailure(error, databaseUrl);
  return isReadOnly(error) ? explainReadOnly(error, databaseUrl) : error;
}

function explainReadOnly(error: unknown, databaseUrl: string): RingsideError {
  const hint =
    `Postgres at ${whereIs(databaseUrl)} takes no writes (${messageOf(error)}): is it a standby? ` +
    "Let DATABASE_URL lead to the primary, or switch default_transaction_read_only off";
  return new RingsideError("POSTGRES_UNREACHABLE", { hint }, error);
}

/** Epochs begin anew with each timeline (migrations/0003), and not every Postgres lets everybody ask for it. */
function explainNoEpoch(error: unknown, databaseUrl: string): RingsideError {
  const code = codeOf(error);
  // 08: the connection; 57: the server is going down. No code: the connection broke.
  if (typeof code !== "string" || /^(?:08|57)/u.test(code)) return explainConnectFailure(error, databaseUrl);
  const { username } = new URL(databaseUrl);
  const grant =
    code === "42501"
      ? "GRANT EXECUTE ON FUNCTION pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_walfile_name(pg_lsn) " +
        `TO "${decodeURIComponent(username)}", or `
      : "";
  const hint =
    `Postgres at ${whereIs(databaseUrl)} does not tell its timeline (${messageOf(error)}), without which a promoted ` +
    `standby could hand out an epoch twice: ${grant}set POSTGRES_TIMELINE=1 for all nodes, and one more whenever this ` +
    "Postgres was replaced by one that may lack what it had acknowledged";
  return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
}

/** read_only_sql_transaction: a standby, or a server that was told so. */
function isReadOnly(error: unknown): boolean {
  return codeOf(error) === "25006";
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function whereIs(databaseUrl: string): string {
  const { hostname, port } = new URL(databaseUrl);
  return `${hostname}:${port === "" ? "5432" : port}`;
}
