// Epochs when Postgres itself is replaced: by a standby that had missed the last claims, or by one that does not tell us. The
// statements run as they are, against a real primary and its standby.

import { randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { expect, inject, test } from "vitest";
import { readConfig, type Config } from "../../src/config.ts";
import type { Incarnation, RoomId } from "../../src/ids.ts";
import { Directory } from "../../src/ownership/directory.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { connectionSettings } from "../../src/postgres/pool.ts";
import { Database, readStatements } from "../../src/postgres/query.ts";
import { startPostgresPair } from "../kit/postgres-pair.ts";

const statements = readStatements();
const LEASE_MS = 60_000;
/** The first epoch of timeline 2. */
const SECOND = 1_000_000_001;

function configFor(databaseUrl: string, more: Record<string, string> = {}): Config {
  return readConfig({
    NODE_ID: "contract",
    DATABASE_URL: databaseUrl,
    REDIS_URL: inject("redisUrl"),
    CLUSTER_KEY: randomBytes(16).toString("hex"),
    ...more,
  });
}

/** Statements on one connection, by way of whatever leads to Postgres now. */
async function connect(config: Config): Promise<{ database: Database; sql: pg.Client } & AsyncDisposable> {
  const sql = new pg.Client(connectionSettings(config, "contract"));
  sql.on("error", () => {}); // told by the statement that was running
  await sql.connect();
  return {
    database: new Database(sql, statements),
    sql,
    [Symbol.asyncDispose]: () => sql.end().catch(() => {}), // its server may be gone
  };
}

async function enter(database: Database): Promise<Incarnation> {
  const incarnation = randomUUID() as Incarnation;
  await database.run("register-node", [incarnation, "n", "p", "127.0.0.1", 1, 1, 2, 3, LEASE_MS]);
  return incarnation;
}

const create = async (database: Database, roomId: string, owner: Incarnation): Promise<number | undefined> =>
  (await database.run<{ epoch: number }>("create-room", [roomId, "probe", "{}", owner]))[0]?.epoch;

async function claim(database: Database, roomId: string, claimant: Incarnation): Promise<number | undefined> {
  const rows = await database.run<{ epoch: number }>("claim-rooms", [
    [roomId],
    claimant,
    ["probe"],
    [0],
    false,
  ]);
  return rows[0]?.epoch;
}

const release = (database: Database, roomId: string, epoch: number, owner: Incarnation): Promise<unknown[]> =>
  database.run("release-room", [roomId, epoch, owner]);

const take = async (database: Database, roomId: string): Promise<number | undefined> =>
  (await database.run<{ epoch: number }>("take-room", [roomId, 1]))[0]?.epoch;

test("[OWN1] a promoted standby that missed the last claims hands out none of their epochs again, wherever epochs are made", async () => {
  await using pair = await startPostgresPair();
  const config = configFor(pair.url);
  await migrate(config);
  const issued: string[] = [];
  const note = (roomId: string, epoch: number | undefined): number => {
    expect(epoch, `an epoch for ${roomId}`).toBeTypeOf("number");
    issued.push(`${roomId}@${String(epoch)}`);
    return epoch ?? NaN;
  };
  let [owner, next] = ["", ""] as Incarnation[] as [Incarnation, Incarnation];
  {
    await using before = await connect(config);
    const { database } = before;
    [owner, next] = [await enter(database), await enter(database)];
    for (const roomId of ["claimed", "taken", "used-again"]) {
      expect(note(roomId, await create(database, roomId, owner))).toBe(1);
    }
    await pair.untilCaughtUp();
    await pair.cutReplication();
    // What the standby misses: a claim, a take and the end and new beginning of a room, and rooms that it never hears of.
    await release(database, "claimed", 1, owner);
    expect(note("claimed", await claim(database, "claimed", next))).toBe(2);
    expect(note("taken", await take(database, "taken"))).toBe(2);
    await database.run("dispose-room", ["used-again", 1, owner]);
    expect(note("used-again", await create(database, "used-again", owner))).toBe(2);
    expect(note("unheard-of", await create(database, "unheard-of", owner))).toBe(1);
  }
  await pair.failOver();

  await using after = await connect(config);
  const { database, sql } = after;
  const { rows } = await sql.query<{ room_id: string; epoch: number }>(
    "SELECT room_id, epoch::integer FROM room ORDER BY room_id",
  );
  expect(rows, "the standby has really missed them").toEqual(
    ["claimed", "taken", "used-again"].map((room_id) => ({ room_id, epoch: 1 })),
  );
  // The same acts once more.
  await release(database, "claimed", 1, owner);
  expect(note("claimed", await claim(database, "claimed", next))).toBe(SECOND);
  expect(note("taken", await take(database, "taken"))).toBe(SECOND);
  await database.run("dispose-room", ["used-again", 1, owner]);
  expect(note("used-again", await create(database, "used-again", owner))).toBe(SECOND);
  expect(note("unheard-of", await create(database, "unheard-of", owner))).toBe(SECOND);
  expect(new Set(issued).size, issued.join()).toBe(issued.length);
  // And on from there, by ones.
  await release(database, "claimed", SECOND, next);
  expect(note("claimed", await claim(database, "claimed", owner))).toBe(SECOND + 1);
  expect(await take(database, "claimed")).toBe(SECOND + 2);
});

test("[OWN1] a promoted standby that crashes before its first checkpoint is still on its new timeline", async () => {
  await using pair = await startPostgresPair();
  const config = configFor(pair.url);
  await migrate(config);
  await pair.failOver();
  const timelines = (): Promise<{ told: number; current: number }[]> =>
    pair.standby.sql<{ told: number; current: number }>(
      `SELECT (pg_control_checkpoint()).timeline_id::integer AS told,
              (ringside.next_epoch(0)::double precision - 1) / 1e9 + 1 AS current`,
    );
  expect(await timelines(), "pg_control_checkpoint() would not have done").toEqual([{ told: 1, current: 2 }]);
  await pair.standby.kill();
  await pair.standby.restart();
  expect((await timelines())[0]?.current).toBe(2);
});

test("[OWN2] epochs beyond 32 bits go everywhere that epochs go, and fence as any other", async () => {
  const schemaName = `s_${randomBytes(6).toString("hex")}`;
  const config = configFor(inject("databaseUrl"), {
    DATABASE_SCHEMA: schemaName,
    POSTGRES_TIMELINE: "1000000",
  });
  await migrate(config);
  await using connection = await connect(config);
  const { database, sql } = connection;
  try {
    const [owner, next] = [await enter(database), await enter(database)];
    const first = 999_999 * 1e9 + 1;
    expect(first).toBeLessThan(Number.MAX_SAFE_INTEGER);
    expect(await create(database, "far", owner)).toBe(first);
    const save = (who: Incarnation, epoch: number, seq: number): Promise<unknown[]> =>
      database.run("save-checkpoints", [
        ["far"],
        [epoch],
        [seq],
        [Buffer.from("x")],
        [null],
        [true],
        [1],
        [1],
        [0],
        who,
        3,
      ]);
    const sit = (who: Incarnation, epoch: number): Promise<unknown[]> =>
      database.run("save-seats", [
        ["far"],
        [epoch],
        ["s"],
        [Buffer.from("01", "hex")],
        ["{}"],
        [null],
        who,
        [null],
      ]);
    expect(await save(owner, first, 1)).toEqual([{ room_id: "far", epoch: first, baseless: false }]);
    expect(await sit(owner, first)).toHaveLength(1);
    expect(await database.run("lock-room", ["far", first, owner])).toHaveLength(1);
    expect(await database.run("find-checkpoint", ["far", first, 1])).toHaveLength(1);
    expect(await database.run("taken-rooms", [owner, ["far"], [first]])).toEqual([]);
    expect(await database.run("locate-room", ["far"])).toMatchObject([{ epoch: first }]);
    expect(await database.run("cluster-rooms", [10])).toMatchObject([{ epoch: first }]);
    const facts = JSON.stringify({ epoch: first });
    await database.run("append-events", [[Date.now()], ["room:restored"], ["far"], [first], [facts], "n"]);
    expect(await database.run("recent-failovers", [10])).toMatchObject([
      { epoch: first, facts: { epoch: first } },
    ]);

    expect(await release(database, "far", first, owner)).toHaveLength(1);
    const [claimed] = await new Directory(database, next, { probe: 0 }).claim(["far" as RoomId]);
    expect(claimed).toMatchObject({ epoch: first + 1, fromEpoch: first });
    expect(await save(owner, first, 2)).toEqual([]);
    expect(await save(next, first, 2), "one less is another").toEqual([]);
    expect(await sit(owner, first)).toEqual([]);
    expect(await database.run("taken-rooms", [owner, ["far"], [first]])).toEqual([
      { room_id: "far", epoch: first },
    ]);
    expect(await save(next, first + 1, 2)).toHaveLength(1);
    expect(await take(database, "far")).toBe(first + 2);
  } finally {
    await sql.query(`DROP SCHEMA ${schemaName} CASCADE`);
  }
});

/** What a node says when it cannot start here. */
const refusal = (config: Config): Promise<unknown> =>
  migrate(config).then(
    () => undefined,
    (error: unknown) => error,
  );

test("an ordinary user may ask for the timeline; one who may not is told the way out, and POSTGRES_TIMELINE is one", async () => {
  const admin = new pg.Client({ connectionString: inject("databaseUrl") });
  await admin.connect();
  const [name, password] = [`plain_${randomBytes(6).toString("hex")}`, randomBytes(8).toString("hex")];
  const url = new URL(inject("databaseUrl"));
  Object.assign(url, { username: name, password, pathname: `/${name}` });
  try {
    await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
    await admin.query(`CREATE DATABASE ${name} OWNER ${name}`);
    await migrate(configFor(url.href));

    const inDatabase = new URL(inject("databaseUrl"));
    inDatabase.pathname = `/${name}`;
    const owner = new pg.Client({ connectionString: inDatabase.href });
    await owner.connect();
    // The functions of a database are its own: nobody else's are changed.
    await owner.query("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_current_wal_insert_lsn() FROM PUBLIC");
    try {
      const refused = await refusal(configFor(url.href));
      expect(refused).toMatchObject({ code: "BAD_CONFIG" });
      const [line] = (refused as { facts: { wrong: string[] } }).facts.wrong;
      expect(line).toMatch(/does not tell its timeline \(permission denied/);
      expect(line).toContain(`TO "${name}", or set POSTGRES_TIMELINE=1`);
      expect(line).not.toContain("\n");
      expect(line).not.toContain(password);
      // Both ways out.
      const config = configFor(url.href, { POSTGRES_TIMELINE: "3" });
      await migrate(config);
      await using told = await connect(config);
      expect(await create(told.database, "told", await enter(told.database))).toBe(2 * 1e9 + 1);
      const [grant] = /GRANT .*"(?=, or)/.exec(line ?? "") ?? [];
      await owner.query(grant ?? "");
      await migrate(configFor(url.href));
    } finally {
      await owner.end();
    }
  } finally {
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.query(`DROP ROLE IF EXISTS ${name}`);
    await admin.end();
  }
});

test("a standby, or a server that takes no writes, is refused in one line: what, why and the way out", async () => {
  await using pair = await startPostgresPair();
  await migrate(configFor(pair.url));
  await pair.untilCaughtUp();
  const standby = await refusal(configFor(pair.standby.url));
  expect(standby).toMatchObject({ code: "POSTGRES_UNREACHABLE" });
  expect(String((standby as { facts: { hint: unknown } }).facts.hint)).toMatch(
    /takes no writes .*read-only.*is it a standby\? Let DATABASE_URL lead to the primary/,
  );
  await pair.primary.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await pair.primary.sql("SELECT pg_reload_conf()");
  expect(await refusal(configFor(pair.url))).toMatchObject({ code: "POSTGRES_UNREACHABLE" });
});
