// Commits on a real Postgres: what stands after each kind of end, with authors' tables beside Ringside's own.

import { randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { Checkpointer, type Saveable } from "../../src/checkpoint/checkpointer.ts";
import { decodeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { CheckpointStore } from "../../src/checkpoint/store.ts";
import { CommitStore } from "../../src/commit/commit-store.ts";
import { Committer, type Committable } from "../../src/commit/committer.ts";
import type { Outcome } from "../../src/commit/outcome.ts";
import { toStatement, type Statement } from "../../src/commit/statement.ts";
import type { Unit } from "../../src/commit/transaction.ts";
import { readConfig, type Config } from "../../src/config.ts";
import { hasCode } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import type { Epoch, Incarnation, RoomId } from "../../src/ids.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { connectionSettings, openCommitPool } from "../../src/postgres/pool.ts";
import { Database, readStatements } from "../../src/postgres/query.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FaultProxy, type CommitFault } from "../kit/fault-proxy.ts";
import { until } from "../kit/until.ts";

const SCHEMA = `contract_${randomBytes(6).toString("hex")}`;
const LEDGER = `ledger_${SCHEMA}`;
const STORE_MS = 1_000;

function configAt(databaseUrl: string, settings: Record<string, string> = {}): Config {
  return readConfig({
    NODE_ID: "contract",
    DATABASE_URL: databaseUrl,
    REDIS_URL: inject("redisUrl"),
    CLUSTER_KEY: randomBytes(16).toString("hex"),
    DATABASE_SCHEMA: SCHEMA,
    STORE_MS: String(STORE_MS),
    ...settings,
  });
}

const config = configAt(inject("databaseUrl"));
const statements = readStatements();
const pool = new pg.Pool({ ...connectionSettings(config, SCHEMA), max: 8 });
const database = new Database(pool, statements);
let self: Incarnation;
let commitPool: pg.Pool;
let store: CommitStore;
let count = 0;

beforeAll(async () => {
  await migrate(config);
  // Where authors' tables are: not in Ringside's schema.
  await pool.query(`CREATE TABLE public.${LEDGER} (
    id text PRIMARY KEY, room_id text NOT NULL, coins integer NOT NULL CHECK (coins >= 0), at bigserial,
    once text UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
  await pool.query(`CREATE FUNCTION public.raise_in_${LEDGER} (code text) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = code; END $$`);
  self = await enter();
});
afterAll(async () => {
  await pool.query(
    `DROP TABLE public.${LEDGER}; DROP FUNCTION public.raise_in_${LEDGER}; DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`,
  );
  await pool.end();
});
beforeEach(() => {
  commitPool = openCommitPool(config);
  store = storeOn(commitPool);
  return async () => {
    await store.idle();
    expect(commitPool.idleCount, "connections that were not given back").toBe(commitPool.totalCount);
    await commitPool.end();
  };
});

function storeOn(commits: pg.Pool): CommitStore {
  return new CommitStore({ clock: systemClock, pool: commits, statements, self, generations: 3 });
}

async function enter(): Promise<Incarnation> {
  const incarnation = randomUUID() as Incarnation;
  const nodeId = `n${randomBytes(3).toString("hex")}`;
  await database.run("register-node", [
    incarnation,
    nodeId,
    "p",
    "127.0.0.1",
    1,
    1,
    2,
    3,
    60_000,
    ["gateway", "rooms"],
  ]);
  return incarnation;
}

async function createRoom(): Promise<RoomId> {
  const roomId = `room-${(count += 1)}` as RoomId;
  expect(await database.run("create-room", [roomId, "probe", "{}", self])).toEqual([{ epoch: 1 }]);
  return roomId;
}

const createRooms = (length: number): Promise<RoomId[]> =>
  Promise.all(Array.from({ length }, () => createRoom()));

/** Another node takes the room: the one that had it is down to all others. */
async function takeAway(roomId: RoomId): Promise<Incarnation> {
  const [ghost, next] = [await enter(), await enter()];
  await pool.query("UPDATE room SET owner = $2 WHERE room_id = $1", [roomId, ghost]);
  await database.run("mark-down", [ghost, "refused", next, false, null]);
  const claimed = await database.run("claim-rooms", [[roomId], next, ["probe"], [0], false]);
  expect(claimed).toMatchObject([{ epoch: 2 }]);
  return next;
}

const sql = (text: string, values: unknown[] = [], rows?: number): Statement =>
  toStatement(text.replaceAll("ledger", LEDGER), values, rows);
const pay = (roomId: RoomId, id: string = roomId, coins = 1): Statement =>
  sql("INSERT INTO ledger (id, room_id, coins) VALUES ($1, $2, $3)", [id, roomId, coins]);

function unit(roomId: RoomId, done: Statement[] = [pay(roomId)], seq = 1, epoch = 1): Unit {
  const bytes = Buffer.from(`${roomId}/${seq}`);
  const checkpoint = {
    roomId,
    epoch: epoch as Epoch,
    seq,
    bytes,
    baseSeq: undefined,
    isKept: false,
    bodyBytes: bytes.length,
    players: 0,
    classVersion: 0,
  };
  return { statements: done, checkpoint };
}

async function ledgerOf(roomId: RoomId): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT id FROM public.${LEDGER} WHERE room_id = $1 ORDER BY at`,
    [roomId],
  );
  return rows.map(({ id }) => id);
}

async function seqsOf(roomId: RoomId): Promise<number[]> {
  const { rows } = await pool.query<{ seq: string }>(
    "SELECT seq FROM checkpoint WHERE room_id = $1 ORDER BY seq",
    [roomId],
  );
  return rows.map(({ seq }) => Number(seq));
}

async function stands(roomId: RoomId, ids: string[] = [roomId], seqs = [1]): Promise<void> {
  expect({ ids: await ledgerOf(roomId), seqs: await seqsOf(roomId) }).toEqual({ ids, seqs });
}
const nothingOf = (roomId: RoomId): Promise<void> => stands(roomId, [], []);

/** In one word, with what Postgres or the check said. */
function wordOf(outcome: Outcome): string {
  if (outcome.kind !== "refused") return outcome.kind;
  const { code, facts } = outcome.error;
  return `${code} ${String(facts["sqlState"] ?? facts["why"])}`;
}

test("[COM1] a commit's rows and checkpoint are there together; the author's tables are found in public", async () => {
  const roomId = await createRoom();
  expect(await store.commit(unit(roomId, [pay(roomId, "first"), pay(roomId, "second")]))).toEqual({
    kind: "committed",
  });
  await stands(roomId, ["first", "second"]);
  expect(await store.commit(unit(roomId, [], 2)), "nothing but the room").toEqual({ kind: "committed" });
  await stands(roomId, ["first", "second"], [1, 2]);
});

const REFUSALS: [what: string, bad: (roomId: RoomId) => Statement[], word: RegExp][] = [
  ["a unique violation", (roomId) => [pay(roomId, "taken"), pay(roomId, "taken")], /^COMMIT_REFUSED 23505$/u],
  ["a check constraint", (roomId) => [pay(roomId), pay(roomId, "debt", -1)], /^COMMIT_REFUSED 23514$/u],
  ["a syntax error", (roomId) => [pay(roomId), sql("SELEC 1")], /^COMMIT_REFUSED 42601$/u],
  [
    "a table that is not there",
    (roomId) => [pay(roomId), sql("SELECT 1 FROM nowhere")],
    /^COMMIT_REFUSED 42P01$/u,
  ],
  [
    "a value of the wrong type",
    (roomId) => [pay(roomId), sql("SELECT $1::integer", ["x"])],
    /^COMMIT_REFUSED 22P02$/u,
  ],
  [
    "too few rows",
    (roomId) => [pay(roomId), sql("UPDATE ledger SET coins = 0 WHERE id = 'nobody'", [], 1)],
    /^COMMIT_REFUSED a statement touched 0 rows, not 1$/u,
  ],
  [
    "a constraint that is looked at by COMMIT",
    (roomId) =>
      [1, 2].map((n) =>
        sql("INSERT INTO ledger (id, room_id, coins, once) VALUES ($1, $2, 1, $2)", [
          `${roomId}/${n}`,
          roomId,
        ]),
      ),
    /^COMMIT_REFUSED 23505$/u,
  ],
  ["two statements in one", (roomId) => [pay(roomId), sql("SELECT 1; COMMIT")], /^COMMIT_REFUSED 42601$/u],
  [
    "a statement that takes too long",
    (roomId) => [pay(roomId), sql("SELECT pg_sleep(60)")],
    /57014|timeout/u,
  ],
  // Codes by which Postgres itself says that it is going away, or that a connection is broken, though neither is so.
  [
    "too few values",
    (roomId) => [pay(roomId), sql("SELECT $1::text, $2::text", ["one"])],
    /^COMMIT_REFUSED 08P01$/u,
  ],
  ["a text with a zero in it", (roomId) => [pay(roomId), sql("SELECT 1 \0 ")], /^COMMIT_REFUSED 08P01$/u],
  ...["08006", "57P01"].map((code): (typeof REFUSALS)[number] => [
    `a trigger of the author's that says ${code}`,
    (roomId) => [pay(roomId), sql("SELECT raise_in_ledger($1)", [code])],
    new RegExp(`^COMMIT_REFUSED ${code}$`, "u"),
  ]),
];

test.each(REFUSALS)(
  "[COM1] %s leaves neither rows nor checkpoint, and the connection is good for the next",
  async (_, bad, word) => {
    const roomId = await createRoom();
    expect(wordOf(await store.commit(unit(roomId, bad(roomId))))).toMatch(word);
    await nothingOf(roomId);
    const own = await store.open();
    expect(wordOf(await own.commit(unit(roomId, bad(roomId)))), "alone").toMatch(word);
    await nothingOf(roomId);
    expect(await store.commit(unit(roomId, [pay(roomId)]))).toEqual({ kind: "committed" });
    await stands(roomId);
  },
);

test.each(REFUSALS)("[COM5] %s is the fault of no other commit", async (_, bad, word) => {
  const [culprit, ...others] = (await createRooms(4)) as [RoomId, ...RoomId[]];
  const outcomes = await Promise.all([
    store.commit(unit(culprit, bad(culprit))),
    ...others.map((roomId) => store.commit(unit(roomId))),
  ]);
  expect(wordOf(outcomes[0] as Outcome)).toMatch(word);
  expect(outcomes.slice(1).map(wordOf)).toEqual(others.map(() => "committed"));
  await nothingOf(culprit);
  for (const roomId of others) await stands(roomId);
});

test("[COM1] statements that would end the transaction, or change the connection, are refused where they are given", () => {
  for (const text of [
    "COMMIT",
    "  rollback to savepoint a",
    "-- a comment\n/* and another */ end",
    ";begin",
    "SET search_path = elsewhere",
    "discard all",
    "/**/DEALLOCATE x",
    "/* one /* in another */ */ COMMIT",
    "-- a line\rCOMMIT",
    "COPY ledger FROM STDIN",
  ]) {
    expect(() => sql(text), text).toThrowError(expect.objectContaining({ code: "COMMIT_REFUSED" }));
  }
  for (const text of [
    "SELECT 'commit'",
    "UPDATE ledger SET coins = 1",
    "with commits as (select 1) select 1",
    "settle()",
    "/* pay */ UPDATE ledger /* the player's */ SET coins = 1",
    "/* never closed SET",
    "-- SET",
    "",
  ]) {
    expect(() => sql(text), text).not.toThrow();
  }
});

test("a statement is looked at in no time, however it begins", () => {
  const startedMs = performance.now();
  for (const piece of ["-", "-- x\n", "/* x */ ", "/*", "*/", " ;(", "\r--"]) {
    expect(() => sql(`--${piece.repeat(5_000)}\nSELECT 1`), piece).not.toThrow();
  }
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("values are sent as they were when they were given, and one that cannot be sent is refused there", async () => {
  const roomId = await createRoom();
  const bag = { items: ["sword"] };
  const bytes = Buffer.from("as it was");
  const ids = ["x"];
  const given = [
    sql("INSERT INTO ledger (id, room_id, coins) SELECT $1::jsonb->'items'->>0, $2, 1", [bag, roomId]),
    sql("INSERT INTO ledger (id, room_id, coins) SELECT convert_from($1, 'utf8'), $2, 1", [bytes, roomId]),
    sql("INSERT INTO ledger (id, room_id, coins) SELECT unnest($1::text[]), $2, 1", [ids, roomId]),
  ];
  bag.items[0] = "nothing";
  bytes.fill(0);
  ids.push("y");
  expect(await store.commit(unit(roomId, given))).toEqual({ kind: "committed" });
  await stands(roomId, ["sword", "as it was", "x"]);
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  for (const [text, values] of [
    ["SELECT $1", [circle]],
    ["SELECT 1", 5],
    [undefined, []],
  ] as unknown as [string, unknown[]][]) {
    expect(() => toStatement(text, values, undefined)).toThrowError(
      expect.objectContaining({ code: "COMMIT_REFUSED" }),
    );
  }
});

test("[COM1] a stale epoch leaves neither rows nor checkpoint, and the others of its batch stand", async () => {
  const rooms = await createRooms(9);
  const [stale] = rooms.splice(4, 1) as [RoomId];
  await takeAway(stale);
  const outcomes = await Promise.all([...rooms, stale].map((roomId) => store.commit(unit(roomId))));
  expect(outcomes.map(wordOf)).toEqual([...rooms.map(() => "committed"), "stale"]);
  await nothingOf(stale);
  for (const roomId of rooms) await stands(roomId);
  const own = await store.open();
  expect(await own.commit(unit(stale)), "in a transaction of its own").toEqual({ kind: "stale" });
  await nothingOf(stale);
});

test("[COM5] of a hundred commits at once the ninety-five good ones stand, and each bad one is told of its own fault", async () => {
  const rooms = await createRooms(100);
  const words = new Map<number, RegExp>();
  const bad = REFUSALS.slice(0, 7).filter(
    ([what]) => what !== "a table that is not there" && !what.includes("wrong type"),
  );
  const outcomes = await Promise.all(
    rooms.map((roomId, index) => {
      const refusal = index >= 40 && index < 40 + bad.length ? bad[index - 40] : undefined;
      if (refusal !== undefined) words.set(index, refusal[2]);
      return store.commit(unit(roomId, refusal === undefined ? [pay(roomId)] : refusal[1](roomId)));
    }),
  );
  expect(words.size).toBe(5);
  for (const [index, outcome] of outcomes.entries()) {
    const roomId = rooms[index] as RoomId;
    const word = words.get(index);
    expect(wordOf(outcome), roomId).toMatch(word ?? /^committed$/u);
    if (word === undefined) await stands(roomId);
    else await nothingOf(roomId);
  }
});

test("[COM5] a commit that only another one of its batch was in the way of is not refused, when that one is", async () => {
  const [first, second] = (await createRooms(2)) as [RoomId, RoomId];
  const outcomes = await Promise.all([
    // This one takes the id, and fails after that: by COMMIT.
    store.commit(
      unit(first, [
        pay(first, "wanted"),
        ...[1, 2].map((n) =>
          sql("INSERT INTO ledger (id, room_id, coins, once) VALUES ($1, $2, 1, $2)", [
            `${first}/${n}`,
            first,
          ]),
        ),
      ]),
    ),
    store.commit(unit(second, [pay(second, "wanted")])),
  ]);
  expect(outcomes.map(wordOf)).toEqual(["COMMIT_REFUSED 23505", "committed"]);
  await stands(second, ["wanted"]);
});

test.each(["together", "alone"])(
  "[COM5] what a commit does to its transaction and its connection is not felt by those beside it and after it: %s",
  async (how) => {
    const [one, ...others] = (await createRooms(5)) as [RoomId, ...RoomId[]];
    const traces = [
      "SELECT set_config('search_path', 'nowhere', false)",
      "SELECT set_config('ringside.who', 'one', true)",
      "SELECT pg_advisory_lock(20261123)",
      "CREATE TEMPORARY TABLE checkpoint (room_id text)",
      "DO $$ BEGIN SET enable_sort = off; END $$",
    ];
    for (const [index, text] of traces.entries()) {
      const commitOne = async (): Promise<Outcome> => {
        if (how === "together") return await store.commit(unit(one, [sql(text)], index + 1));
        const own = await store.open();
        await own.query(sql(text));
        own.abandon();
        return { kind: "committed" };
      };
      // It reads what it may not see: who was there before it.
      const look = (roomId: RoomId, id: string): Statement =>
        sql(
          "INSERT INTO public.ledger (id, room_id, coins) SELECT $2 || coalesce(current_setting('ringside.who', true), ''), $1, 1",
          [roomId, id],
        );
      const seq = index * 2 + 1;
      const outcomes = await Promise.all([
        commitOne(),
        ...others.map((roomId) => store.commit(unit(roomId, [look(roomId, `${roomId}/${seq}`)], seq))),
      ]);
      expect(outcomes.slice(1).map(wordOf), text).toEqual(others.map(() => "committed"));
      for (const roomId of others) {
        const after = unit(roomId, [look(roomId, `${roomId}/${seq + 1}`)], seq + 1);
        expect(wordOf(await store.commit(after)), text).toBe("committed");
        expect((await ledgerOf(roomId)).slice(-2)).toEqual([`${roomId}/${seq}`, `${roomId}/${seq + 1}`]);
      }
    }
    const { rows } = await pool.query(
      "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 20261123",
    );
    expect(rows).toEqual([]);
  },
);

test("[COM5] a commit that waits for a lock holds up neither those beside it nor those after it", async () => {
  const [blocked, ...others] = (await createRooms(6)) as [RoomId, ...RoomId[]];
  expect(wordOf(await store.commit(unit(blocked, [pay(blocked, "hot")])))).toBe("committed");
  const holder = await pool.connect();
  await holder.query("BEGIN");
  await holder.query(`UPDATE public.${LEDGER} SET coins = 2 WHERE id = 'hot'`);
  const ended: string[] = [];
  const commit = async (roomId: RoomId, done?: Statement[], seq = 1): Promise<void> => {
    ended.push(`${roomId} ${wordOf(await store.commit(unit(roomId, done, seq)))}`);
  };
  const all = [
    commit(blocked, [sql("UPDATE ledger SET coins = coins + 1 WHERE id = 'hot'")], 2),
    ...others.map((roomId) => commit(roomId)),
  ];
  await until("the others' first commits", () => ended.length === others.length);
  await Promise.all(others.map((roomId) => commit(roomId, [], 2)));
  expect(ended).toHaveLength(others.length * 2);
  await holder.query("COMMIT");
  holder.release();
  await Promise.all(all);
  expect(ended.at(-1), "and is made when it can be").toBe(`${blocked} committed`);
});

test("[COM5] rooms that are large do not fail by being many at once", async () => {
  const rooms = await createRooms(16);
  const outcomes = await Promise.all(
    rooms.map((roomId) => {
      const small = unit(roomId);
      return store.commit({ ...small, checkpoint: { ...small.checkpoint, bytes: randomBytes(1_000_000) } });
    }),
  );
  expect(outcomes.map(wordOf)).toEqual(rooms.map(() => "committed"));
  await pool.query("DELETE FROM checkpoint WHERE room_id = ANY ($1)", [rooms]);
});

test("[COM5] many commits that wait for one lock hold up neither those beside them nor those that ask in between", async () => {
  const rooms = await createRooms(37);
  const [first, ...others] = rooms.splice(0, 7) as [RoomId, ...RoomId[]];
  expect(wordOf(await store.commit(unit(first, [pay(first, "jackpot")])))).toBe("committed");
  const holder = await pool.connect();
  await holder.query("BEGIN");
  await holder.query(`UPDATE public.${LEDGER} SET coins = 2 WHERE id = 'jackpot'`);
  const win = sql("UPDATE ledger SET coins = coins + 1 WHERE id = 'jackpot'");
  let blocked = rooms.length;
  const startedMs = performance.now();
  const waiting = rooms.map(async (roomId) => {
    const outcome = await store.commit(unit(roomId, [pay(roomId), win]));
    blocked -= 1;
    return outcome;
  });
  const [asks, ...beside] = others as [RoomId, ...RoomId[]];
  const outcomes = await Promise.all(beside.map((roomId) => store.commit(unit(roomId))));
  expect(outcomes.map(wordOf)).toEqual(beside.map(() => "committed"));
  const own = await store.open();
  await own.query(sql("SELECT 1"));
  expect(wordOf(await own.commit(unit(asks)))).toBe("committed");
  expect(performance.now() - startedMs).toBeLessThan(config.commitMs / 2);
  expect(blocked, "still wait").toBeGreaterThan(rooms.length / 2);
  await holder.query("COMMIT");
  holder.release();
  for (const outcome of await Promise.all(waiting))
    expect(wordOf(outcome)).toMatch(/^committed$|57014|timeout/u);
});

test("[COM5] transactions of their own, left open, keep no connection from the commits of others", async () => {
  const rooms = await createRooms(8);
  const max = commitPool.options.max ?? 0;
  const opened = await Promise.all(Array.from({ length: max - 1 }, () => store.open()));
  const oneMore = store.open();
  expect((await Promise.all(rooms.map((roomId) => store.commit(unit(roomId))))).map(wordOf)).toEqual(
    rooms.map(() => "committed"),
  );
  expect(await store.find(rooms[0] as RoomId, 1 as Epoch, 1)).toBe(true);
  for (const own of opened) own.abandon();
  const own = await oneMore;
  own.abandon();
  own.abandon();
  await until("the connections' end", () => commitPool.idleCount === commitPool.totalCount);
});

test("[COM2] the statements of a commit run in the order in which they were given", async () => {
  const roomId = await createRoom();
  const ids = Array.from({ length: 50 }, (_, index) => `${roomId}/${index}`);
  const steps = ids.flatMap((id) => [
    pay(roomId, id, 1),
    sql("UPDATE ledger SET coins = coins * 2 + 1 WHERE id = $1", [id], 1),
    sql("UPDATE ledger SET coins = coins - 3 WHERE id = $1", [id], 1),
  ]);
  expect(await store.commit(unit(roomId, steps))).toEqual({ kind: "committed" });
  await stands(roomId, ids);
});

test("transactions that ask in between and batches of others do not disturb each other", async () => {
  const rooms = await createRooms(30);
  const outcomes = await Promise.all(
    rooms.map(async (roomId, index) => {
      if (index % 3 !== 0) return store.commit(unit(roomId));
      const own = await store.open();
      await own.query(pay(roomId, `${roomId}/asked`));
      const { rows } = await own.query(
        sql("SELECT count(*)::integer AS n FROM ledger WHERE room_id = $1", [roomId]),
      );
      expect(rows, "sees its own").toEqual([{ n: 1 }]);
      return own.commit(unit(roomId));
    }),
  );
  expect(outcomes.map(wordOf)).toEqual(rooms.map(() => "committed"));
  for (const [index, roomId] of rooms.entries()) {
    await stands(roomId, index % 3 === 0 ? [`${roomId}/asked`, roomId] : [roomId]);
  }
});

test("[COM1] a query that fails is told with its code, and nothing of its transaction can be committed after it", async () => {
  const roomId = await createRoom();
  const own = await store.open();
  await own.query(pay(roomId));
  await expect(own.query(pay(roomId))).rejects.toMatchObject({
    code: "COMMIT_REFUSED",
    facts: { sqlState: "23505", constraint: `${LEDGER}_pkey` },
  });
  expect(wordOf(await own.commit(unit(roomId, [])))).toBe("COMMIT_REFUSED 23505");
  await expect(own.query(pay(roomId)), "when it is over").rejects.toMatchObject({ code: "COMMIT_REFUSED" });
  await nothingOf(roomId);
});

test("[COM1] a transaction that was given up leaves nothing, whatever is still under way in it and whoever comes next", async () => {
  const [roomId, next] = (await createRooms(2)) as [RoomId, RoomId];
  const own = await store.open();
  await own.query(pay(roomId));
  const asked = own.query(sql("SELECT pg_sleep(0.05)"));
  own.abandon();
  own.abandon();
  await expect(own.query(pay(roomId, "late"))).rejects.toMatchObject({ code: "COMMIT_REFUSED" });
  await asked;
  await until("the connection's return", () => commitPool.idleCount === commitPool.totalCount);
  expect(commitPool.totalCount, "which is still good").toBe(1);
  expect(await store.commit(unit(next))).toEqual({ kind: "committed" });
  await stands(next);
  await nothingOf(roomId);
});

test("[COM1] when a transaction does not begin, nothing of what was sent after it stands", async () => {
  const [roomId] = (await createRooms(1)) as [RoomId];
  const begun: string[] = [];
  // The first word of every transaction comes to Postgres as one that it refuses.
  commitPool.on("connect", (client) => {
    const query = client.query.bind(client) as (...all: unknown[]) => unknown;
    client.query = ((first: unknown, ...rest: unknown[]) => {
      if (typeof first !== "string" || !first.startsWith("BEGIN")) return query(first, ...rest);
      begun.push(first);
      return query("SELECT 1 / 0", ...rest);
    }) as typeof client.query; // all of its forms go on as they are
  });
  expect((await store.commit(unit(roomId))).kind).toBe("refused");
  expect(begun.length).toBeGreaterThan(0);
  await nothingOf(roomId);
});

test("a statement that was prepared for a table as it was before is not refused twice", async () => {
  const roomId = await createRoom();
  await pool.query(`CREATE TABLE public.altered_${LEDGER} (a integer)`);
  const look = sql(`SELECT * FROM altered_ledger`);
  expect(wordOf(await store.commit(unit(roomId, [look])))).toBe("committed");
  await pool.query(`ALTER TABLE public.altered_${LEDGER} ADD COLUMN b integer`);
  expect(wordOf(await store.commit(unit(roomId, [look], 2)))).toBe("COMMIT_REFUSED 0A000");
  expect(wordOf(await store.commit(unit(roomId, [look], 3)))).toBe("committed");
  await pool.query(`DROP TABLE public.altered_${LEDGER}`);
});

test("[COM1] [CKP4] a commit whose checkpoint stands on one that is not here leaves nothing, and the others of its batch stand", async () => {
  const rooms = await createRooms(6);
  const [lost] = rooms.splice(2, 1) as [RoomId];
  const without = (roomId: RoomId): Unit => {
    const whole = unit(roomId, [pay(roomId)], 2);
    return { ...whole, checkpoint: { ...whole.checkpoint, baseSeq: 1 } };
  };
  const outcomes = await Promise.all([
    ...rooms.map((roomId) => store.commit(unit(roomId))),
    store.commit(without(lost)),
  ]);
  expect(outcomes.map(wordOf)).toEqual([...rooms.map(() => "committed"), "baseless"]);
  await nothingOf(lost);
  for (const roomId of rooms) await stands(roomId);
  const own = await store.open();
  expect(await own.commit(without(lost)), "in a transaction of its own").toEqual({ kind: "baseless" });
  await nothingOf(lost);
});

test("[COM5] one whose statements take all the time there is, each of them within its own, fails nobody else", async () => {
  const [hog, before, after] = (await createRooms(3)) as [RoomId, RoomId, RoomId];
  const slow = Array.from({ length: 4 }, () => sql("SELECT pg_sleep(0.3)"));
  const outcomes = await Promise.all([
    store.commit(unit(before)),
    store.commit(unit(hog, [...slow, pay(hog)])),
    store.commit(unit(after)),
  ]);
  expect(outcomes.map(wordOf)).toEqual(["committed", "POSTGRES_UNREACHABLE Query read timeout", "committed"]);
  await stands(before);
  await nothingOf(hog);
  await stands(after);
});

test("[OWN2] [COM1] a commit of a room's former activation is stale, also beside one of the newest in one transaction", async () => {
  const roomId = await createRoom();
  const first = store.commit(unit(await createRoom(), [sql("SELECT pg_sleep(0.05)")]));
  await new Promise(setImmediate);
  await new Promise(setImmediate); // it has left; the next two go together
  await pool.query("UPDATE room SET epoch = 3 WHERE room_id = $1", [roomId]);
  const both = await Promise.all([
    store.commit(unit(roomId, [pay(roomId, `${roomId}/former`)], 7, 1)),
    store.commit(unit(roomId, [pay(roomId, `${roomId}/newest`)], 7, 3)),
  ]);
  await first;
  expect(both.map(wordOf)).toEqual(["stale", "committed"]);
  await stands(roomId, [`${roomId}/newest`], [7]);
});

test("[OWN2] [CKP4] a former activation is stale also where the newest lacks what its checkpoint stands on", async () => {
  const roomId = await createRoom();
  const first = store.commit(unit(await createRoom(), [sql("SELECT pg_sleep(0.05)")]));
  await new Promise(setImmediate);
  await new Promise(setImmediate); // it has left; the next two go together
  await pool.query("UPDATE room SET epoch = 3 WHERE room_id = $1", [roomId]);
  const newest = unit(roomId, [pay(roomId, `${roomId}/newest`)], 7, 3);
  const both = await Promise.all([
    store.commit(unit(roomId, [pay(roomId, `${roomId}/former`)], 7, 1)),
    store.commit({ ...newest, checkpoint: { ...newest.checkpoint, baseSeq: 6 } }),
  ]);
  await first;
  expect(both.map(wordOf)).toEqual(["stale", "baseless"]);
  await nothingOf(roomId);
});

test("[COM1] a commit and another node's claim have one order: the claimant reads it, or it is stale", async () => {
  const [ghost, next] = [await enter(), await enter()];
  await database.run("mark-down", [ghost, "refused", next, false, null]);
  const ghostPool = openCommitPool(config);
  const ghostStore = new CommitStore({
    clock: systemClock,
    pool: ghostPool,
    statements,
    self: ghost,
    generations: 3,
  });
  for (let round = 0; round < 40; round++) {
    const roomId = await createRoom();
    await pool.query("UPDATE room SET owner = $2 WHERE room_id = $1", [roomId, ghost]);
    const claiming = async (): Promise<number[]> => {
      if (round % 2 === 0) await new Promise(setImmediate);
      await database.run("claim-rooms", [[roomId], next, ["probe"], [0], false]);
      return seqsOf(roomId);
    };
    const late = round % 4 === 0 ? [] : [sql(`SELECT pg_sleep(${round / 10_000})`)];
    const [outcome, seen] = await Promise.all([
      ghostStore.commit(unit(roomId, [...late, pay(roomId)])),
      claiming(),
    ]);
    expect([
      { outcome: "committed", seen: [1] },
      { outcome: "stale", seen: [] },
    ]).toContainEqual({ outcome: wordOf(outcome), seen });
    if (outcome.kind === "committed") await stands(roomId);
    else await nothingOf(roomId);
  }
  await ghostPool.end();
});

test("[COM1] a claim waits for a commit that holds the room, and reads what it saved; a commit after the claim is stale", async () => {
  const roomId = await createRoom();
  const [ghost, next] = [await enter(), await enter()];
  await pool.query("UPDATE room SET owner = $2 WHERE room_id = $1", [roomId, ghost]);
  await database.run("mark-down", [ghost, "refused", next, false, null]);
  await using proxy = await FaultProxy.start(config.databaseUrl);
  const slow = openCommitPool(configAt(proxy.through(config.databaseUrl)));
  const ghostStore = new CommitStore({
    clock: systemClock,
    pool: slow,
    statements,
    self: ghost,
    generations: 3,
  });
  proxy.failCommits("strand"); // the room's row is locked from now on
  const outcome = await ghostStore.commit(unit(roomId));
  expect(outcome.kind).toBe("unknown");
  const claimed = database.run("claim-rooms", [[roomId], next, ["probe"], [0], false]);
  await until("the claim's wait", async () => {
    const { rows } = await pool.query(
      "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claimant%'",
    );
    return rows.length === 1;
  });
  const [link] = [...proxy.links].filter(({ isStranded }) => isStranded);
  await link?.deliver();
  expect(await claimed).toMatchObject([{ epoch: 2 }]);
  await stands(roomId);
  expect(await ghostStore.commit(unit(roomId, [pay(roomId, "late")], 2))).toEqual({ kind: "stale" });
  await stands(roomId);
  expect(proxy.bites.strand).toBe(1);
  await slow.end();
});

// ---- answers that got lost ----

interface Rig extends AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly store: CommitStore;
  readonly pool: pg.Pool;
}

async function rig(
  settings: Record<string, string> = {},
  databaseUrl: string = config.databaseUrl,
): Promise<Rig> {
  const proxy = await FaultProxy.start(databaseUrl);
  const through = openCommitPool(configAt(proxy.through(databaseUrl), settings));
  return {
    proxy,
    store: storeOn(through),
    pool: through,
    async [Symbol.asyncDispose]() {
      proxy.resume();
      await until("every connection's return", () => through.idleCount === through.totalCount, {
        seen: () => [through.idleCount, through.totalCount, through.waitingCount],
      });
      await through.end();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

test("[COM3] when the answer to COMMIT is lost, it is found that all of the batch was committed", async () => {
  await using it = await rig();
  const rooms = await createRooms(5);
  it.proxy.failCommits("drop-reply");
  const outcomes = await Promise.all(rooms.map((roomId) => it.store.commit(unit(roomId))));
  expect(outcomes.map(wordOf)).toEqual(rooms.map(() => "unknown"));
  expect(it.proxy.bites["drop-reply"]).toBe(1);
  for (const roomId of rooms) {
    expect(await it.store.find(roomId, 1 as Epoch, 1)).toBe(true);
    await stands(roomId);
  }
});

test("[COM3] when Postgres dies of COMMIT and says why, it is found that all of the batch was committed", async () => {
  await using it = await rig();
  const rooms = await createRooms(3);
  it.proxy.failCommits("last-words");
  const outcomes = await Promise.all(rooms.map((roomId) => it.store.commit(unit(roomId))));
  expect(it.proxy.bites["last-words"]).toBe(1);
  expect(outcomes.map(wordOf)).toEqual(rooms.map(() => "unknown"));
  for (const roomId of rooms) {
    expect(await it.store.find(roomId, 1 as Epoch, 1)).toBe(true);
    await stands(roomId);
  }
});

test("[COM3] when COMMIT is lost on its way, it is found that nothing was committed, and the next one is", async () => {
  await using it = await rig();
  const roomId = await createRoom();
  it.proxy.failCommits("cut-before");
  expect((await it.store.commit(unit(roomId))).kind).toBe("unknown");
  expect(it.proxy.bites["cut-before"]).toBe(1);
  expect(await it.store.find(roomId, 1 as Epoch, 1)).toBe(false);
  await nothingOf(roomId);
  expect(await it.store.commit(unit(roomId, undefined, 2))).toEqual({ kind: "committed" });
  expect(await it.store.find(roomId, 1 as Epoch, 1), "the lost one is still known not to be there").toBe(
    false,
  );
});

test.each([
  ["deliver", true],
  ["forget", false],
] as const)(
  "[COM3] while the lost transaction is open its outcome is not told; after %s it is %s",
  async (end, isCommitted) => {
    await using it = await rig();
    const roomId = await createRoom();
    it.proxy.failCommits("strand");
    expect((await it.store.commit(unit(roomId))).kind).toBe("unknown");
    expect(it.proxy.bites.strand).toBe(1);
    let found: boolean | undefined | "waiting" = "waiting";
    const finding = it.store.find(roomId, 1 as Epoch, 1).then((told) => void (found = told));
    await until("the wait for the room's row", async () => {
      const { rows } = await pool.query(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '% commits'",
      );
      return rows.length === 1;
    });
    expect(found).toBe("waiting");
    const [link] = [...it.proxy.links].filter(({ isStranded }) => isStranded);
    await link?.[end]();
    await finding;
    expect(found).toBe(isCommitted);
    await (isCommitted ? stands(roomId) : nothingOf(roomId));
  },
);

test("[COM3] an outcome is found as it is where the database's own habit is one snapshot for a whole transaction", async () => {
  const role = `role_${SCHEMA}`;
  await pool.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'contract';
    ALTER ROLE ${role} SET default_transaction_isolation = 'repeatable read'`);
  const url = new URL(config.databaseUrl);
  Object.assign(url, { username: role, password: "contract" });
  try {
    await using it = await rig({}, url.href);
    const roomId = await createRoom();
    it.proxy.failCommits("strand");
    expect((await it.store.commit(unit(roomId))).kind).toBe("unknown");
    const finding = it.store.find(roomId, 1 as Epoch, 1);
    await until("the wait for the room's row", async () => {
      const { rows } = await pool.query(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = $1",
        [role],
      );
      return rows.length === 1;
    });
    for (const link of it.proxy.links) if (link.isStranded) await link.deliver();
    expect(await finding).toBe(true);
    await stands(roomId);
  } finally {
    await pool.query(`DROP ROLE ${role}`);
  }
});

test("[COM3] a lost transaction that nobody ends is ended by Postgres, and asking meanwhile is refused rather than answered", async () => {
  await using it = await rig({ COMMIT_MS: "1500" });
  const roomId = await createRoom();
  it.proxy.failCommits("strand");
  expect((await it.store.commit(unit(roomId))).kind).toBe("unknown");
  await expect(it.store.find(roomId, 1 as Epoch, 1)).rejects.toThrow();
  expect(await until("an answer", async () => [await it.store.find(roomId, 1 as Epoch, 1)])).toEqual([false]);
  await nothingOf(roomId);
});

test("[COM3] an outcome is nobody's to know here when another activation has the room, unless it is there to be seen", async () => {
  await using it = await rig();
  const [lost, kept] = (await createRooms(2)) as [RoomId, RoomId];
  it.proxy.failCommits("cut-before");
  expect((await it.store.commit(unit(lost))).kind).toBe("unknown");
  it.proxy.failCommits("drop-reply");
  expect((await it.store.commit(unit(kept))).kind).toBe("unknown");
  expect(it.proxy.bites).toMatchObject({ "cut-before": 1, "drop-reply": 1 });
  await takeAway(lost);
  await takeAway(kept);
  expect(await it.store.find(lost, 1 as Epoch, 1)).toBeUndefined();
  expect(await it.store.find(kept, 1 as Epoch, 1)).toBe(true);
});

test("[COM5] while Postgres does not answer every commit ends within its time, and no connection is lost by it", async () => {
  await using it = await rig();
  const rooms = await createRooms(4);
  const asking = await it.store.open();
  await asking.query(pay(rooms[0] as RoomId, "asked"));
  const left = await it.store.open();
  await left.query(pay(rooms[1] as RoomId, "left"));
  it.proxy.hold();
  left.abandon();
  const startedMs = performance.now();
  const ends = await Promise.all([
    ...rooms.slice(1).map(async (roomId) => wordOf(await it.store.commit(unit(roomId)))),
    asking.commit(unit(rooms[0] as RoomId)).then(wordOf),
    it.store.find(rooms[1] as RoomId, 1 as Epoch, 1).then(String, () => "rejected"),
    it.store.open().then(
      (own) => own.commit(unit(rooms[0] as RoomId, [], 2)).then(wordOf),
      (error: unknown) => String(error),
    ),
  ]);
  expect(performance.now() - startedMs).toBeLessThan(STORE_MS * 4);
  for (const end of ends) expect(end).toMatch(/POSTGRES_UNREACHABLE|^rejected$/u);
  expect(it.proxy.bites.held).toBeGreaterThan(0);
  it.proxy.resume();
  for (const roomId of rooms) {
    expect(await until("Postgres to answer", () => it.store.commit(unit(roomId, [pay(roomId)], 3)))).toEqual({
      kind: "committed",
    });
    await stands(roomId, [roomId], [3]);
  }
});

test("[COM3] when Postgres falls silent after COMMIT was sent, the outcome is unknown and then found", async () => {
  await using it = await rig();
  const roomId = await createRoom();
  expect(wordOf(await it.store.commit(unit(roomId, [pay(roomId, "warm")])))).toBe("committed");
  it.proxy.delayMs = 300; // each answer is late, that to COMMIT too late
  const own = await it.store.open();
  const committing = own.commit(unit(roomId, [pay(roomId, "late")], 2));
  await until("COMMIT", () => it.proxy.commits === 2);
  it.proxy.hold();
  expect((await committing).kind).toBe("unknown");
  it.proxy.delayMs = 0;
  it.proxy.resume();
  expect(await until("Postgres to answer", async () => [await it.store.find(roomId, 1 as Epoch, 2)])).toEqual(
    [true],
  );
  await stands(roomId, ["warm", "late"], [1, 2]);
});

test("[COM1] connections cut at any moment of a commit leave all of it or nothing, as is found afterwards", async () => {
  await using it = await rig();
  const kinds = new Set<string>();
  for (let round = 0; round < 30; round++) {
    const [roomId] = (await createRooms(1)) as [RoomId];
    const committing = it.store.commit(unit(roomId, [pay(roomId), sql("SELECT pg_sleep(0.002)")]));
    const endsMs = performance.now() + round / 2;
    while (performance.now() < endsMs) await new Promise(setImmediate);
    it.proxy.cut();
    const { kind } = await committing;
    kinds.add(kind);
    const found = await until("Postgres to answer", async () => [await it.store.find(roomId, 1 as Epoch, 1)]);
    if (kind !== "unknown") expect(found).toEqual([kind === "committed"]);
    await (found[0] === true ? stands(roomId) : nothingOf(roomId));
  }
  expect(it.proxy.bites.cut).toBeGreaterThan(10);
  expect([...kinds], "some were hit").toContain("refused");
});

test("a backend that is ended while an outcome is being looked up ends nothing but the look-up", async () => {
  await using it = await rig();
  const roomId = await createRoom();
  it.proxy.failCommits("strand");
  expect((await it.store.commit(unit(roomId))).kind).toBe("unknown");
  const finding = it.store.find(roomId, 1 as Epoch, 1);
  finding.catch(() => {});
  const { rows } = await until("the wait for the room's row", async () => {
    const found = await pool.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '% commits'",
    );
    return found.rows.length === 1 && found;
  });
  await pool.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
  await expect(finding).rejects.toThrow();
  for (const link of it.proxy.links) if (link.isStranded) link.forget();
  expect(await it.store.find(roomId, 1 as Epoch, 1)).toBe(false);
});

// ---- all of it together ----

/** A room whose state is how many commits it has made, with the committer's view of it. */
class Counter implements Committable {
  readonly roomId: RoomId;
  readonly epoch = 1 as Epoch;
  readonly players = 0;
  readonly turn = 0;
  readonly isActive = true;
  readonly isOver = false;
  readonly mayCommit = true;
  readonly isGone = false;
  isCommitting = false;
  nextSeq = 1;
  nextDueMs = 0;
  nextLookMs = 0;
  unsavedSinceMs: number | undefined;
  savingSinceMs: number | undefined;
  saved: Saveable["saved"];
  base: Saveable["base"];
  isLarge = false;
  count = 0;

  constructor(roomId: RoomId) {
    this.roomId = roomId;
  }

  findChanges(): void {}

  capture(): ReturnType<Saveable["capture"]> {
    const room = { metadata: null, locked: false, private: false, unlisted: false, maxClients: 1 };
    const nothing = { layout: undefined, state: undefined, timers: undefined, answers: undefined };
    return { classVersion: 0, cached: this.count, room, elapsedMs: 0, players: {}, ...nothing };
  }
}

/** What the room's newest checkpoint holds. */
async function countSaved(roomId: RoomId): Promise<unknown> {
  const { rows } = await pool.query<{ snapshot: Buffer; base: Buffer | null }>(
    `SELECT c.snapshot, b.snapshot AS base FROM checkpoint c
       LEFT JOIN checkpoint b ON b.room_id = c.room_id AND b.seq = c.base_seq
      WHERE c.room_id = $1 ORDER BY c.seq DESC LIMIT 1`,
    [roomId],
  );
  const [newest] = rows;
  return newest === undefined ? 0 : decodeSnapshot(newest.snapshot, newest.base ?? undefined).cached;
}

test("[COM1] [COM2] [COM3] [COM5] while connections break around COMMIT, each room's memory, checkpoint and rows agree with what was told", async () => {
  const seed = Number(process.env["SEED"] ?? randomBytes(4).readUInt32BE());
  let state = seed;
  const chance = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  await using it = await rig();
  const events = new EventBus();
  const settled = { true: 0, false: 0 };
  events.listen((name, facts) => {
    if (name === "commit:settled") settled[`${(facts as { isCommitted: boolean }).isCommitted}`]++;
  });
  const rooms = (await createRooms(20)).map((roomId) => new Counter(roomId));
  const checkpointer = new Checkpointer<Counter>({
    config,
    clock: systemClock,
    events,
    store: new CheckpointStore(database, self, 3),
    activations: () => rooms,
    mayAct: () => true,
    onRefused: ({ roomId }) => expect.fail(`${roomId} is still ours`),
  });
  checkpointer.start();
  const lease = { isHeld: true };
  const committer = new Committer<Counter>({
    config,
    clock: systemClock,
    events,
    checkpointer,
    store: it.store,
    lease,
  });
  it.proxy.onStranded = (link) => {
    if (chance() < 0.5) void link.deliver();
    else link.forget();
  };
  const told = new Map<RoomId, string[]>();
  const play = async (room: Counter): Promise<void> => {
    const ids: string[] = [];
    told.set(room.roomId, ids);
    for (let n = 0; n < 25; n++) {
      const id = `${room.roomId}/${n}`;
      const [isBad, asks] = [chance() < 0.1, chance() < 0.2];
      if (chance() < 0.15) {
        it.proxy.failCommits(
          ["cut-before", "drop-reply", "strand", "last-words"][Math.floor(chance() * 4)] as CommitFault,
        );
      }
      try {
        await committer.commit(room, async (tx) => {
          room.count++;
          tx.undo(() => void room.count--);
          tx.run(`INSERT INTO ${LEDGER} (id, room_id, coins) VALUES ($1, $2, $3)`, [
            id,
            room.roomId,
            isBad ? -1 : 1,
          ]);
          if (asks) await tx.query("SELECT 1");
        });
        ids.push(id);
      } catch (error) {
        expect(
          hasCode(error, "POSTGRES_UNREACHABLE") || (isBad && hasCode(error, "COMMIT_REFUSED")),
          String(error),
        ).toBe(true);
      }
    }
  };
  await Promise.all(rooms.map(play));
  await checkpointer.stop();
  for (const room of rooms) {
    const ids = told.get(room.roomId) ?? [];
    expect(await ledgerOf(room.roomId), `seed ${seed}`).toEqual(ids);
    expect({ memory: room.count, saved: await countSaved(room.roomId) }, `seed ${seed}`).toEqual({
      memory: ids.length,
      saved: ids.length,
    });
  }
  expect(
    Math.min(it.proxy.bites["cut-before"], it.proxy.bites["drop-reply"], it.proxy.bites.strand),
  ).toBeGreaterThan(0);
  expect(Math.min(settled.true, settled.false)).toBeGreaterThan(0);
});
