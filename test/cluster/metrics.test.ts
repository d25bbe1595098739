// GET /metrics of real nodes: before a kill, and after it.

import { expect, test } from "vitest";
import { startCluster, type TestNode } from "../kit/cluster.ts";
import { Exposition } from "../kit/exposition.ts";
import { comeback } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

async function scrape(node: TestNode): Promise<Exposition> {
  const answer = await fetch(`http://127.0.0.1:${node.managementPort}/metrics`);
  expect(answer.status).toBe(200);
  return new Exposition(await answer.text());
}

test("[CKP6] [REC1] a node's metrics and the report tell of what would be lost, and of a kill that it took over from", async () => {
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 2,
    env: { CHECKPOINT_MS: "300" },
  });
  const [owner, heir] = [cluster.node("node-a"), cluster.node("node-b")];
  const empty = await cluster.report();
  expect(empty.rpo).toEqual({ oldestMs: 0, p99Ms: 0 });

  const player = await cluster.place({ owner, gateway: heir });
  await player.ask("add", 3);
  await cluster.untilSaved(player.roomId);
  const saved = await scrape(owner);
  expect(saved.get("ringside_rooms")).toBe(1);
  expect(saved.get("ringside_players")).toBe(1);
  expect(saved.get("ringside_lease_left_seconds")).toBeGreaterThan(0);
  expect(saved.get("ringside_checkpoints_saved_total")).toBeGreaterThanOrEqual(1);
  expect(saved.get("ringside_checkpoint_stored_bytes_total")).toBeGreaterThan(0);
  expect(saved.get("ringside_checkpoint_save_seconds_count")).toBeGreaterThanOrEqual(1);
  expect(saved.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);

  // The room ticks, so there is something unsaved nearly always; both ways of asking say so.
  const live = await until("something unsaved", async () => {
    const { rpo, rooms } = await cluster.report(heir);
    return rpo.oldestMs > 0 && { rpo, rooms };
  });
  const ages = live.rooms.map(({ rpoMs }) => rpoMs);
  expect(live.rpo).toEqual({ oldestMs: Math.max(...ages), p99Ms: Math.max(...ages) });
  await until(
    "the owner's own gauge",
    async () => (await scrape(owner)).get("ringside_rpo_oldest_seconds") > 0,
  );
  expect((await scrape(heir)).get("ringside_rpo_oldest_seconds"), "of its own rooms only").toBe(0);

  const before = await scrape(heir);
  expect(before.get("ringside_room_restore_seconds_count", { why: "recovery" })).toBe(0);
  const back = comeback(cluster, player);
  await owner.kill();
  expect(await back).toMatchObject({ nodeId: heir.nodeId, seats: 1, back: 1 });

  const after = await scrape(heir);
  const restores = ["recovery", "demand"].map((why) =>
    after.get("ringside_room_restore_seconds_count", { why }),
  );
  expect(restores[0]! + restores[1]!, "the room, by whichever way it was opened first").toBe(1);
  expect(after.get("ringside_seat_reclaimed_seconds_count")).toBe(1);
  const reclaimed = cluster.events.of("seat:reclaimed").map(({ facts }) => facts.afterMs);
  expect(after.get("ringside_seat_reclaimed_seconds_sum")).toBeCloseTo(reclaimed[0]! / 1_000, 6);
  expect(after.get("ringside_node_lost_silence_seconds_count", { reason: "refused" })).toBe(1);
  expect(after.get("ringside_rooms")).toBe(1);
  expect(after.get("ringside_players")).toBe(1);
  expect(after.get("ringside_seats_awaited")).toBe(0);
  await until(
    "the room is saved from its new owner",
    async () =>
      (await scrape(heir)).get("ringside_checkpoints_saved_total") >
      before.get("ringside_checkpoints_saved_total"),
  );
});
