// SIGTERM: a node that leaves on purpose loses nothing, however long ago the last checkpoint was.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";

// No checkpoint by itself within any test: what comes back was saved by the drain.
const GAME = { game: "kit/probe-game.ts", env: { CHECKPOINT_MS: "600000" } };

test("[MOVE1] [CKP1] a drained owner's rooms move with their very last change, and it exits with 0", async () => {
  await using cluster = await startCluster(GAME);
  const [owner, gateway, other] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const player = await cluster.place({ owner, gateway });
  const local = await cluster.joinTo(player, owner, { name: "bob" });
  const quiet = await cluster.place({ owner, gateway, room: "quiet", options: { name: "cyd" } });
  const bystander = await cluster.place({ owner: other, gateway: other });
  await player.ask("medal", "first");
  await quiet.ask("secret", 99);
  const before = await player.inSync();
  expect(await player.ask("add", 77)).toBe(77); // and nothing between this and the signal
  const backs = [comeback(cluster, player), comeback(cluster, quiet)];
  expect(await owner.drain()).toBe(0);
  expect(cluster.events.of("node:drained").at(-1)?.facts).toMatchObject({ left: 0 });
  expect(await backs[0]).toMatchObject({ epoch: 2, fromEpoch: 1, seats: 2, back: 2 });
  expect(await backs[1]).toMatchObject({ epoch: 2, fromEpoch: 1, seats: 1, back: 1 });

  const after = await player.inSync();
  await local.inSync();
  expect(after.tick).toBeGreaterThanOrEqual(before.tick);
  expect(after.players[player.sessionId]).toMatchObject({ score: 77, medals: [{ name: "first" }] });
  expect(after.players[local.sessionId]).toMatchObject({ joinedAs: "bob" });
  for (const { sessionId } of [player, local]) {
    expect(after.calls[sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  }
  expect((await quiet.facts()).secrets).toEqual({ [quiet.sessionId]: 99 });
  await expectOneOwner(cluster, player, 2);
  await expectOneOwner(cluster, quiet, 2);
  for (const each of [player, quiet]) each.expectUndisturbed();
  expect(local.drops, "whose connection ended at the node that left").toBe(1);
  bystander.expectUndisturbed();
  expect(await expectOneOwner(cluster, bystander, 1)).toBe(other);
  expect(cluster.events.of("node:lost"), "nobody had to find out").toEqual([]);
});

test("[MOVE1] [REC5] the last node drains, and what it had is there when one starts again", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 1 });
  const last = cluster.node("node-a");
  const player = await cluster.place({ owner: last, gateway: last });
  const quiet = await cluster.place({ owner: last, gateway: last, room: "quiet" });
  await player.inSync();
  expect(await player.ask("add", 21)).toBe(21);
  expect(await quiet.ask("add", 22)).toBe(22);
  const backs = [comeback(cluster, player), comeback(cluster, quiet)];
  expect(await last.drain()).toBe(0);
  await cluster.add("node-a");
  for (const [index, each] of [player, quiet].entries()) {
    expect(await backs[index]).toMatchObject({ epoch: 2, seats: 1, back: 1 });
    const after = await each.inSync();
    expect(after.players[each.sessionId]).toMatchObject({ score: 21 + index });
    expect(after.calls[each.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
    await expectOneOwner(cluster, each, 2);
  }
});

test("[MOVE1] one node after another drains and starts again: the match goes on through all of it", async () => {
  await using cluster = await startCluster(GAME);
  const player = await cluster.place({ gateway: cluster.node("node-b") });
  let { tick } = await player.inSync();
  for (const [index, nodeId] of ["node-a", "node-b", "node-c"].entries()) {
    expect(await player.ask("add", 1)).toBe(index + 1);
    const ready = cluster.nodes.length;
    expect(await cluster.node(nodeId).drain()).toBe(0);
    const after = await player.inSync();
    expect(after.tick).toBeGreaterThanOrEqual(tick);
    expect(after.players[player.sessionId]?.score).toBe(index + 1);
    expect(after.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
    tick = after.tick;
    const seen = cluster.nodes.map((node) =>
      cluster.events.next(
        "view:changed",
        ({ nodes }, from) => from === node.nodeId && nodes.length === ready,
      ),
    );
    await cluster.add(nodeId);
    await Promise.all(seen);
  }
  await expectOneOwner(cluster, player, (await cluster.room(player.roomId)).epoch);
});
