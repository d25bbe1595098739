// Checkpoints that cannot be read: one generation back, and when none is left, a room that is locked away by itself.

import { expect, test } from "vitest";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/probe-game.ts", env: { CHECKPOINT_MS: "50" } };

/**
 * A room that stands still, saved after 1, 2 and 3 points. One point may be saved twice: before its patch was sent, and after.
 *
 * @returns `two`: the number of the last checkpoint with two points
 */
async function threeGenerations(cluster: TestCluster): Promise<{ player: Player; two: number }> {
  const player = await cluster.place({
    owner: cluster.node("node-a"),
    gateway: cluster.node("node-b"),
    room: "quiet",
  });
  const untilSaved = async (): Promise<number> => {
    await player.inSync();
    await until("nothing is unsaved", async () => (await cluster.room(player.roomId)).rpoMs === 0);
    return cluster.newestSeq(player.roomId);
  };
  let two = await untilSaved();
  for (let points = 1; points <= 3; points++) {
    const seq = await untilSaved();
    if (points === 3) two = seq;
    await player.ask("add", 1);
    await until(`checkpoint ${points}`, async () => (await cluster.newestSeq(player.roomId)) > seq);
  }
  await untilSaved();
  return { player, two };
}

const flip = `UPDATE checkpoint SET snapshot = set_byte(snapshot, octet_length(snapshot) / 2,
  get_byte(snapshot, octet_length(snapshot) / 2) # 64) WHERE room_id = $1`;

test.each([
  ["one bit is wrong", flip],
  [
    "it was cut short",
    "UPDATE checkpoint SET snapshot = substring(snapshot FROM 1 FOR 40) WHERE room_id = $1",
  ],
  ["it is empty", "UPDATE checkpoint SET snapshot = '' WHERE room_id = $1"],
])("[REC4] [CKP2] the newest checkpoint is not read when %s: the one before it is", async (_what, damage) => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const { player, two } = await threeGenerations(cluster);
  const newest = await cluster.newestSeq(player.roomId);
  await cluster.sql(`${damage} AND seq > $2`, [player.roomId, two]);
  const unreadable = cluster.events.next("room:unreadable", ({ roomId }) => roomId === player.roomId);
  const back = comeback(cluster, player);
  await cluster.node("node-a").kill();
  await unreadable;
  expect(await back).toMatchObject({ epoch: 2, checkpointSeq: two, seats: 1, back: 1 });
  const after = await player.inSync();
  expect(after.players[player.sessionId]?.score).toBe(2);
  await expectOneOwner(cluster, player, 2);
  // It is saved again, beyond the damaged one.
  await player.ask("add", 5);
  await until("a newer checkpoint", async () => (await cluster.newestSeq(player.roomId)) > newest);
});

test("[REC4] a room whose checkpoints are all damaged is locked away after three attempts; others recover", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const { player: broken } = await threeGenerations(cluster);
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const healthy = await cluster.place({ owner, gateway: other, options: { name: "eve" } });
  await healthy.ask("add", 4);
  await healthy.inSync();
  await cluster.untilSaved(healthy.roomId);
  await cluster.sql(flip, [broken.roomId]);
  const back = comeback(cluster, healthy);
  const lockedAway = cluster.events.next("room:quarantined");
  await owner.kill();
  expect(await back).toMatchObject({ epoch: 2, seats: 1, back: 1 });
  expect((await lockedAway).facts).toMatchObject({ roomId: broken.roomId, epoch: 4 });
  expect((await healthy.inSync()).players[healthy.sessionId]?.score).toBe(4);

  interface Row {
    quarantined: boolean;
    quarantine_reason: string | null;
    failed_opens: number;
    epoch: number;
    owner: string | null;
  }
  const row = await until("the broken room is locked away", async () => {
    const [found] = await cluster.sql<Row>(
      "SELECT quarantined_at IS NOT NULL AS quarantined, quarantine_reason, failed_opens, epoch::integer, owner FROM room WHERE room_id = $1",
      [broken.roomId],
    );
    return found?.quarantined === true && found;
  });
  expect(row).toMatchObject({ failed_opens: 3, epoch: 4, owner: null });
  expect(row.quarantine_reason).toMatch(/SNAPSHOT_UNREADABLE/);
  // What is left of it is kept for whoever comes to look.
  expect(await cluster.newestSeq(broken.roomId)).toBeGreaterThan(0);
  // Its player is told so, once and for all; nobody else gets in, and it never starts empty.
  await until("the player of the broken room is told", () => broken.leftWith === 4002);
  await expect(cluster.joinTo(broken, undefined, { name: "new" })).rejects.toThrow(/not found/);
  expect(cluster.events.of("room:restored").filter(({ facts }) => facts.roomId === broken.roomId)).toEqual(
    [],
  );
  await healthy.untilTicking();
  await expectOneOwner(cluster, healthy, 2);
  expect(healthy.drops).toBe(0);
  // The node that tried is as good as before.
  const fresh = await Player.create(cluster.client(other), "quiet", { name: "fresh" });
  expect(await fresh.ask("add", 1)).toBe(1);
});
