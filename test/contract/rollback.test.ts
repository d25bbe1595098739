// Taking a room back, against Postgres alone: there is no node here, and none is needed.

import { randomBytes, randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { sealOnBase, sealWhole } from "../../src/checkpoint/frame.ts";
import { decodeSnapshot, serializeSnapshot, type Snapshot } from "../../src/checkpoint/snapshot.ts";
import { RingsideError, type ErrorCode } from "../../src/errors.ts";
import type { Epoch, Incarnation, RoomId } from "../../src/ids.ts";
import { Directory } from "../../src/ownership/directory.ts";
import { Database } from "../../src/postgres/query.ts";
import {
  readReopening,
  readRollbackTimes,
  rollbackRoom,
  type RolledBack,
} from "../../src/recovery/rollback-room.ts";
import { ownSchema } from "../kit/own-schema.ts";
import { until } from "../kit/until.ts";

const GENERATIONS = 3;
const { config, pool, statements, database } = ownSchema("rollback", 12);

let roomId = "" as RoomId;
let count = 0;

beforeEach(() => void (roomId = `room-${(count += 1)}` as RoomId));

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

/** A room of which nothing is to be known but what it was at its `seq`: its refIds are numbered after that. */
const bodyOf = (seq: number, classVersion = 0): Buffer => {
  const snapshot: Snapshot = {
    classVersion,
    layout: undefined,
    state: { rootRefId: 0, nextRefId: 1_000 * seq, shapes: [], collections: [] },
    cached: { seq, filler: "x".repeat(600) },
    room: { metadata: undefined, locked: false, private: false, unlisted: false, maxClients: 4 },
    elapsedMs: seq,
    players: {},
    timers: undefined,
    answers: undefined,
  };
  return serializeSnapshot(snapshot, 1e6);
};

/** Saves what the room is at `seq`, whole, or on what it was at `base`. */
async function save(
  owner: Incarnation,
  epoch: number,
  seq: number,
  { base, classVersion = 0, on = database }: { base?: number; classVersion?: number; on?: Database } = {},
): Promise<boolean> {
  const body = bodyOf(seq, classVersion);
  const bytes = base === undefined ? sealWhole(body) : sealOnBase(body, bodyOf(base));
  const rows = await on.run("save-checkpoints", [
    [roomId],
    [epoch],
    [seq],
    [bytes],
    [base ?? null],
    [base === undefined],
    [body.length],
    [0],
    [classVersion],
    owner,
    GENERATIONS,
  ]);
  return rows.length === 1;
}

/** A room with checkpoints 1 to `last`, one a second: the first is whole, the others stand on it. */
async function roomWith(last: number): Promise<{ owner: Incarnation; at: (seq: number) => Promise<number> }> {
  const owner = await enter();
  await database.run("create-room", [roomId, "probe", "{}", owner]);
  for (let seq = 1; seq <= last; seq++) {
    expect(await save(owner, 1, seq, seq === 1 ? {} : { base: 1 })).toBe(true);
    await pool.query(
      "UPDATE checkpoint SET saved_at = clock_timestamp() - $3::integer * interval '1 s' WHERE room_id = $1 AND seq = $2",
      [roomId, seq, 100 - seq],
    );
  }
  const at = async (seq: number): Promise<number> => {
    const times = await readRollbackTimes({ database }, roomId);
    return times.find((time) => time.seq === seq)?.savedAt ?? NaN;
  };
  return { owner, at };
}

const rollBack = (to: number | Date): Promise<RolledBack> => rollbackRoom({ database }, roomId, to);
const claimBy = (node: Incarnation): ReturnType<Directory["claim"]> =>
  new Directory(database, node, { probe: 0 }).claim([roomId]);

interface Stored {
  readonly seq: number;
  readonly epoch: number;
  readonly kept: boolean;
}
const stored = async (): Promise<Stored[]> =>
  (
    await pool.query<Stored>(
      "SELECT seq::integer, epoch::integer, kept FROM checkpoint WHERE room_id = $1 ORDER BY seq",
      [roomId],
    )
  ).rows;

/** Everything Postgres holds of the room, as one value to compare. */
async function everything(): Promise<unknown> {
  const { rows } = await pool.query(
    `SELECT (SELECT row_to_json(r) FROM room r WHERE room_id = $1) AS room,
            (SELECT json_agg(row_to_json(c) ORDER BY seq) FROM checkpoint c WHERE room_id = $1) AS checkpoints,
            (SELECT count(*) FROM event WHERE room_id = $1) AS events`,
    [roomId],
  );
  return rows[0] as unknown;
}

async function untilWaiting(atLeast: number): Promise<void> {
  await until(`${atLeast} statements wait for the room's row`, async () => {
    const { rowCount } = await pool.query(
      "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE $1 AND wait_event_type = 'Lock'",
      [`%${config.schemaName}`],
    );
    return (rowCount ?? 0) >= atLeast;
  });
}

test("[REC6] a room opens from what it was taken back to; its numbers, and the record, go on from where it had come", async () => {
  const { at } = await roomWith(6);
  const done = await rollBack(await at(5));
  expect(done).toMatchObject({ roomId, epoch: 2, seq: 7, toSeq: 5, toAt: await at(5), newestSeq: 6 });
  expect(Math.abs(done.lostMs - 95_000), "what is lost: all since that checkpoint").toBeLessThan(20_000);
  const [claimed] = await claimBy(await enter());
  expect(claimed).toMatchObject({ epoch: 3, fromEpoch: 2, checkpoint: { seq: 7, base: undefined } });
  expect(decodeSnapshot(claimed?.checkpoint?.bytes ?? new Uint8Array())).toMatchObject({
    cached: { seq: 5 },
    elapsedMs: 5,
    state: { nextRefId: 6_000 },
  });
  // All that was saved after it stays beyond the generations, and so does what it stands on.
  expect(await stored()).toEqual([
    { seq: 1, epoch: 1, kept: true },
    { seq: 4, epoch: 1, kept: false },
    { seq: 5, epoch: 1, kept: false },
    { seq: 6, epoch: 1, kept: true },
    { seq: 7, epoch: 2, kept: true },
  ]);
  const { rows } = await pool.query(
    "SELECT name, node_id, epoch::integer, facts FROM event WHERE room_id = $1",
    [roomId],
  );
  expect(rows).toEqual([{ name: "room:rolled-back", node_id: "operator", epoch: 2, facts: done }]);
});

test("[REC6] it can be taken back to any moment from the oldest on, also by the times it lists, and forth again", async () => {
  const { at } = await roomWith(6);
  expect((await readRollbackTimes({ database }, roomId)).map(({ seq }) => seq)).toEqual([6, 5, 4, 1]);
  expect(await rollBack((await at(4)) - 1)).toMatchObject({ toSeq: 1, seq: 7 });
  expect(await rollBack(new Date(await at(4)))).toMatchObject({ toSeq: 4, seq: 8, epoch: 3 });
  expect(await rollBack((await at(6)) + 999), "undone").toMatchObject({
    toSeq: 6,
    seq: 9,
    newestSeq: 8,
    epoch: 4,
  });
  const [claimed] = await claimBy(await enter());
  const snapshot = decodeSnapshot(claimed?.checkpoint?.bytes ?? new Uint8Array());
  expect(snapshot).toMatchObject({ cached: { seq: 6 }, state: { nextRefId: 6_000 } });
});

test("[REC6] [OWN2] from the moment at which a room is taken its former owner writes nothing", async () => {
  const { owner } = await roomWith(3);
  expect(await database.run("taken-rooms", [owner, [roomId, "other"], [1, 1]])).toEqual([
    { room_id: "other", epoch: 1 },
  ]);
  expect(await database.run("take-room", [roomId, 60_000])).toMatchObject([{ epoch: 2 }]);
  const before = await everything();
  for (const epoch of [1, 2]) {
    expect(await save(owner, epoch, 4), "save").toBe(false);
    for (const [statement, values] of [
      ["save-seats", [[roomId], [epoch], ["s"], [Buffer.alloc(32)], ["{}"], [null], owner, [null]]],
      ["give-up-seats", [[roomId], [epoch], ["s"], owner]],
      ["lock-room", [roomId, epoch, owner]],
      ["release-room", [roomId, epoch, owner]],
      ["failed-open", [roomId, epoch, owner, 1, "x"]],
      ["dispose-room", [roomId, epoch, owner]],
    ] as const) {
      expect(await database.run(statement, values), statement).toEqual([]);
    }
    expect(await database.run("taken-rooms", [owner, [roomId], [epoch]])).toEqual([
      { room_id: roomId, epoch },
    ]);
  }
  expect(await everything()).toEqual(before);
});

test("[REC6] a last checkpoint of the former owner for which the taking had to wait is counted in", async () => {
  const { owner, at } = await roomWith(3);
  const connection = await pool.connect();
  try {
    await connection.query("BEGIN");
    expect(await save(owner, 1, 4, { on: new Database(connection, statements) })).toBe(true); // not committed yet
    const rolling = rollBack(await at(2));
    rolling.catch(() => {}); // awaited below, after what may fail before
    await untilWaiting(1);
    await connection.query("COMMIT");
    expect(await rolling).toMatchObject({ toSeq: 2, newestSeq: 4, seq: 5 });
  } finally {
    connection.release(true); // closed, so that no transaction is left open by a failure
  }
});

test("[REC6] while it is taken nobody claims it, nor one who was about to; then it opens by itself, unchanged", async () => {
  const { owner } = await roomWith(3);
  const [next, judge] = [await enter(), await enter()];
  await database.run("mark-down", [owner, "refused", judge, false, null]);
  const connection = await pool.connect();
  try {
    await connection.query("BEGIN");
    await new Database(connection, statements).run("take-room", [roomId, 60_000]);
    const claiming = claimBy(next);
    claiming.catch(() => {}); // awaited below, after what may fail before
    await untilWaiting(1);
    await connection.query("COMMIT");
    expect(await claiming).toEqual([]);
  } finally {
    connection.release(true);
  }
  const directory = new Directory(database, next, { probe: 0 });
  expect(await directory.readUnowned(10_000)).not.toContain(roomId);
  expect(await claimBy(next)).toEqual([]);

  // Whoever took it died here. Its time is up in 200 ms.
  await database.run("take-room", [roomId, 200]);
  await until("it is anybody's again", async () => (await directory.readUnowned(10_000)).includes(roomId));
  const [claimed] = await claimBy(next);
  expect(claimed).toMatchObject({ epoch: 4, checkpoint: { seq: 3 } });
});

test("[REC6] of several who take a room back at once the last to take it has its way; the others wrote nothing", async () => {
  for (let round = 0; round < 10; round++) {
    roomId = `race-${round}` as RoomId;
    const { at } = await roomWith(6);
    const times = [await at(1), await at(4), await at(5), await at(6)];
    const all = await Promise.allSettled(times.map(rollBack));
    const won = all.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const lost = all.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    for (const error of lost) expect(error).toMatchObject({ code: "STALE_EPOCH" });
    const winner = won.toSorted((a, b) => a.epoch - b.epoch).at(-1);
    expect(winner?.epoch, "each took it once").toBe(1 + all.length);
    expect((await stored()).filter(({ epoch }) => epoch > 1)).toHaveLength(won.length);
    const [claimed] = await claimBy(await enter());
    expect(claimed?.checkpoint?.seq).toBe(winner?.seq);
    expect(decodeSnapshot(claimed?.checkpoint?.bytes ?? new Uint8Array()).cached).toMatchObject({
      seq: winner?.toSeq,
    });
  }
});

test("[REC6] what is undone is not pruned with the generations, and goes with the history", async () => {
  const { at } = await roomWith(6);
  await rollBack(await at(4));
  const next = await enter();
  expect(await claimBy(next)).toHaveLength(1);
  for (let seq = 8; seq <= 13; seq++) expect(await save(next, 3, seq, { base: 7 })).toBe(true);
  const seqs = async (): Promise<number[]> => (await stored()).map(({ seq }) => seq);
  expect(await seqs()).toEqual([1, 5, 6, 7, 11, 12, 13]);
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  expect(await seqs()).toEqual([1, 5, 6, 7, 11, 12, 13]);
  await database.run("prune", [10_000, 50_000, GENERATIONS]); // younger than that is 7 only
  await database.run("prune", [10_000, 50_000, GENERATIONS]);
  expect(await seqs()).toEqual([7, 11, 12, 13]);
});

test("[REC6] [CKP5] after a deploy, a node with the older class takes a room that went back to what that class saved", async () => {
  const { owner, at } = await roomWith(3);
  await save(owner, 1, 4, { classVersion: 2 });
  await database.run("release-room", [roomId, 1, owner]);
  expect(await claimBy(owner)).toEqual([]);
  await rollBack(await at(3));
  expect(await claimBy(owner)).toMatchObject([{ epoch: 3, checkpoint: { seq: 5 } }]);
});

const refusals: [string, ErrorCode, RegExp, () => Promise<unknown>][] = [
  [
    "a room that nobody knows",
    "NOT_FOUND",
    /there is no room nowhere/,
    async () => {
      roomId = "nowhere" as RoomId;
      return rollBack(Date.now() - 1_000);
    },
  ],
  [
    "a room that was never saved",
    "NOT_FOUND",
    /no checkpoint as old as .* it was never saved/,
    async () => {
      await roomWith(0);
      return rollBack(Date.now() - 1_000);
    },
  ],
  [
    "a time before its oldest checkpoint",
    "NOT_FOUND",
    /as old as 2001-.*: the oldest is of 20/,
    async () => {
      await roomWith(2);
      return rollBack(Date.UTC(2001));
    },
  ],
  [
    "a time to come",
    "BAD_REQUEST",
    /^2999-.* is still to come/,
    async () => {
      await roomWith(2);
      return rollBack(Date.UTC(2999));
    },
  ],
  [
    "no time at all",
    "BAD_REQUEST",
    /not a time/,
    async () => {
      await roomWith(2);
      return rollBack(new Date("yesterday"));
    },
  ],
  [
    "a room that has ended",
    "ROOM_GONE",
    /has ended/,
    async () => {
      const { owner } = await roomWith(2);
      await database.run("dispose-room", [roomId, 1, owner]);
      return rollBack(Date.now() - 1_000);
    },
  ],
  [
    "a room that is locked away",
    "NOT_ALLOWED",
    /is locked away: its onCreate throws/,
    async () => {
      const { owner } = await roomWith(2);
      await database.run("failed-open", [roomId, 1, owner, 1, "its onCreate throws"]);
      return rollBack(Date.now() - 1_000);
    },
  ],
  [
    "a damaged checkpoint",
    "SNAPSHOT_UNREADABLE",
    /checkpoint 2 of room .* cannot be read: its checksum is wrong/,
    async () => {
      const { at } = await roomWith(3);
      await pool.query(
        "UPDATE checkpoint SET snapshot = set_byte(snapshot, 30, get_byte(snapshot, 30) # 64) WHERE room_id = $1 AND seq = 2",
        [roomId],
      );
      return rollBack(await at(2));
    },
  ],
  [
    "a checkpoint whose base is missing",
    "SNAPSHOT_UNREADABLE",
    /checkpoint 2 .* that it stands on is missing/,
    async () => {
      const { at } = await roomWith(3);
      await pool.query("DELETE FROM checkpoint WHERE room_id = $1 AND seq = 1", [roomId]);
      return rollBack(await at(2));
    },
  ],
];

test.each(refusals)("[REC6] refused without a change: %s", async (_what, code, why, act) => {
  const error = await act().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RingsideError);
  expect(error).toMatchObject({ code });
  expect((error as RingsideError).facts["why"]).toMatch(why);
  const { rows } = await pool.query(
    "SELECT epoch::integer, retry_at FROM room WHERE room_id = $1 AND failed_opens = 0",
    [roomId],
  );
  for (const row of rows) expect(row, "nobody was disturbed").toEqual({ epoch: 1, retry_at: null });
  const { rows: events } = await pool.query("SELECT 1 FROM event WHERE room_id = $1", [roomId]);
  expect(events).toEqual([]);
});

test("[REC6] a newest checkpoint that cannot be read keeps its number, and the one before it tells how far the room had come", async () => {
  const { at } = await roomWith(4);
  await pool.query("UPDATE checkpoint SET snapshot = '' WHERE room_id = $1 AND seq = 4", [roomId]);
  expect(await rollBack(await at(2))).toMatchObject({ toSeq: 2, newestSeq: 4, seq: 5 });
  const [claimed] = await claimBy(await enter());
  const snapshot = decodeSnapshot(claimed?.checkpoint?.bytes ?? new Uint8Array());
  expect(snapshot).toMatchObject({ cached: { seq: 2 }, state: { nextRefId: 3_000 } });
});

test("[REC6] [REC4] whether it runs again, and from there, can be asked", async () => {
  const { at } = await roomWith(3);
  const done = await rollBack(await at(2));
  const reopening = (): Promise<unknown> => readReopening({ database }, done);
  expect(await reopening()).toEqual({ state: "waiting" });
  const next = await enter();
  const [claimed] = await claimBy(next);
  expect(await reopening(), "claimed, but not open").toEqual({ state: "waiting" });
  await save(next, 3, 5);
  expect(await reopening()).toMatchObject({ state: "open", nodeId: expect.stringMatching(/^n/) });
  const directory = new Directory(database, next, { probe: 0 });
  await directory.keepUnreadable(roomId, claimed?.epoch ?? (0 as Epoch), done.seq, "it does not fit");
  expect(await reopening()).toEqual({ state: "failed", why: "it does not fit" });
  await directory.dispose(roomId, 3 as Epoch);
  expect(await reopening()).toEqual({ state: "ended" });
});
