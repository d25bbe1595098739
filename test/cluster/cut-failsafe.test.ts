// The network to Postgres is gone for every node: play goes on, as long as all of them know that it is gone for all. Where
// one of them is left that could take rooms over, the others stand still before it does.

import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { TestNetwork, toAndFro, whyNoNetwork } from "../kit/network.ts";
import type { Player } from "../kit/player.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectOneVoice, Witness } from "../kit/witness.ts";
import { expectOneWriter, logWrites } from "../kit/write-log.ts";

const missing = whyNoNetwork();
if (missing !== undefined) console.warn(`cut-failsafe.test.ts is skipped: ${missing}`);
const networkTest = test.skipIf(missing !== undefined);

const LEASE_MS = 1_500;
const TICK_MS = 50;
const FENCED = 75;
const NODES = ["node-a", "node-b", "node-c"];
const POSTGRES = ["postgres"];

let network: TestNetwork;
let cluster: TestCluster;

beforeAll(async () => {
  if (missing !== undefined) return;
  const stores = { databaseUrl: inject("databaseUrl"), redisUrl: inject("redisUrl") };
  network = await TestNetwork.open(stores);
  cluster = await startCluster({
    game: "kit/witness-game.ts",
    network,
    stores,
    env: {
      LEASE_MS: String(LEASE_MS),
      LEASE_RENEW_MS: "150",
      LEASE_MARGIN_MS: "100",
      STORE_MS: "1000",
      CHECKPOINT_MS: "100",
    },
  });
  await logWrites(cluster);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

/** A room on each node, with a player in each who came in through node-b. */
async function play(): Promise<Record<"a" | "b" | "c", Witness>> {
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const places = [a, b, c].map(async (owner) => new Witness(await cluster.place({ owner, gateway: b })));
  const [inA, inB, inC] = (await Promise.all(places)) as [Witness, Witness, Witness]; // as many as nodes
  for (const { player } of [inA, inB, inC]) {
    await player.ask("add", 5);
    await cluster.untilSaved(player.roomId);
  }
  return { a: inA, b: inB, c: inC };
}

/** Waits until so many leases of play have passed, by the room's own count. */
async function untilPlayed(leases: number, ...players: readonly Player[]): Promise<void> {
  const from = players.map(({ tick }) => tick);
  await until(
    `${leases} leases of play`,
    () => players.every(({ tick }, index) => tick > (from[index] ?? 0) + (leases * LEASE_MS) / TICK_MS),
    { seen: () => players.map(({ tick }, index) => tick - (from[index] ?? 0)) },
  );
}

const eachHears = (
  name: "failsafe:entered" | "failsafe:left" | "lease:lapsed" | "lease:regained",
  nodeIds: readonly string[] = NODES,
): Promise<unknown> =>
  Promise.all(nodeIds.map((nodeId) => cluster.events.next(name, (_facts, from) => from === nodeId)));

/**
 * That their rooms are where they were, with all that the players have had.
 *
 * @param relinked those whose gateway did not hear of the owner for a lease: it presents their seat anew, on the same socket
 */
async function expectNothingMoved(witnesses: readonly Witness[], relinked?: Witness): Promise<void> {
  for (const witness of witnesses) {
    const { player } = witness;
    await player.untilTicking();
    const seen = await player.inSync();
    const reconnects = witness === relinked ? (seen.calls[player.sessionId]?.reconnects ?? 0) : 0;
    expect(reconnects).toBeLessThanOrEqual(1);
    expect(seen.calls[player.sessionId]).toEqual({ joins: 1, reconnects, leaves: 0 });
    player.expectUndisturbed();
    expect(expectOneVoice(witness)).toHaveLength(1);
    await expectOneOwner(cluster, player, 1);
    await cluster.untilSaved(player.roomId);
    expect(await expectOneWriter(cluster, player.roomId)).toHaveProperty("size", 1);
  }
  expect(cluster.nodes).toHaveLength(3);
}

networkTest("[OWN7] [OWN6] nobody reaches Postgres: play goes on for leases, and nothing moves", async () => {
  const { a, b, c } = await play();
  const lapses = cluster.events.of("lease:lapsed").length;
  const entered = eachHears("failsafe:entered");
  await using fault = await network.cut(NODES.flatMap((nodeId) => toAndFro(nodeId, POSTGRES)));
  await entered;
  await untilPlayed(3, a.player, b.player, c.player);
  for (const { player } of [a, b, c]) expect(await player.ask("add", 1)).toBe(6);
  expect(await fault.bites(), "packets lost").toBeGreaterThan(0);
  const left = eachHears("failsafe:left");
  await fault.heal();
  await left;
  await expectNothingMoved([a, b, c]);
  expect(cluster.events.of("lease:lapsed")).toHaveLength(lapses);
  for (const { player } of [a, b, c]) await player.room.leave();
});

networkTest(
  "[OWN7] [OWN4] nobody reaches Postgres, and one node nobody else: all stand still, and go on where they were",
  async () => {
    const { a, b, c } = await play();
    const lapsed = eachHears("lease:lapsed");
    await using between = await network.cut(toAndFro("node-a", ["node-b", "node-c"]));
    await using fault = await network.cut(NODES.flatMap((nodeId) => toAndFro(nodeId, POSTGRES)));
    await lapsed;
    const stillAt = Date.now();
    const regained = eachHears("lease:regained");
    // The others are whole again, but it is too late to ask: somebody could have taken rooms over meanwhile.
    await between.heal();
    for (const each of [between, fault]) expect(await each.bites(), "packets lost").toBeGreaterThan(0);
    const healedAt = Date.now();
    await fault.heal();
    await regained;
    for (const witness of [a, b, c]) {
      // 100 ms for what was on its way when the lease was over.
      const said = witness.heard.filter(({ at }) => at > stillAt + 100 && at < healedAt);
      expect(said, "what was said without a lease").toEqual([]);
    }
    await expectNothingMoved([a, b, c], a);
    for (const { player } of [a, b, c]) await player.room.leave();
  },
);

networkTest.each([
  ["Postgres is back for one node alone", false],
  ["the one node that still reaches it is cut off from the others", true],
] as const)(
  "[OWN7] [OWN2] [OWN4] %s: it takes the others' rooms, when they stand still",
  async (_what, isApart) => {
    const { a, b, c } = await play();
    const heir = cluster.node("node-b");
    // Who came in through a node that is cut off hears it as long as it speaks.
    const near = new Witness(await cluster.joinTo(a.player, cluster.node("node-a"), { name: "bob" }));
    await near.player.ask("add", 5);
    await cluster.untilSaved(a.player.roomId);
    const cutOff: TestNode[] = [cluster.node("node-a"), cluster.node("node-c")];
    const lost = cutOff.map(({ nodeId }) =>
      cluster.events.next("node:lost", ({ lostNodeId }) => lostNodeId === nodeId),
    );
    const restored = [a, c].map(({ player: { roomId } }) =>
      cluster.events.next("room:restored", (facts) => facts.roomId === roomId),
    );
    const apart = isApart ? toAndFro("node-b", ["node-a", "node-c"]) : [];
    const entered = eachHears("failsafe:entered", isApart ? [] : NODES);
    await using fault = await network.cut([
      ...cutOff.flatMap(({ nodeId }) => toAndFro(nodeId, POSTGRES)),
      ...apart,
    ]);
    await using heirs = await network.cut(isApart ? [] : toAndFro("node-b", POSTGRES));
    await entered; // by their promises they go on
    if (!isApart) await untilPlayed(2, a.player, b.player, c.player);
    await heirs.heal();
    for (const each of lost) expect((await each).facts.reason).toBe("lapsed");
    for (const each of restored) expect(await each).toMatchObject({ nodeId: "node-b", facts: { epoch: 2 } });
    for (const { player } of [a, c]) {
      await until(
        "the player is on the node that is left",
        async () => (await player.facts()).pid === heir.pid,
      );
      await player.untilTicking();
    }
    expect(await fault.bites(), "packets lost").toBeGreaterThan(0);
    await fault.heal();
    for (const node of cutOff) expect(await node.exited).toBe(FENCED);
    await until("who came in through it is back", async () => (await near.player.facts()).pid === heir.pid);
    for (const { player } of [a, c, near]) {
      const seen = await player.inSync();
      expect(seen.players[player.sessionId]?.score).toBe(5);
      expect(seen.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
      await cluster.untilSaved(player.roomId);
      expect(await expectOneWriter(cluster, player.roomId)).toHaveProperty("size", 2);
      await expectOneOwner(cluster, player, 2);
    }
    expect(expectOneVoice(a, near)).toHaveLength(2);
    expect(expectOneVoice(c)).toHaveLength(2);
    b.player.expectUndisturbed();
    expect(expectOneVoice(b)).toHaveLength(1);
    await expectOneOwner(cluster, b.player, 1);

    const seen = NODES.map((nodeId) =>
      cluster.events.next("view:changed", ({ nodes }, from) => from === nodeId && nodes.length === 3),
    );
    await Promise.all(cutOff.map(({ nodeId }) => cluster.add(nodeId)));
    await Promise.all(seen);
    await cluster.untilLive();
    for (const { player } of [a, near, b, c]) await player.room.leave();
  },
);
