// Brings the shop's own table into being, before any room is opened: called by `beforeListen` (rooms/index.ts). A team with
// a migration tool calls it there, or in its deployment.

import { readFileSync } from "node:fs";
import pg from "pg";

/** May be called by any number of nodes at once, each time they start. */
export async function createShopTables(databaseUrl: string | undefined): Promise<void> {
  const sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  try {
    // Several statements in one message: Postgres makes them one transaction.
    await sql.query(readFileSync(new URL("./shop-tables.sql", import.meta.url), "utf8"));
  } finally {
    await sql.end();
  }
}
