// Taking a room back after an exploit, as an operator does it: to a time, by a script, while its players play on.

import { expect, test } from "vitest";
import type { RolledBack } from "../../src/recovery/rollback-room.ts";
import { readStatements } from "../../src/postgres/query.ts";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { runRollback, type Told } from "../kit/operator.ts";
import type { Player, Seen } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/probe-game.ts", env: { CHECKPOINT_MS: "50", HISTORY_EVERY_MS: "1000" } };
/** A node that is told lets go in some ms; one that is not would find out by itself some ten seconds after it started. */
const AT_ONCE_MS = 3_000;

const operator = (cluster: TestCluster, ...args: string[]): Promise<Told> =>
  runRollback({ DATABASE_URL: cluster.databaseUrl }, ...args);

interface Kept {
  readonly seq: number;
  /** As the list shows it. */
  readonly time: string;
}

/** Waits for a checkpoint of what the room's state is now that outlives the generations. */
async function untilKept(cluster: TestCluster, player: Player): Promise<Kept> {
  await cluster.untilSaved(player.roomId);
  const from = await cluster.newestSeq(player.roomId);
  let secret = 0;
  return until("a checkpoint that is kept", async () => {
    player.send("secret", secret++); // not of the state, but saved: a room that does not change saves nothing
    const [row] = await cluster.sql<{ seq: number; saved_at: number }>(
      `SELECT seq::integer, floor(extract(epoch FROM saved_at) * 1000)::double precision AS saved_at
         FROM checkpoint WHERE room_id = $1 AND seq > $2 AND kept ORDER BY seq LIMIT 1`,
      [player.roomId, from],
    );
    return row && { seq: row.seq, time: new Date(row.saved_at).toISOString() };
  });
}

/** So much that nothing of the state before is left in the last generations. */
async function playOn(cluster: TestCluster, player: Player): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    const seq = await cluster.newestSeq(player.roomId);
    await player.ask("add", 1_000);
    await player.ask("medal", `loot ${turn}`);
    await player.ask("tag", `loot ${turn}`);
    await until("it is saved", async () => (await cluster.newestSeq(player.roomId)) > seq);
  }
  await cluster.untilSaved(player.roomId);
}

const isFor = (player: Player) => (facts: { roomId: string }) => facts.roomId === player.roomId;
const sorted = (words: readonly string[]): string[] => words.toSorted((a, b) => a.localeCompare(b));

test("[REC6] [SEAT2] a match goes back to a time: state, players in their seats, and the former owner stops at once", async () => {
  await using cluster = await startCluster(GAME);
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const ada = await cluster.place({ owner, gateway, room: "quiet", options: { name: "ada" } });
  const bob = await cluster.joinTo(ada, gateway, { name: "bob" });
  await ada.ask("add", 10);
  await bob.ask("add", 20);
  await ada.ask("medal", "honest");
  await ada.ask("tag", "honest");
  const then = await ada.inSync();
  const kept = await untilKept(cluster, ada);

  const carol = await cluster.joinTo(ada, cluster.node("node-c"), { name: "carol" });
  await playOn(cluster, ada);
  await ada.ask("lock");
  await bob.room.leave();
  await until("bob has left", () => ada.mirror.players[bob.sessionId] === undefined);
  await carol.ask("add", 500);
  await cluster.untilSaved(ada.roomId);
  expect((await ada.inSync()).players[ada.sessionId]?.score).toBe(5_010);
  const elapsed = (await ada.facts()).elapsedMs;

  const listed = await operator(cluster, "--list", ada.roomId);
  expect(listed).toMatchObject({ code: 0, stderr: "" });
  expect(listed.stdout).toContain(`${kept.time}  checkpoint ${kept.seq}  `);

  const fenced = cluster.events.next("room:fenced", isFor(ada));
  const back = comeback(cluster, ada);
  const told = await operator(cluster, ada.roomId, kept.time);
  expect(told).toMatchObject({ code: 0, stderr: "" });
  expect(told.stdout).toMatch(
    new RegExp(
      `^room ${ada.roomId} is back at its checkpoint ${kept.seq} of ${kept.time}, .*, and it runs on node-[abc]\\n$`,
    ),
  );
  const [event] = await cluster.sql<{ epoch: number; at: number; facts: RolledBack }>(
    `SELECT epoch::integer, facts, (extract(epoch FROM at) * 1000)::double precision AS at
       FROM event WHERE name = 'room:rolled-back' AND room_id = $1`,
    [ada.roomId],
  );
  const { newestSeq } = event?.facts ?? { newestSeq: -1 };
  expect(event).toMatchObject({ epoch: 2, facts: { toSeq: kept.seq, seq: newestSeq + 1, epoch: 2 } });

  const stopped = await fenced;
  expect(stopped).toMatchObject({ nodeId: owner.nodeId, facts: { epoch: 1 } });
  expect(stopped.at - (event?.at ?? 0), "at once: this room had nothing to save").toBeLessThan(AT_ONCE_MS);
  expect(await back).toMatchObject({
    epoch: 3,
    fromEpoch: 2,
    checkpointSeq: newestSeq + 1,
    seats: 2,
    back: 2,
  });
  await until("the players know that they are back", () => ada.returns === 1 && carol.returns === 1);
  await expectOneOwner(cluster, ada, 3);

  // As it was, but for what players' comings and goings since have to do with it.
  const now = await ada.inSync();
  expect(await carol.inSync()).toEqual(now);
  const expected: Seen = {
    ...then,
    players: {
      [ada.sessionId]: then.players[ada.sessionId]!,
      [carol.sessionId]: { score: 0, joinedAs: "carol", medals: [], best: { name: "none", worth: 0 } },
    },
    calls: {
      [ada.sessionId]: { joins: 1, reconnects: 1, leaves: 0 },
      [bob.sessionId]: { joins: 1, reconnects: 0, leaves: 1 },
      [carol.sessionId]: { joins: 1, reconnects: 0, leaves: 0 },
    },
    trail: now.trail,
  };
  expect(now).toEqual(expected);
  expect(now.trail.slice(0, 2)).toEqual(["join ada", "join bob"]);
  expect(sorted(now.trail.slice(2))).toEqual(["join carol", "leave bob"]);
  expect(await ada.facts()).toMatchObject({ locked: false, userData: { user: "ada" } });
  expect((await ada.facts()).elapsedMs, "the room's clock went back").toBeLessThan(elapsed);
  expect([ada.drops, ada.returns, carol.drops, carol.returns]).toEqual([0, 1, 0, 1]);

  // The mirrors stay right, for those who saw what is undone and for one who never did.
  const dave = await cluster.joinTo(ada, gateway, { name: "dave" });
  for (const [turn, player] of [ada, carol, dave, ada].entries()) {
    await player.ask("add", turn);
    await player.ask("medal", `loot ${turn}`);
    await player.ask("tag", `loot ${turn}`);
    const seen = await player.inSync();
    for (const other of [ada, carol, dave]) expect(await other.inSync()).toEqual(seen);
  }
  expect(ada.mirror.tags).toEqual(["honest", "loot 0", "loot 1", "loot 2", "loot 3"]);
  expect(ada.mirror.players[ada.sessionId]?.score).toBe(10 + 0 + 3);

  // Nothing of the former owner came after, and nothing that it had saved is gone.
  await cluster.untilSaved(ada.roomId);
  const rows = await cluster.sql<{ seq: number; epoch: number; kept: boolean }>(
    "SELECT seq::integer, epoch::integer, kept FROM checkpoint WHERE room_id = $1 ORDER BY seq",
    [ada.roomId],
  );
  expect(rows.filter(({ epoch }) => epoch === 1).at(-1)).toEqual({ seq: newestSeq, epoch: 1, kept: true });
  expect(rows.filter(({ seq }) => seq > newestSeq).map(({ epoch }) => epoch)).not.toContain(1);
  expect(rows.find(({ seq }) => seq === kept.seq)).toMatchObject({ kept: true });
});

test("[REC6] an owner that was frozen while its room was taken back shows nobody the undone world when it wakes", async () => {
  await using cluster = await startCluster({ ...GAME, env: { ...GAME.env, LEASE_MS: "20000" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const ada = await cluster.place({ owner, gateway, room: "quiet" });
  await ada.ask("add", 10);
  await ada.inSync();
  const kept = await untilKept(cluster, ada);
  await playOn(cluster, ada);
  const fenced = cluster.events.next("room:fenced", isFor(ada));
  const back = comeback(cluster, ada);
  owner.freeze();
  const telling = operator(cluster, ada.roomId, kept.time);
  await until("it is taken back", async () => {
    const rows = await cluster.sql("SELECT 1 FROM event WHERE name = 'room:rolled-back'");
    return rows.length === 1;
  });
  owner.thaw();
  expect(await telling).toMatchObject({ code: 0, stderr: "" });
  expect(await fenced).toMatchObject({ nodeId: owner.nodeId, facts: { epoch: 1 } });
  expect(await back).toMatchObject({ epoch: 3, seats: 1, back: 1 });
  expect((await ada.inSync()).players[ada.sessionId]?.score).toBe(10);
  expect(ada.drops).toBe(0);
  await expectOneOwner(cluster, ada, 3);
});

test("[REC6] when whoever takes a room back dies in the middle of it, the room opens by itself as it was", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const ada = await cluster.place({ owner, gateway, room: "quiet" });
  await ada.ask("add", 10);
  await ada.inSync();
  await cluster.untilSaved(ada.roomId);
  const newestSeq = await cluster.newestSeq(ada.roomId);
  const back = comeback(cluster, ada);
  // What rollbackRoom does first, and then no more.
  await cluster.sql(readStatements().get("take-room") ?? "", [ada.roomId, 1_500]);
  const [taken] = await cluster.sql<{ retry_at: Date }>("SELECT retry_at FROM room WHERE room_id = $1", [
    ada.roomId,
  ]);
  expect(await back).toMatchObject({ epoch: 3, checkpointSeq: newestSeq, seats: 1, back: 1 });
  const [claimed] = await cluster.sql<{ claimed_at: Date }>(
    "SELECT claimed_at FROM room WHERE room_id = $1",
    [ada.roomId],
  );
  expect(claimed?.claimed_at.getTime()).toBeGreaterThanOrEqual(taken?.retry_at.getTime() ?? Infinity);
  expect((await ada.inSync()).players[ada.sessionId]?.score).toBe(10);
});

test("[REC6] the script says in one line why not, and then nobody has noticed anything", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 1 });
  const owner = cluster.node("node-a");
  const ada = await cluster.place({ owner, gateway: owner, room: "quiet" });
  await ada.inSync();
  await cluster.untilSaved(ada.roomId);
  const env = { DATABASE_URL: cluster.databaseUrl };
  const past = "2001-01-01T00:00:00Z";
  const cases: [string, Record<string, string>, string[], number, RegExp][] = [
    ["nothing", env, [], 64, /usage: npm run rollback -- ROOM_ID/],
    ["no time", env, [ada.roomId], 64, /a time is missing; usage/],
    ["a time without its zone", env, [ada.roomId, "2026-11-23T20:15:00"], 64, /is not a time with its zone/],
    ["a time that is none", env, [ada.roomId, "2026-13-23T20:15:00Z"], 64, /is not a time with its zone/],
    ["too much", env, [ada.roomId, past, "now"], 64, /usage/],
    ["no settings", {}, [ada.roomId, past], 78, /DATABASE_URL is not set/],
    [
      "another URL",
      { DATABASE_URL: "redis://here" },
      [ada.roomId, past],
      78,
      /must be a URL that begins with postgres/,
    ],
    ["a bad schema", { ...env, DATABASE_SCHEMA: "a;b" }, [ada.roomId, past], 78, /plain lower-case/],
    [
      "another schema",
      { ...env, DATABASE_SCHEMA: "elsewhere" },
      [ada.roomId, past],
      69,
      /no tables .* in schema elsewhere/,
    ],
    [
      "no Postgres",
      { DATABASE_URL: "postgres://user:secret@127.0.0.1:1/x" },
      [ada.roomId, past],
      69,
      /cannot be reached/,
    ],
    ["an unknown room", env, ["nowhere", past], 1, /there is no room nowhere/],
    ["a list of nothing", env, ["--list", "nowhere"], 1, /room nowhere is unknown/],
    ["too long ago", env, [ada.roomId, past], 1, /no checkpoint as old as 2001-.*: the oldest is of 2/],
    [
      "a time to come",
      env,
      [ada.roomId, "2999-01-01T00:00:00+01:00"],
      1,
      /2998-12-31T23:00:00.000Z is still to come/,
    ],
  ];
  for (const [what, settings, args, code, line] of cases) {
    const told = await runRollback(settings, ...args);
    expect({ what, code: told.code, stdout: told.stdout }).toEqual({ what, code, stdout: "" });
    expect(told.stderr).toMatch(/^ringside: [^\n]+\n$/);
    expect(told.stderr, what).toMatch(line);
    expect(told.stderr).not.toContain("secret");
  }
  ada.expectUndisturbed();
  await expectOneOwner(cluster, ada, 1);
});
