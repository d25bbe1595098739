// Players who have only just joined when something ends that their connection hangs on. The stock SDK does not come back to a
// room that it has been in for less than 5 s, so here it keeps its own settings.

import type { Room } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { until } from "../kit/until.ts";

/** The SDK's own. */
const MIN_UPTIME_MS = 5_000;

function asStock(player: Player): Player {
  player.room.reconnection.minUptime = MIN_UPTIME_MS;
  return player;
}

test("[MOVE1] [GATE4] who has just joined through a node that leaves is not lost to their room, whoever owns it", async () => {
  await using cluster = await startCluster({ game: "kit/probe-game.ts", env: { CHECKPOINT_MS: "600000" } });
  const [leaving, owner] = [cluster.node("node-a"), cluster.node("node-b")];
  const old = await cluster.place({ owner, gateway: leaving });
  const moving = await cluster.place({ owner: leaving, gateway: owner });
  const elsewhere = asStock(await cluster.joinTo(old, leaving, { name: "bob" }));
  const here = asStock(await cluster.joinTo(moving, leaving, { name: "cyd" }));
  const joinedAt = Date.now();
  expect(await here.ask("add", 5)).toBe(5);
  const exited = leaving.drain();
  await until("both are back", () => elsewhere.drops === 1 && here.drops === 1, { ms: 30_000 });
  expect(Date.now() - joinedAt).toBeGreaterThan(MIN_UPTIME_MS - 500);
  expect(await exited).toBe(0);
  for (const player of [elsewhere, here]) {
    expect(await player.inSync()).toMatchObject({ calls: { [player.sessionId]: { joins: 1, leaves: 0 } } });
    expect(player.leftWith).toBeUndefined();
  }
  expect((await here.inSync()).players[here.sessionId]?.score).toBe(5);
});

test("[GATE4] who has just joined a room of inputs comes back when its owner dies", async () => {
  await using cluster = await startCluster({ game: "kit/inputs-game.ts", env: { CHECKPOINT_MS: "200" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const client = await cluster.clientVia(gateway);
  let room: Room | undefined;
  while (room === undefined) {
    const made: Room = await client.create("walk");
    if ((await cluster.ownerOf(made.roomId)) === owner) room = made;
    else await made.leave();
  }
  const { roomId } = room;
  let [returns, leftWith]: [number, number | undefined] = [0, undefined];
  room.onReconnect(() => void (returns += 1));
  room.onLeave((code) => (leftWith = code));
  room.onError(() => {}); // follows a close
  await owner.kill();
  await until("the player is back, or lost", () => returns === 1 || leftWith !== undefined, { ms: 30_000 });
  expect({ returns, leftWith }).toEqual({ returns: 1, leftWith: undefined });
  const { tick } = room.state as { tick: number };
  await until("the world goes on", () => (room.state as { tick: number }).tick > tick);
  expect(await cluster.ownerOf(roomId)).not.toBe(owner);
});
