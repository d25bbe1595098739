// The README's room, as it stands there.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { until } from "../kit/until.ts";

interface Counter {
  readonly total: number;
  readonly players: Map<string, { readonly name: string; readonly clicks: number }>;
}

test("[REC1] [SEAT2] the example counts on where it was after its node was killed", async () => {
  await using cluster = await startCluster({
    nodes: 2,
    game: "../examples/counter.ts",
    env: { CHECKPOINT_MS: "200" },
  });
  const room = await cluster.client().joinOrCreate<Counter>("counter", { name: "ada" });
  room.reconnection.minUptime = 0;
  for (let click = 0; click < 3; click++) room.send("click");
  await until("three clicks", () => room.state.total === 3);
  await until("they are saved", async () => (await cluster.room(room.roomId)).rpoMs === 0);

  const settled = cluster.events.next("room:settled");
  const owner = await cluster.ownerOf(room.roomId);
  await owner.kill();
  await settled;
  room.send("click");
  await until("a fourth", () => room.state.total === 4);
  expect(room.state.players.get(room.sessionId)).toMatchObject({ name: "ada", clicks: 4 });
  await room.leave();
});
