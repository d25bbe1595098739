// kill -9: of the node that owns a room, of the node that holds its player's socket, of both, of all.

import { expect, test } from "vitest";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import type { Player, Seen } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/probe-game.ts", env: { CHECKPOINT_MS: "300" } };

/** Gives the player something to lose, and waits until it is saved. @returns what is saved at least */
async function earn(cluster: TestCluster, player: Player, points: number): Promise<Seen> {
  await player.ask("add", points);
  await player.ask("medal", `for ${points}`);
  await player.ask("tag", `tag ${points}`);
  const seen = await player.inSync();
  await cluster.untilSaved(player.roomId);
  return seen;
}

test("[REC1] [REC2] [REC3] [SEAT2] [GATE4] a killed owner's room goes on elsewhere from its newest checkpoint", async () => {
  const leaseMs = 8_000;
  await using cluster = await startCluster({ ...GAME, env: { ...GAME.env, LEASE_MS: String(leaseMs) } });
  const [owner, gateway, bystanderNode] = [
    cluster.node("node-a"),
    cluster.node("node-b"),
    cluster.node("node-c"),
  ];
  const player = await cluster.place({ owner, gateway });
  const friend = await cluster.joinTo(player, bystanderNode, { name: "bob" });
  const bystander = await cluster.place({ owner: bystanderNode, gateway });
  await earn(cluster, friend, 7);
  const before = await earn(cluster, player, 30);

  const back = comeback(cluster, player);
  const lost = cluster.events.next("node:lost", ({ lostNodeId }) => lostNodeId === owner.nodeId);
  const killedAt = Date.now();
  await owner.kill();
  const savedSeq = await cluster.newestSeq(player.roomId);
  const { facts: loss, at: noticedAt } = await lost;
  expect(loss.reason).toBe("refused");
  expect(noticedAt - killedAt, "ms until the death was noticed").toBeLessThan(leaseMs / 2);

  const { epoch, fromEpoch, nodeId, checkpointSeq, ...seats } = await back;
  expect({ epoch, fromEpoch }).toEqual({ epoch: 2, fromEpoch: 1 });
  expect(checkpointSeq).toBeGreaterThanOrEqual(savedSeq);
  expect(nodeId).not.toBe(owner.nodeId);
  expect(seats).toMatchObject({ seats: 2, back: 2 });

  const after = await player.inSync();
  await friend.inSync();
  expect(after.tick).toBeGreaterThanOrEqual(before.tick);
  expect(after.players).toEqual(before.players);
  expect(after.players[player.sessionId]).toMatchObject({ score: 30, joinedAs: "ada" });
  expect(after.players[friend.sessionId]).toMatchObject({ score: 7, joinedAs: "bob" });
  expect(after.creates).toBe(1);
  for (const { sessionId } of [player, friend]) {
    expect(after.calls[sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  }
  await player.untilTicking();
  await expectOneOwner(cluster, player, 2);
  // To their SDKs this was a return, without anything to return from.
  for (const each of [player, friend]) {
    expect({ drops: each.drops, returns: each.returns }).toEqual({ drops: 0, returns: 1 });
  }

  bystander.expectUndisturbed();
  expect(await expectOneOwner(cluster, bystander, 1)).toBe(bystanderNode);
});

test("[REC1] a killed owner's room is opened again although nobody asks for it", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, gateway: owner });
  player.room.reconnection.enabled = false; // and so never comes back
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await owner.kill();
  expect((await restored).facts).toMatchObject({ epoch: 2, why: "recovery", seats: 1 });
});

test("[GATE1] [OWN6] a killed gateway costs its players a reconnection and moves no room", async () => {
  await using cluster = await startCluster(GAME);
  const [owner, gateway, other] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const player = await cluster.place({ owner, gateway });
  const neighbour = await cluster.joinTo(player, other, { name: "bob" });
  await player.ask("add", 5);
  await player.inSync();
  await gateway.kill();
  await until("the player is back through another gateway", () => player.returns === 1);
  const after = await player.inSync();
  expect(after.players[player.sessionId]?.score).toBe(5);
  expect(after.calls[player.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  neighbour.expectUndisturbed();
  await neighbour.inSync();
  expect(await expectOneOwner(cluster, player, 1)).toBe(owner);
  expect(cluster.events.of("room:restored")).toEqual([]);
});

test("[REC1] [GATE1] owner and gateway killed at once: the player comes back through the third node", async () => {
  await using cluster = await startCluster(GAME);
  const [owner, gateway, last] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const player = await cluster.place({ owner, gateway });
  const bystander = await cluster.place({ owner: last, gateway: last });
  const before = await earn(cluster, player, 12);
  const back = comeback(cluster, player);
  await Promise.all([owner.kill(), gateway.kill()]);
  expect(await back).toMatchObject({ nodeId: last.nodeId, epoch: 2, seats: 1, back: 1 });
  const after = await player.inSync();
  expect(after.players).toEqual(before.players);
  expect(await expectOneOwner(cluster, player, 2)).toBe(last);
  bystander.expectUndisturbed();
  expect(await expectOneOwner(cluster, bystander, 1)).toBe(last);
});

test("[REC1] [SEAT2] owner and gateway in one process: killed, the player comes back through another", async () => {
  await using cluster = await startCluster(GAME);
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, gateway: owner });
  const before = await earn(cluster, player, 9);
  const back = comeback(cluster, player);
  await owner.kill();
  expect(await back).toMatchObject({ epoch: 2, seats: 1, back: 1 });
  const after = await player.inSync();
  expect(after.players).toEqual(before.players);
  expect(after.calls[player.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  await expectOneOwner(cluster, player, 2);
});

test("[REC1] [REC2] two nodes killed, the second in the middle of the first recovery: all ends on the last", async () => {
  await using cluster = await startCluster(GAME);
  const [first, second, last] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const players = [
    await cluster.place({ owner: first, gateway: second }),
    await cluster.place({ owner: first, gateway: last }),
    await cluster.place({ owner: second, gateway: first }),
    await cluster.place({ owner: last, gateway: last }),
  ];
  for (const [index, player] of players.entries()) await earn(cluster, player, 100 + index);
  const firstOpened = cluster.events.next("room:restored");
  await first.kill();
  await firstOpened; // the others may be half open
  await second.kill();

  for (const [index, player] of players.entries()) {
    await until(`player ${index} is on ${last.nodeId}`, async () => (await player.facts()).pid === last.pid);
    const after = await player.inSync();
    expect(after.players[player.sessionId]).toMatchObject({ score: 100 + index });
    expect(after.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
    // An epoch for each claim: the second node may have claimed the first one's rooms before it died.
    const { epoch } = await cluster.room(player.roomId);
    expect([[2, 3], [2, 3], [2], [1]][index], `player ${index}`).toContain(epoch);
    await expectOneOwner(cluster, player, epoch);
  }
  players[3]?.expectUndisturbed();
});

test("[REC5] [SEAT2] every node killed and started again: the rooms are there, and their players return", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const names = cluster.nodes.map(({ nodeId }) => nodeId);
  const players = [
    await cluster.place({ owner: cluster.node("node-a"), gateway: cluster.node("node-b") }),
    await cluster.place({ owner: cluster.node("node-b"), gateway: cluster.node("node-b") }),
  ];
  for (const [index, player] of players.entries()) await earn(cluster, player, 40 + index);
  const backs = players.map((player) => comeback(cluster, player));
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(names.map((nodeId) => cluster.add(nodeId)));
  for (const [index, player] of players.entries()) {
    expect(await backs[index]).toMatchObject({ epoch: 2, seats: 1, back: 1 });
    const after = await player.inSync();
    expect(after.players[player.sessionId]).toMatchObject({ score: 40 + index });
    expect(after.calls[player.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
    await expectOneOwner(cluster, player, 2);
  }
});
