// Every file in postgres/queries/ is a statement that the migrated schema takes.

import pg from "pg";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { readStatements } from "../../src/postgres/query.ts";

function configFor(schemaName: string): ReturnType<typeof readConfig> {
  return readConfig({
    NODE_ID: "statements",
    DATABASE_URL: inject("databaseUrl"),
    REDIS_URL: inject("redisUrl"),
    CLUSTER_KEY: "a key of some length",
    DATABASE_SCHEMA: schemaName,
  });
}

test("[OWN2] every statement is prepared by the schema that the migrations make", async () => {
  const schemaName = `s_${randomBytes(6).toString("hex")}`;
  await migrate(configFor(schemaName));
  const sql = new pg.Client({
    connectionString: inject("databaseUrl"),
    options: `-c search_path=${schemaName}`,
  });
  await sql.connect();
  try {
    const statements = readStatements();
    expect(statements.size).toBeGreaterThan(15);
    for (const [name, text] of statements) {
      await sql.query(`PREPARE "${name}" AS ${text}`).catch((error: unknown) => {
        throw new Error(`${name}.sql cannot be prepared`, { cause: error });
      });
      expect(text, `${name}.sql must be headed by what it does`).toMatch(/^-- \S/);
    }
  } finally {
    await sql.query(`DROP SCHEMA ${schemaName} CASCADE`);
    await sql.end();
  }
});

test("nodes that start together migrate once, and none of them fails", async () => {
  const schemaName = `s_${randomBytes(6).toString("hex")}`;
  await Promise.all(Array.from({ length: 4 }, () => migrate(configFor(schemaName))));
  const sql = new pg.Client({ connectionString: inject("databaseUrl") });
  await sql.connect();
  try {
    const { rows } = await sql.query<{ count: string }>(`SELECT count(*) FROM ${schemaName}.migration`);
    expect(Number(rows[0]?.count)).toBe(
      readdirSync(new URL("../../src/postgres/migrations/", import.meta.url)).length,
    );
  } finally {
    await sql.query(`DROP SCHEMA ${schemaName} CASCADE`);
    await sql.end();
  }
});
