// Brings the database's schema up to this version's. Nodes that start together wait for one another: one migrates,
// the others find the work done. What this Postgres would refuse later it is asked for here, where somebody is looking.

import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import pg from "pg";
import type { Config } from "../config.ts";
import { connectionSettings, timelineOption } from "./pool.ts";
import { explainConnectFailure, explainLoss, explainNoEpoch } from "./start-failures.ts";

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
    throw explainLoss(error, config.databaseUrl);
  } finally {
    await client.end().catch(() => {}); // the connection is not used again, whatever became of it
  }
}
