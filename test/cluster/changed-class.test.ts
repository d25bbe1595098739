// Releases of a game that change a room class: what the former one saved is read by the next, or kept for one that can.

import { expect, test } from "vitest";
import { decodeSnapshot, encodeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { until } from "../kit/until.ts";

const FIRST = "kit/changed-game-first.ts";
const LATER = "kit/changed-game-later.ts";
const BROKEN = "kit/changed-game-broken.ts";
const CARELESS = "kit/changed-game-careless.ts";
const GAME = { nodes: 1, game: FIRST, env: { CHECKPOINT_MS: "50" } };

interface Game {
  readonly ada: Player;
  readonly bob: Player;
  readonly roomId: string;
}

/** Two players in a room of the first release, with three generations of checkpoints. */
async function play(cluster: TestCluster): Promise<Game> {
  const client = cluster.client();
  const ada = await Player.create(client, "changing", { name: "ada" });
  const { roomId } = ada;
  const bob = await Player.join(client, roomId, { name: "bob" });
  // As pages that are loaded again for the next release: they come back by their tokens, and not by themselves.
  for (const player of [ada, bob]) player.room.reconnection.enabled = false;
  for (let levels = 1; levels <= 3; levels++) {
    const seq = await cluster.newestSeq(roomId);
    ada.send("rise", 2);
    await until(`checkpoint ${levels}`, async () => (await cluster.newestSeq(roomId)) > seq);
  }
  await cluster.untilSaved(roomId);
  return { ada, bob, roomId };
}

/** Straight to the node that the test has just started: the load balancer may not have found it yet. */
async function back(cluster: TestCluster, node: TestNode, player: Player): Promise<Player> {
  return new Player(await cluster.client(node).reconnect(player.room.reconnectionToken));
}

interface Row {
  readonly seq: number;
  readonly unreadable_reason: string | null;
  readonly [column: string]: unknown;
}

const checkpointsOf = (cluster: TestCluster, roomId: string): Promise<Row[]> =>
  cluster.sql<Row>(
    "SELECT seq::integer AS seq, unreadable_reason, snapshot FROM checkpoint WHERE room_id = $1 ORDER BY seq",
    [roomId],
  );

const firstPlayer = (name: string, level: number): object => ({
  name,
  level,
  obsolete: "gone",
  pet: { kind: "orc", rage: 9 },
});

test.each(["drained", "killed"])(
  "[CKP1] [CKP5] the next release goes on with what nodes of the former one saved before they were %s",
  async (how) => {
    await using cluster = await startCluster(GAME);
    const { ada, bob, roomId } = await play(cluster);
    const old = cluster.node("node-a");
    await (how === "drained" ? old.drain() : old.kill());
    const restored = cluster.events.next("room:restored");
    const later = await cluster.add("node-b", LATER);
    expect((await restored).facts).toMatchObject({ roomId, epoch: 2, seats: 2 });

    const [adaNow, bobNow] = [await back(cluster, later, ada), await back(cluster, later, bob)];
    expect([adaNow.sessionId, bobNow.sessionId]).toEqual([ada.sessionId, bob.sessionId]);
    const player = (title: string, level: number): object => ({
      stats: { hp: 10 * level, luck: 3 },
      title,
      level: `level ${level}`,
      pet: { kind: "orc", rage: 9 },
      mood: "fine",
    });
    const [first, second] = [player("ada", 7), player("bob", 1)];
    const expected = {
      round: 5,
      order: { 0: first, 1: second },
      players: { [ada.sessionId]: first, [bob.sessionId]: second },
    };
    expect(await adaNow.inSync()).toEqual(expected);
    expect(await bobNow.inSync()).toEqual(expected);
    expect(await adaNow.ask("userData")).toEqual({ name: "ada" });

    // It goes on, new players find it, and its own checkpoints are of its own version: no migration a second time.
    const eve = await Player.join(cluster.client(later), roomId, { name: "eve" });
    adaNow.send("rise", 4);
    await until("ada has risen", async () => {
      const { players } = (await eve.inSync()) as unknown as { players: Record<string, { level: string }> };
      return players[ada.sessionId]?.level === "risen by 4";
    });
    await cluster.untilSaved(roomId);
    const again = cluster.events.next("room:restored", ({ epoch }) => epoch === 3);
    eve.room.reconnection.enabled = false;
    await later.kill();
    const third = await cluster.add("node-c", LATER);
    await again;
    expect(await (await back(cluster, third, eve)).inSync()).toMatchObject({
      order: { 0: { level: "risen by 4" } },
      players: { [eve.sessionId]: { title: "eve", level: "level 1" } },
    });
    expect(cluster.events.of("room:unreadable")).toEqual([]);
  },
);

test("[CKP5] a page that was open all through such a release is told to load again, rather than shown garbage", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const ada = await Player.create(cluster.client(), "changing", { name: "ada" });
  const { roomId } = ada;
  await cluster.untilSaved(roomId);
  const owner = await cluster.ownerOf(roomId);
  const other = cluster.nodes.find(({ nodeId }) => nodeId !== owner.nodeId);

  // Another node of the same release: the page comes back by itself.
  const back1 = cluster.events.next("seat:reclaimed");
  await owner.kill();
  await back1;
  expect(await ada.inSync()).toMatchObject({ players: { [ada.sessionId]: { name: "ada" } } });
  expect(ada.leftWith).toBeUndefined();

  // A node of the next one.
  await cluster.untilSaved(roomId);
  const later = await cluster.add("node-z", LATER);
  const restored = cluster.events.next("room:restored", ({ epoch }) => epoch === 3);
  await other?.kill();
  await restored;
  await until("the page is told", () => ada.leftWith !== undefined);
  expect(ada.leftWith).toBe(4002);
  const reloaded = new Player(await cluster.client(later).reconnect(ada.room.reconnectionToken));
  expect(reloaded.sessionId).toBe(ada.sessionId);
  expect(await reloaded.inSync()).toMatchObject({ players: { [ada.sessionId]: { title: "ada" } } });
});

test("[REC4] [CKP5] a room that does not fit its class is locked away with all its checkpoints, and comes back with the class", async () => {
  await using cluster = await startCluster(GAME);
  const { ada, roomId } = await play(cluster);
  await cluster.node("node-a").drain();
  const before = await checkpointsOf(cluster, roomId);
  expect(before.length).toBeGreaterThan(1);

  const lockedAway = cluster.events.next("room:quarantined", () => true, 40_000);
  const careless = await cluster.add("node-b", CARELESS);
  const { reason } = (await lockedAway).facts;
  expect(reason).toMatch(/SNAPSHOT_UNREADABLE.*Player\.level/);
  const after = await checkpointsOf(cluster, roomId);
  expect(after.map(({ seq, snapshot }) => [seq, snapshot])).toEqual(
    before.map(({ seq, snapshot }) => [seq, snapshot]),
  );
  // Each of the last generations was tried, in each of three attempts; not what is older, and would have fitted: the room
  // as it was before anybody joined.
  const seqs = before.slice(-3).map(({ seq }) => seq);
  const told = cluster.events.of("room:unreadable").map(({ facts }) => facts.seq);
  expect(told).toEqual([...seqs.toReversed(), ...seqs.toReversed(), ...seqs.toReversed()]);
  for (const { seq, unreadable_reason } of after) {
    if (seqs.includes(seq)) expect(unreadable_reason).toMatch(/Player\.level/);
    else expect(unreadable_reason).toBeNull();
  }
  expect(cluster.events.of("room:restored")).toEqual([]);
  // To the author no room has ended.
  expect(careless.output.filter((line) => line.startsWith("onDispose"))).toEqual([]);

  await careless.drain();
  const restored = cluster.events.next("room:restored");
  const first = await cluster.add("node-c", FIRST);
  await cluster.sql(
    "UPDATE room SET quarantined_at = NULL, failed_opens = 0, retry_at = NULL WHERE room_id = $1",
    [roomId],
  );
  expect((await restored).facts).toMatchObject({ roomId, checkpointSeq: before.at(-1)?.seq, seats: 2 });
  const now = await back(cluster, first, ada);
  expect((await now.inSync()).players[ada.sessionId]).toEqual(firstPlayer("ada", 7));
});

test("[REC4] a newest checkpoint that decodes but does not fit is kept and told of, and the one before it is opened", async () => {
  await using cluster = await startCluster(GAME);
  const { ada, roomId } = await play(cluster);
  await cluster.node("node-a").drain();
  const rows = await cluster.sql<{ seq: number; snapshot: Buffer; base: Buffer | null }>(
    `SELECT c.seq::integer AS seq, c.snapshot, b.snapshot AS base FROM checkpoint c
       LEFT JOIN checkpoint b ON b.room_id = c.room_id AND b.seq = c.base_seq
      WHERE c.room_id = $1 ORDER BY c.seq DESC`,
    [roomId],
  );
  const [newest, next] = rows;
  if (newest === undefined || next === undefined) throw new Error("there must be two");
  const snapshot = decodeSnapshot(newest.snapshot, newest.base ?? undefined);
  const players = snapshot.state?.shapes.find(({ type }) => type === "Player");
  players?.rows.forEach((row) => (row[players.values.indexOf("level")] = "seven"));
  await cluster.sql("UPDATE checkpoint SET snapshot = $3, base_seq = NULL WHERE room_id = $1 AND seq = $2", [
    roomId,
    newest.seq,
    Buffer.from(encodeSnapshot(snapshot, 1e6)),
  ]);

  const unreadable = cluster.events.next("room:unreadable");
  const restored = cluster.events.next("room:restored");
  const node = await cluster.add("node-b", FIRST);
  expect((await unreadable).facts).toMatchObject({
    roomId,
    seq: newest.seq,
    error: expect.stringMatching(/Player\.level/) as unknown,
  });
  expect((await restored).facts).toMatchObject({ roomId, epoch: 2, checkpointSeq: next.seq, seats: 2 });
  // A Room of its own for each of the two, of which the first was never anything to its author.
  const said = (word: string): number => node.output.filter((line) => line === `${word} ${roomId}`).length;
  expect([said("onCreate"), said("onDispose")]).toEqual([2, 0]);
  expect(cluster.events.of("room:unreadable")).toHaveLength(1);

  const now = await back(cluster, node, ada);
  const { level } = (await now.inSync()).players[ada.sessionId] as unknown as { level: number };
  expect([5, 7]).toContain(level); // the drain may have saved once more what was saved already
  // Many generations later it is still there, with the reason.
  for (let rises = 0; rises < 5; rises++) {
    const seq = await cluster.newestSeq(roomId);
    now.send("rise", 1);
    await until("a newer checkpoint", async () => (await cluster.newestSeq(roomId)) > seq);
  }
  const kept = await checkpointsOf(cluster, roomId);
  expect(kept.find(({ seq }) => seq === newest.seq)?.unreadable_reason).toMatch(/Player\.level/);
  expect(kept.filter(({ unreadable_reason }) => unreadable_reason !== null)).toHaveLength(1);
  await expect(now.inSync()).resolves.toBeTruthy();
});

test("[CKP5] a migrateCheckpoint that throws is told of; the room keeps its newest checkpoint, and opens with it when that is mended", async () => {
  await using cluster = await startCluster(GAME);
  const { ada, roomId } = await play(cluster);
  await cluster.node("node-a").drain();
  const before = await checkpointsOf(cluster, roomId);
  const threw = cluster.events.next("room:threw", ({ where }) => where === "migrateCheckpoint");
  const failed = cluster.events.next("room:threw", ({ where }) => where === "open");
  const broken = await cluster.add("node-b", BROKEN);
  expect((await threw).facts).toMatchObject({
    roomId,
    epoch: 2,
    error: expect.stringMatching(/nobody tried this[^]*changed-rooms/) as unknown, // with where it was thrown
  });
  expect((await failed).facts.error).toMatch(/nobody tried this/);
  expect(await checkpointsOf(cluster, roomId)).toEqual(before);
  await broken.drain();

  const restored = cluster.events.next("room:restored", () => true, 40_000);
  const later = await cluster.add("node-c", LATER);
  expect((await restored).facts).toMatchObject({ roomId, checkpointSeq: before.at(-1)?.seq });
  expect(cluster.events.of("room:unreadable")).toEqual([]);
  const now = await back(cluster, later, ada);
  expect((await now.inSync()).players[ada.sessionId]).toMatchObject({ title: "ada", level: "level 7" });
});
