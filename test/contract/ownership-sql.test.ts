// The statements that decide who owns a room and what an owner may write, run as they are against the migrated schema.

import { randomBytes, randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import type { Incarnation, RoomId } from "../../src/ids.ts";
import { Directory } from "../../src/ownership/directory.ts";
import { Database } from "../../src/postgres/query.ts";
import { ownSchema } from "../kit/own-schema.ts";
import { until } from "../kit/until.ts";

const LEASE_MS = 60_000;
const GENERATIONS = 3;
const { config, pool, statements, database } = ownSchema("contract", 24);

let roomId = "";
let count = 0;

beforeEach(() => void (roomId = `room-${(count += 1)}`));

async function enter(
  nodeId = `n${randomBytes(3).toString("hex")}`,
  leaseMs = LEASE_MS,
): Promise<Incarnation> {
  const incarnation = randomUUID() as Incarnation;
  await database.run("register-node", [
    incarnation,
    nodeId,
    "p",
    "127.0.0.1",
    1,
    1,
    2,
    3,
    leaseMs,
    ["gateway", "rooms"],
  ]);
  return incarnation;
}

const create = (owner: Incarnation): Promise<{ epoch: number }[]> =>
  database.run("create-room", [roomId, "probe", "{}", owner]);
const claim = (
  claimant: Incarnation,
  on = database,
): Promise<{ room_id: string; epoch: number; from_epoch: number }[]> =>
  on.run("claim-rooms", [[roomId], claimant, ["probe"], [0], false]);
interface Kind {
  readonly baseSeq?: number;
  readonly isKept?: boolean;
  readonly classVersion?: number;
}
const save = (
  owner: Incarnation,
  epoch: number,
  seq: number,
  on = database,
  { baseSeq, isKept = false, classVersion = 0 }: Kind = {},
): Promise<{ epoch: number; baseless: boolean }[]> =>
  on.run("save-checkpoints", [
    [roomId],
    [epoch],
    [seq],
    [Buffer.from(`${epoch}/${seq}`)],
    [baseSeq ?? null],
    [isKept],
    [3],
    [0],
    [classVersion],
    owner,
    GENERATIONS,
  ]);
const sit = (owner: Incarnation, epoch: number, session = "s1", token = "01"): Promise<unknown[]> =>
  database.run("save-seats", [
    [roomId],
    [epoch],
    [session],
    [Buffer.from(token, "hex")],
    ["{}"],
    [null],
    owner,
    [null],
  ]);
const giveUp = (owner: Incarnation, epoch: number, session = "s1"): Promise<unknown[]> =>
  database.run("give-up-seats", [[roomId], [epoch], [session], owner]);
const down = (
  who: Incarnation,
  judge: Incarnation,
  onlyIfLapsed = false,
  notAfterMs: number | null = null,
): Promise<unknown[]> => database.run("mark-down", [who, "refused", judge, onlyIfLapsed, notAfterMs]);

/** Everything Postgres holds of the room, as one value to compare. */
async function everything(): Promise<unknown> {
  const { rows } = await pool.query<{ everything: unknown }>(
    `SELECT json_build_object(
       'room', (SELECT row_to_json(r) FROM room r WHERE room_id = $1),
       'checkpoints', (SELECT json_agg(row_to_json(c) ORDER BY seq) FROM checkpoint c WHERE room_id = $1),
       'seats', (SELECT json_agg(row_to_json(s) ORDER BY session_id) FROM seat s WHERE room_id = $1)) AS everything`,
    [roomId],
  );
  return rows[0]?.everything;
}

test("[OWN1] of twenty nodes that claim one room at once exactly one gets it, and the epoch rises by one", async () => {
  for (let round = 0; round < 5; round++) {
    roomId = `race-${round}`;
    const [owner, judge] = [await enter(), await enter()];
    await create(owner);
    const claimants = await Promise.all(Array.from({ length: 20 }, () => enter()));
    expect(
      (await Promise.all(claimants.map((each) => claim(each)))).flat(),
      "while its owner counts",
    ).toEqual([]);
    await down(owner, judge);
    const answers = await Promise.all(claimants.map((each) => claim(each)));
    const won = answers.flat();
    expect(won).toMatchObject([{ room_id: roomId, epoch: 2, from_epoch: 1 }]);
    const winner = claimants[answers.findIndex((rows) => rows.length === 1)];
    const { rows } = await pool.query("SELECT owner, epoch::integer FROM room WHERE room_id = $1", [roomId]);
    expect(rows).toEqual([{ owner: winner, epoch: 2 }]);
  }
});

test("[OWN1] of twenty nodes that create one room id at once exactly one does", async () => {
  const nodes = await Promise.all(Array.from({ length: 20 }, () => enter()));
  const created = (await Promise.all(nodes.map((each) => create(each)))).flat();
  expect(created).toEqual([{ epoch: 1 }]);
});

test("[OWN2] a stale owner saves, seats, unseats, releases, gives up and ends nothing", async () => {
  const [old, next] = [await enter(), await enter()];
  await create(old);
  expect(await save(old, 1, 1)).toHaveLength(1);
  expect(await sit(old, 1)).toHaveLength(1);
  await down(old, next);
  expect(await claim(next)).toMatchObject([{ epoch: 2 }]);
  expect(await save(next, 2, 2)).toHaveLength(1);
  const before = await everything();
  // The old owner at its old epoch, at the new one, and the new owner at the old one.
  for (const [who, epoch] of [
    [old, 1],
    [old, 2],
    [next, 1],
  ] as const) {
    expect(await save(who, epoch, 3), "save").toEqual([]);
    expect(await sit(who, epoch, "s1", "02"), "seat").toEqual([]);
    expect(await sit(who, epoch, "s2"), "new seat").toEqual([]);
    expect(await giveUp(who, epoch), "unseat").toEqual([]);
    expect(await database.run("release-room", [roomId, epoch, who]), "release").toEqual([]);
    expect(await database.run("failed-open", [roomId, epoch, who, 1, "x"]), "give up").toEqual([]);
    expect(await database.run("keep-unreadable", [roomId, epoch, who, 1, "x"]), "mark").toEqual([]);
    expect(await database.run("dispose-room", [roomId, epoch, who]), "end").toEqual([]);
    expect(await everything()).toEqual(before);
  }
});

test("[OWN2] one stale room in a batch is left out, and the others are saved", async () => {
  const [old, next] = [await enter(), await enter()];
  const other = `${roomId}-other`;
  await create(old);
  await database.run("create-room", [other, "probe", "{}", old]);
  await database.run("release-room", [roomId, 1, old]);
  await claim(next);
  const bytes = Buffer.from("x");
  const saved = await database.run("save-checkpoints", [
    [roomId, other],
    [1, 1],
    [1, 1],
    [bytes, bytes],
    [null, null],
    [false, false],
    [1, 1],
    [0, 0],
    [0, 0],
    old,
    GENERATIONS,
  ]);
  expect(saved).toEqual([{ room_id: other, epoch: 1, baseless: false }]);
});

test("[OWN3] an incarnation that is down, or without a lease, claims, creates and judges nothing", async () => {
  const [owner, judge] = [await enter(), await enter()];
  await create(owner);
  await down(owner, judge);
  const lapsed = await enter("lapsed", 1);
  await until("its lease is over", async () => {
    return (
      (
        await pool.query("SELECT 1 FROM node WHERE incarnation = $1 AND lease_until < clock_timestamp()", [
          lapsed,
        ])
      ).rowCount === 1
    );
  });
  for (const nobody of [owner, lapsed, randomUUID() as Incarnation]) {
    expect(await claim(nobody)).toEqual([]);
    expect(await database.run("create-room", [`${roomId}-new`, "probe", "{}", nobody])).toEqual([]);
    expect(await down(judge, nobody)).toEqual([]);
  }
  // Down is down: renewing brings nobody back, and its row tells so.
  const renewed = await database.run<{ renewed: boolean }>("renew-lease", [owner, LEASE_MS]);
  expect(renewed.every((row) => !row.renewed)).toBe(true);
  // A lease that is not over is not judged over.
  expect(await down(judge, await enter(), true)).toEqual([]);
});

test("[OWN7] a word of somebody's silence that was held up on its way does nothing", async () => {
  const [judge, silent] = [await enter(), await enter("silent", 1)];
  const clockMs = async (): Promise<number> => {
    const { rows } = await pool.query<{ ms: number }>(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::double precision AS ms",
    );
    return rows[0]?.ms ?? Number.NaN;
  };
  await until("the lease to lapse", async () => {
    const { rows } = await pool.query<{ lapsed: boolean }>(
      "SELECT lease_until < clock_timestamp() AS lapsed FROM node WHERE incarnation = $1",
      [silent],
    );
    return rows[0]?.lapsed === true;
  });
  expect(await down(silent, judge, true, await clockMs())).toEqual([]);
  expect(await down(silent, judge, true, (await clockMs()) + 60_000)).toHaveLength(1);
});

test("[OWN3] a draining node keeps what it owns and may still save; it is given nothing new by a create", async () => {
  const [owner, other] = [await enter(), await enter()];
  await create(owner);
  await database.run("set-draining", [owner]);
  expect(await claim(other)).toEqual([]);
  expect(await save(owner, 1, 1)).toHaveLength(1);
  expect(await database.run("create-room", [`${roomId}-new`, "probe", "{}", owner])).toEqual([]);
  expect(await database.run("leave", [owner])).toHaveLength(1);
  expect(await claim(other)).toMatchObject([{ epoch: 2 }]);
});

test("[OWN1] [REC2] a claim that waits behind its former owner's last checkpoint reads that checkpoint", async () => {
  const [owner, next] = [await enter(), await enter()];
  await create(owner);
  await save(owner, 1, 1);
  const connection = await pool.connect();
  try {
    await connection.query("BEGIN");
    expect(await save(owner, 1, 2, new Database(connection, statements))).toHaveLength(1); // not committed yet
    await down(owner, next);
    const claiming = new Directory(database, next, { probe: 0 }).claim([roomId as RoomId]);
    claiming.catch(() => {}); // awaited below, after what may fail before
    await untilSomeoneWaits();
    await connection.query("COMMIT");
    const [claimed] = await claiming;
    expect(claimed).toMatchObject({ epoch: 2, fromEpoch: 1, checkpoint: { seq: 2 } });
    expect(Buffer.from(claimed?.checkpoint?.bytes ?? []).toString()).toBe("1/2");
  } finally {
    connection.release(true); // closed, so that no transaction is left open by a failure
  }
  // And the other way round: a save that waits behind a claim finds that it is too late.
  expect(await save(owner, 1, 3)).toEqual([]);
});

/** Somebody of this file's connections waits for a row that another one has. */
async function untilSomeoneWaits(): Promise<void> {
  await until("a statement waits for the room's row", async () => {
    const { rowCount } = await pool.query(
      "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE $1 AND wait_event_type = 'Lock'",
      [`%${config.schemaName}`],
    );
    return rowCount === 1;
  });
}

test("[OWN2] a checkpoint that waits behind a claim changes nothing", async () => {
  const [owner, next] = [await enter(), await enter()];
  await create(owner);
  const connection = await pool.connect();
  try {
    await database.run("mark-down", [owner, "refused", next, false, null]);
    await connection.query("BEGIN");
    expect(await claim(next, new Database(connection, statements))).toMatchObject([{ epoch: 2 }]);
    const writes: Promise<unknown[]>[] = [
      save(owner, 1, 1),
      sit(owner, 1),
      database.run("dispose-room", [roomId, 1, owner]),
    ];
    await until("the three writes wait for the room's row", async () => {
      const { rowCount } = await pool.query(
        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE $1 AND wait_event_type = 'Lock'",
        [`%${config.schemaName}`],
      );
      return (rowCount ?? 0) >= 3;
    });
    await connection.query("COMMIT");
    expect(await Promise.all(writes)).toEqual([[], [], []]);
  } finally {
    connection.release(true); // closed, so that no transaction is left open by a failure
  }
  const { rows } = await pool.query("SELECT owner, epoch::integer FROM room WHERE room_id = $1", [roomId]);
  expect(rows).toEqual([{ owner: next, epoch: 2 }]);
});

test("[OWN1] an id that is used again after its room ended goes on counting its epochs", async () => {
  const owner = await enter();
  await create(owner);
  await save(owner, 1, 1);
  await sit(owner, 1);
  expect(await database.run("dispose-room", [roomId, 1, owner])).toHaveLength(1);
  expect(await claim(owner)).toEqual([]);
  expect(await create(owner)).toEqual([{ epoch: 2 }]);
  expect(await everything()).toMatchObject({ checkpoints: null, seats: null });
});

test("[CKP4] what stands on a checkpoint that is not here is not saved; its room is still its owner's, and a whole one will do", async () => {
  const owner = await enter();
  await create(owner);
  await save(owner, 1, 1, database, { isKept: true });
  const before = await everything();
  expect(await save(owner, 1, 3, database, { baseSeq: 2 })).toEqual([
    { room_id: roomId, epoch: 1, baseless: true },
  ]);
  expect(await everything()).toEqual(before);
  expect(await save(owner, 2, 3, database, { baseSeq: 2 }), "a stale one is that, whatever else").toEqual([]);
  expect(await save(owner, 1, 4, database, { isKept: true })).toMatchObject([{ baseless: false }]);
  expect(await save(owner, 1, 5, database, { baseSeq: 4 })).toMatchObject([{ baseless: false }]);
});

test("[CKP2] as many generations are kept as were asked for, and the newest before any is found", async () => {
  const owner = await enter();
  await create(owner);
  const seqs = async (): Promise<number[]> => {
    const { rows } = await pool.query<{ seq: number }>(
      "SELECT seq::integer FROM checkpoint WHERE room_id = $1 ORDER BY seq",
      [roomId],
    );
    return rows.map(({ seq }) => seq);
  };
  for (let seq = 1; seq <= 5; seq++) expect(await save(owner, 1, seq)).toHaveLength(1);
  expect(await seqs()).toEqual([3, 4, 5]);
  expect(await database.run("older-checkpoint", [roomId, 5])).toMatchObject([{ seq: 4 }]);
  expect(await database.run("older-checkpoint", [roomId, 3])).toEqual([]);
  await save(owner, 1, 14);
  expect(await seqs(), "those between were attempts that failed").toEqual([4, 5, 14]);
});

test("[REC4] whole checkpoints stay beside the generations, and what stands on one is read with it", async () => {
  const owner = await enter();
  await create(owner);
  for (let seq = 1; seq <= 12; seq++) {
    const kind = seq % 5 === 1 ? { isKept: true } : { baseSeq: seq - ((seq - 1) % 5) };
    expect(await save(owner, 1, seq, database, kind)).toHaveLength(1);
  }
  const seqs = async (): Promise<number[]> => {
    const { rows } = await pool.query<{ seq: number }>(
      "SELECT seq::integer FROM checkpoint WHERE room_id = $1 ORDER BY seq",
      [roomId],
    );
    return rows.map(({ seq }) => seq);
  };
  expect(await seqs()).toEqual([1, 6, 10, 11, 12]);
  expect(await database.run("read-rooms", [[roomId]])).toMatchObject([
    { seq: 12, snapshot: Buffer.from("1/12"), base: Buffer.from("1/11") },
  ]);
  expect(await database.run("older-checkpoint", [roomId, 12])).toMatchObject([{ seq: 11, base: null }]);
  expect(await database.run("older-checkpoint", [roomId, 11])).toMatchObject([
    { seq: 10, base: Buffer.from("1/6") },
  ]);

  // Still young: nothing goes. Then 1 goes; 6 stays, because 10 stands on it; and of 10, 11 and 12 none goes by its age.
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  expect(await seqs()).toEqual([1, 6, 10, 11, 12]);
  await pool.query("UPDATE checkpoint SET saved_at = saved_at - interval '2 h' WHERE room_id = $1", [roomId]);
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  expect(await seqs()).toEqual([6, 10, 11, 12]);
  await pool.query(
    "UPDATE checkpoint SET unreadable_reason = 'damaged', kept = true WHERE room_id = $1 AND seq = 10",
    [roomId],
  );
  for (let seq = 13; seq <= 16; seq++) await save(owner, 1, seq, database, { baseSeq: 11 });
  expect(await seqs(), "what could not be read stays, and what it stands on").toEqual([
    6, 10, 11, 14, 15, 16,
  ]);
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  expect(await seqs()).toEqual([6, 10, 11, 14, 15, 16]);
  await pool.query("UPDATE checkpoint SET saved_at = saved_at - interval '8 d' WHERE room_id = $1", [roomId]);
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  await database.run("prune", [10_000, 3_600_000, GENERATIONS]);
  expect(await seqs()).toEqual([11, 14, 15, 16]);
});

test("[CKP5] a room that a later version of its class has saved is taken by nobody who has an older one", async () => {
  const [owner, next] = [await enter(), await enter()];
  await create(owner);
  await save(owner, 1, 1, database, { classVersion: 2 });
  await down(owner, next);
  const claimAs = (version: number): Promise<unknown[]> =>
    database.run("claim-rooms", [[roomId], next, ["other", "probe"], [9, version], false]);
  const unowned = (version: number): Promise<{ room_id: string }[]> =>
    database.run("unowned-rooms", [10_000, ["other", "probe"], [9, version]]);
  expect(await unowned(1)).not.toContainEqual({ room_id: roomId });
  expect(await claimAs(1)).toEqual([]);
  expect(await unowned(2)).toContainEqual({ room_id: roomId });
  expect(await claimAs(3)).toHaveLength(1);
});

test("[REC2] an id that is used again does not come back with what the former room saved last", async () => {
  const owner = await enter();
  await create(owner);
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await save(owner, 1, 57, new Database(client, statements));
    const ending = database.run("dispose-room", [roomId, 1, owner]);
    await untilSomeoneWaits();
    await client.query("COMMIT");
    expect(await ending).toHaveLength(1);
  } finally {
    client.release(true);
  }
  expect(await create(owner)).toEqual([{ epoch: 2 }]);
  expect(await database.run("read-rooms", [[roomId]])).toMatchObject([{ seq: null, seats: [] }]);
});

test("[SEAT1] what one player sends as options, whatever is in it, is stored and does not fail the others' seats", async () => {
  const owner = await enter();
  await create(owner);
  const nasty = { name: "\u0000", half: "\ud800" };
  const seats = [nasty, { name: "honest" }];
  const rows = await database.run("save-seats", [
    seats.map(() => roomId),
    seats.map(() => 1),
    seats.map((_, index) => `s${index}`),
    seats.map(() => Buffer.alloc(32)),
    seats.map((options) => JSON.stringify(options)),
    seats.map(() => null),
    owner,
    seats.map(() => null),
  ]);
  expect(rows).toHaveLength(2);
  const [saved] = await database.run<{ seats: { sessionId: string; options: string }[] }>("read-rooms", [
    [roomId],
  ]);
  const found = saved?.seats.find(({ sessionId }) => sessionId === "s0");
  expect(JSON.parse(found?.options ?? "null")).toEqual(JSON.parse(JSON.stringify(nasty)));
});
