// Brings the database's schema up to this version's. Nodes that start together wait for one another: one migrates,
// the others find the work done.

import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import pg from "pg";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import { connectionSettings } from "./pool.ts";

/**
 * Applies the migrations that are missing, each in one transaction.
 *
 * @throws RingsideError POSTGRES_UNREACHABLE when there is no way to the database; BAD_CONFIG when it refuses us
 */
export async function migrate(config: Config): Promise<void> {
  const client = new pg.Client({
    ...connectionSettings(config, "migrate"),
    connectionTimeoutMillis: 5_000,
    // A migration may take longer than any other statement, and waiting for another node's does.
    options: "-c statement_timeout=60000",
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
  } finally {
    await client.end().catch(() => {}); // the connection is not used again, whatever became of it
  }
}

/** What is wrong with DATABASE_URL, in words that tell what to do. Never repeats the URL: it may hold a password. */
function explainConnectFailure(error: unknown, databaseUrl: string): RingsideError {
  const { hostname, port, pathname, username } = new URL(databaseUrl);
  const where = `${hostname}:${port === "" ? "5432" : port}`;
  const code = (error as { code?: unknown }).code;
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
