// A start that loses Postgres in the middle, over a real connection.

import { afterAll, expect, inject, test } from "vitest";
import { migrate } from "../../src/postgres/migrate.ts";
import { FaultProxy } from "../kit/fault-proxy.ts";
import { ownSchema } from "../kit/own-schema.ts";

const { config, pool } = ownSchema("start", 1);
// Of which nothing is there yet.
const fresh = { ...config, schemaName: `${config.schemaName}_fresh` };
afterAll(() => pool.query(`DROP SCHEMA IF EXISTS ${fresh.schemaName} CASCADE`));

test("a connection that breaks while the database is migrated is told of as Postgres being away, and the next start finishes", async () => {
  await using proxy = await FaultProxy.start(inject("databaseUrl"));
  const through = { ...fresh, databaseUrl: proxy.through(config.databaseUrl) };
  proxy.failCommits("cut-before");
  await expect(migrate(through)).rejects.toMatchObject({ code: "POSTGRES_UNREACHABLE" });
  expect(proxy.bites["cut-before"]).toBe(1);
  await migrate(fresh);
});
