// A schema of a test file's own, migrated before its tests and dropped after them: the statements as they are, on real Postgres.

import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, inject } from "vitest";
import { readConfig, type Config } from "../../src/config.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { connectionSettings } from "../../src/postgres/pool.ts";
import { Database, readStatements, type Statements } from "../../src/postgres/query.ts";

export interface OwnSchema {
  readonly config: Config;
  readonly pool: pg.Pool;
  readonly statements: Statements;
  readonly database: Database;
}

/**
 * To be called once, where a test file begins.
 *
 * @param name what the schema's name begins with: plain lower-case letters
 * @param max how many connections may be open at a time
 * @param env settings beside those that every node needs
 */
export function ownSchema(name: string, max: number, env: Readonly<Record<string, string>> = {}): OwnSchema {
  const schema = `${name}_${randomBytes(6).toString("hex")}`;
  const config = readConfig({
    NODE_ID: "contract",
    DATABASE_URL: inject("databaseUrl"),
    REDIS_URL: inject("redisUrl"),
    CLUSTER_KEY: randomBytes(16).toString("hex"),
    DATABASE_SCHEMA: schema,
    ...env,
  });
  const pool = new pg.Pool({ ...connectionSettings(config, schema), max });
  beforeAll(() => migrate(config));
  afterAll(async () => {
    await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    await pool.end();
  });
  const statements = readStatements();
  return { config, pool, statements, database: new Database(pool, statements) };
}
