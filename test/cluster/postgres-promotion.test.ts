// Postgres is lost, and a standby takes its place which had missed the last seconds: claims, checkpoints, seats, a whole node.

import { expect, inject, test } from "vitest";
import type { RoomId } from "../../src/ids.ts";
import type { Member } from "../../src/membership/view.ts";
import { Ring } from "../../src/placement/ring.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { startPostgresPair } from "../kit/postgres-pair.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectOneWriter, logWrites } from "../kit/write-log.ts";

const SECOND_TIMELINE = 1_000_000_001;
/** How a session may end when its room, or its seat, was never heard of: "there is nothing here", in the SDK's words. */
const REFUSED = 4_002;

/** What one server has of the rooms; asked of it directly. */
async function rowsOf(server: { sql: (text: string) => Promise<object[]> }): Promise<Map<string, Row>> {
  const rows = (await server.sql(
    `SELECT r.room_id, r.epoch::double precision AS epoch,
            (SELECT max(seq)::integer FROM ringside.checkpoint c WHERE c.room_id = r.room_id) AS seq,
            (SELECT max(base_seq)::integer FROM ringside.checkpoint c WHERE c.room_id = r.room_id) AS base_seq,
            (SELECT count(*)::integer FROM ringside.seat s WHERE s.room_id = r.room_id) AS seats
       FROM ringside.room r`,
  )) as Row[];
  return new Map(rows.map((row) => [row.room_id, row]));
}

interface Row {
  readonly room_id: string;
  readonly epoch: number;
  readonly seq: number | null;
  readonly base_seq: number | null;
  readonly seats: number;
}

/** A player in a room of `owner` that one of `heirs` gets when the nodes `left` are all that is left. */
async function placeWithHeir(
  cluster: TestCluster,
  owner: TestNode,
  heirs: readonly TestNode[],
  left: readonly TestNode[],
): Promise<Player> {
  const members = left.map(({ nodeId }) => ({ nodeId, state: "up" }) as Member); // all of them that a ring looks at
  const ring = new Ring({ version: 1, members });
  for (;;) {
    const player = await cluster.place({ owner, gateway: cluster.node("node-c") });
    const heir = ring.memberFor(player.roomId as RoomId)?.nodeId;
    if (heirs.some(({ nodeId }) => nodeId === heir)) return player;
    await player.room.leave();
  }
}

/** Every activation that any node has opened, `room@epoch`. */
function opened(cluster: TestCluster): string[] {
  return [...cluster.events.of("room:created"), ...cluster.events.of("room:restored")].map(
    ({ facts }) => `${facts.roomId}@${facts.epoch}`,
  );
}

test("[OWN1] [OWN2] [SEAT1] [CKP4] a standby that missed the last claims, checkpoints, seats and a node is promoted", async () => {
  await using pair = await startPostgresPair();
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 4,
    stores: { databaseUrl: pair.url, redisUrl: inject("redisUrl") },
    env: {
      CHECKPOINT_MS: "200",
      HISTORY_EVERY_MS: "8000",
      CHECKPOINT_GENERATIONS: "100", // so that what was saved right after the promotion is still there to be looked at
    },
  });
  await logWrites(cluster);
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const d = cluster.node("node-d");
  /** Stays where it is. */
  const stays = await cluster.place({ owner: a, gateway: c });
  // Large enough that its checkpoints stand on one another.
  for (let tag = 0; tag < 100; tag++) await stays.ask("tag", `a tag of some length, number ${tag}`);
  /** Is claimed by another node when the standby does not hear of it any more. */
  const moves = await placeWithHeir(cluster, b, [a, c], [a, c, d]);
  await moves.ask("add", 5);
  /** Its owner dies together with the primary. */
  const falls = await cluster.place({ owner: d, gateway: c });
  await falls.ask("add", 6);
  for (const each of [stays, moves, falls]) await cluster.untilSaved(each.roomId);
  const database = new URL(cluster.databaseUrl).pathname;
  const inDatabase = (server: typeof pair.primary) => ({
    sql: (text: string): Promise<object[]> => {
      const url = new URL(server.url);
      url.pathname = database;
      return server.sql(text, [], url.href);
    },
  });
  await pair.untilCaughtUp();

  // ---- what the standby misses ----
  await pair.cutReplication();
  const before = (await rowsOf(inDatabase(pair.standby))).get(stays.roomId);
  const claimed = cluster.events.next("room:restored", ({ roomId }) => roomId === moves.roomId);
  await b.kill();
  expect((await claimed).facts.epoch).toBe(2);
  await until("its player is back", () => moves.returns > 0);
  expect(await moves.ask("add", 100)).toBe(105);
  expect(await falls.ask("add", 100)).toBe(106);
  const again = await cluster.add("node-b");
  await cluster.untilLive();
  const unheard = [
    await cluster.place({ owner: c, gateway: a }),
    await cluster.place({ owner: again, gateway: a }),
  ];
  await stays.ask("add", 7);
  const friend = await cluster.joinTo(stays, a, { name: "friend" });
  await friend.ask("add", 8);
  /** Sits in a room that is known, in a seat that is not. */
  const late = await cluster.joinTo(moves, a, { name: "late" });
  for (const each of [stays, moves, falls, ...unheard]) await cluster.untilSaved(each.roomId);
  await until(
    "a checkpoint that stands on one which the standby has not",
    async () => {
      const row = (await rowsOf(inDatabase(pair.primary))).get(stays.roomId);
      return (row?.base_seq ?? 0) > (before?.seq ?? Number.MAX_SAFE_INTEGER);
    },
    { ms: 30_000 },
  );

  // ---- the fault, and that it bit ----
  const had = await rowsOf(inDatabase(pair.primary));
  await pair.primary.kill();
  await d.kill();
  const has = await rowsOf(inDatabase(pair.standby));
  expect([had.get(moves.roomId)?.epoch, has.get(moves.roomId)?.epoch], "the claim").toEqual([2, 1]);
  expect(had.get(stays.roomId)?.seats, "a seat").toBe(2);
  expect(has.get(stays.roomId)).toMatchObject({ epoch: 1, seats: 1 });
  expect([had.get(moves.roomId)?.seats, has.get(moves.roomId)?.seats]).toEqual([2, 1]);
  expect(has.get(stays.roomId)?.seq ?? 0, "checkpoints").toBeLessThan(had.get(stays.roomId)?.seq ?? 0);
  for (const { roomId } of unheard) expect([had.has(roomId), has.has(roomId)]).toEqual([true, false]);
  const known = await inDatabase(pair.standby).sql(
    `SELECT 1 FROM ringside.node WHERE incarnation = '${again.incarnation}'`,
  );
  expect(known, "the node").toEqual([]);

  const replaced = [a, c].map((node) =>
    cluster.events.next("postgres:replaced", (_facts, from) => from === node.nodeId),
  );
  const restored = [moves, falls].map((each) =>
    cluster.events.next("room:restored", ({ roomId }) => roomId === each.roomId),
  );
  const fencedFrom = cluster.events.all.length;
  await pair.promote();
  const switchedAt = Date.now();
  pair.front.moveTo(pair.standby.port);

  // ---- what must hold ----
  expect(await again.exited, "a node that Postgres has never heard of starts over").toBe(75);
  await cluster.add("node-b");
  for (const each of await Promise.all(replaced)) expect(each.facts.firstEpoch).toBe(SECOND_TIMELINE);
  for (const { facts } of await Promise.all(restored)) {
    expect(facts).toMatchObject({ epoch: SECOND_TIMELINE, fromEpoch: 1 });
  }
  // It finds out by looking, perhaps a moment after the next owner has claimed.
  await until("who had claimed it of the lost primary to let it go", () =>
    cluster.events.all
      .slice(fencedFrom)
      .some(
        ({ event, facts }) =>
          event === "room:fenced" && "epoch" in facts && facts.roomId === moves.roomId && facts.epoch === 2,
      ),
  );
  await until("every room is owned, and every node there", async () => {
    const { nodes, rooms } = await cluster.report(a);
    return (
      nodes.filter(({ state }) => state === "up").length === 3 &&
      rooms.length === 3 &&
      rooms.every(({ phase, nodeId }) => phase === "active" && nodeId !== null)
    );
  });
  expect(Date.now() - switchedAt, "ms until all is well again").toBeLessThan(20_000);

  // Those whose rooms Postgres still knows are back, where it knows them; the others are told.
  await until("the player whose owner died is back", () => falls.returns > 0, {
    ms: 40_000,
    seen: () => ({ drops: falls.drops, leftWith: falls.leftWith }),
  });
  expect((await falls.inSync()).players[falls.sessionId]?.score, "what the standby had").toBe(6);
  await expectOneOwner(cluster, falls, SECOND_TIMELINE);
  // This one came back to their seat when the standby did not hear of it any more: it does not know their newest token.
  await until("the player of the room that moved is back again, or told", () => {
    return moves.returns > 1 || moves.leftWith !== undefined;
  });
  expect([undefined, REFUSED]).toContain(moves.leftWith);
  for (const each of [...unheard, late]) {
    await until("the session of a room or a seat that is gone has ended", () => each.leftWith !== undefined);
    expect(each.leftWith).toBe(REFUSED);
  }
  // The room whose owner Postgres still knew went on from memory, and lost nothing.
  for (const each of [stays, friend]) {
    each.expectUndisturbed();
    await each.untilTicking();
  }
  const state = await stays.inSync();
  expect([state.players[stays.sessionId]?.score, state.players[friend.sessionId]?.score]).toEqual([7, 8]);
  const steps = stays.ticks.map(({ tick }, index) => tick - (stays.ticks[index - 1]?.tick ?? tick));
  expect(Math.min(...steps), "no step back").toBeGreaterThanOrEqual(0);
  await expectOneOwner(cluster, stays, 1);

  const unfounded = await cluster.sql(
    `SELECT d.seq FROM checkpoint d WHERE d.base_seq IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM checkpoint b WHERE b.room_id = d.room_id AND b.seq = d.base_seq)`,
  );
  expect(unfounded, "checkpoints that stand on one which the standby has missed").toEqual([]);

  // And what the standby had missed of it is there again: the next failover brings both players back.
  await cluster.untilSaved(stays.roomId);
  const next = cluster.events.next("room:restored", ({ roomId }) => roomId === stays.roomId);
  await a.kill();
  expect((await next).facts).toMatchObject({ epoch: SECOND_TIMELINE, fromEpoch: 1, seats: 2 });
  for (const each of [stays, friend]) {
    await until("the player is back", () => each.returns > 0, { seen: () => each.leftWith });
    const after = await each.inSync();
    expect(after.calls[each.sessionId], "the same seat").toMatchObject({ joins: 1, reconnects: 1 });
    expect(after.players[each.sessionId]?.score).toBe(each === stays ? 7 : 8);
  }

  const epochs = opened(cluster);
  expect(new Set(epochs).size, epochs.join()).toBe(epochs.length);
  for (const each of [stays, moves, falls]) await expectOneWriter(cluster, each.roomId);
  expect(cluster.events.of("room:unreadable")).toEqual([]);
}, 180_000); // it starts a node three times, on a machine that may be busy
