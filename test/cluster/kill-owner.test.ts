// kill -9 of the node that owns a room.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";

test("[REC1] a killed owner's room is restored on another node and its player is back", async () => {
  await using cluster = await startCluster();
  const room = await cluster.client().joinOrCreate("arena", { name: "ada" });
  room.reconnection.minUptime = 0;
  await cluster.untilSaved(room.roomId);
  const owner = await cluster.ownerOf(room.roomId);
  const restored = cluster.events.next("room:restored", (facts) => facts.roomId === room.roomId);
  const settled = cluster.events.next("room:settled", (facts) => facts.roomId === room.roomId);
  await owner.kill();
  expect((await restored).nodeId).not.toBe(owner.nodeId);
  expect((await settled).facts).toMatchObject({ seats: 1, back: 1 });
  await room.leave();
});
