// A room's owner is cut off from what it needs to be one: from Postgres, or from everything, both ways or one. Its rooms
// go on elsewhere, and what it believes meanwhile reaches nobody.

import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { into, outOf, TestNetwork, toAndFro, whyNoNetwork, type Fault } from "../kit/network.ts";
import type { Player } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectOneVoice, Witness } from "../kit/witness.ts";
import { expectOneWriter, logWrites } from "../kit/write-log.ts";

const missing = whyNoNetwork();
if (missing !== undefined) console.warn(`cut-owner.test.ts is skipped: ${missing}`);
const networkTest = test.skipIf(missing !== undefined);

const NODES = ["node-a", "node-b", "node-c"];
const FENCED = 75;
const ENV = {
  LEASE_MS: "1500",
  LEASE_RENEW_MS: "150",
  LEASE_MARGIN_MS: "100",
  STORE_MS: "1000",
  CHECKPOINT_MS: "100",
};

/** One network and one cluster for all the cuts: a node that was fenced comes back, and is cut off otherwise. */
let network: TestNetwork;
let cluster: TestCluster;

beforeAll(async () => {
  if (missing !== undefined) return;
  const stores = { databaseUrl: inject("databaseUrl"), redisUrl: inject("redisUrl") };
  network = await TestNetwork.open(stores);
  cluster = await startCluster({ game: "kit/witness-game.ts", network, stores, env: ENV });
  await logWrites(cluster);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

interface Cut {
  readonly make: (owner: TestNode) => Promise<Fault>;
  /**
   * Whether those who came in through the owner itself are sent elsewhere while it lasts: by a load balancer that finds it
   * silent, or by the owner, whom its peers have told that it does not count any more.
   */
  readonly isSeen: boolean;
  /** Whether what the owner had said to Postgres in its last moments arrives in the end. */
  readonly isLate: boolean;
}

const CUTS: Record<string, Cut> = {
  "from Postgres": {
    make: ({ nodeId }) => network.cut(toAndFro(nodeId, ["postgres"])),
    isSeen: true,
    isLate: true,
  },
  "from Postgres, which hears nothing of it": {
    make: ({ nodeId }) => network.cut(outOf(nodeId, ["postgres"])),
    isSeen: true,
    isLate: true,
  },
  "from Postgres, whose answers are lost": {
    make: ({ nodeId }) => network.cut(into(nodeId, ["postgres"])),
    isSeen: true,
    isLate: false,
  },
  "from everything": {
    make: ({ nodeId }) => network.cut(toAndFro(nodeId, network.others(nodeId))),
    isSeen: true,
    isLate: true,
  },
  "from everybody who would hear it": {
    make: ({ nodeId }) => network.cut(outOf(nodeId, network.others(nodeId))),
    isSeen: true,
    isLate: true,
  },
  "from everybody it would hear": {
    make: ({ nodeId }) => network.cut(into(nodeId, network.others(nodeId))),
    isSeen: true,
    isLate: false,
  },
  // The worst of all: its own players hear it, and nobody can tell it anything.
  "from everything but its players": {
    make: ({ nodeId }) => network.cut(toAndFro(nodeId, network.others(nodeId, "players"))),
    isSeen: false,
    isLate: true,
  },
  "by its cable": { make: ({ nodeId }) => network.unplug(nodeId), isSeen: true, isLate: true },
};

networkTest.for(Object.keys(CUTS).map((how, round) => [how, round] as const))(
  "[OWN2] [OWN3] [OWN4] [OWN6] an owner cut off %s: its rooms go on elsewhere, and it says and writes nothing more",
  async ([how, round]) => {
    const { make, isSeen, isLate } = CUTS[how] as Cut; // how is one of its keys
    await allCount();
    const [owner, gateway] = round % 2 === 0 ? nodes("node-a", "node-b") : nodes("node-b", "node-a");
    const bystanders = cluster.node("node-c");
    const remote = new Witness(await cluster.place({ owner, gateway }));
    const near = new Witness(await cluster.joinTo(remote.player, owner, { name: "bob" }));
    const bystander = new Witness(await cluster.place({ owner: bystanders, gateway: bystanders }));
    const { roomId } = remote.player;
    await remote.player.ask("add", 30);
    await near.player.ask("add", 4);
    await near.player.inSync();
    const before = await remote.player.inSync();
    await cluster.untilSaved(roomId);

    const lost = cluster.events.next("node:lost", ({ lostNodeId }) => lostNodeId === owner.nodeId);
    const restored = cluster.events.next("room:restored", (facts) => facts.roomId === roomId);
    const back = comeback(cluster, remote.player);
    const cutAt = Date.now();
    await using fault = await make(owner);
    expect((await lost).facts.reason).toBe("lapsed");
    expect((await restored).facts).toMatchObject({ fromEpoch: 1, epoch: 2 });

    // Long before anything is healed, they play on.
    const cutOff = isSeen ? [remote, near] : [remote];
    for (const { player } of cutOff) {
      await untilWith(player, owner);
      await player.untilTicking();
    }
    expect(await fault.bites(), "packets lost").toBeGreaterThan(0);
    const healedAt = Date.now();
    await fault.heal();
    expect(await owner.exited).toBe(FENCED);
    await untilWith(near.player, owner);
    expect(await back).toMatchObject({ epoch: 2, seats: 2, back: 2 });

    const after = await remote.player.inSync();
    await near.player.inSync();
    expect(after.players).toEqual(before.players);
    expect(after.tick).toBeGreaterThanOrEqual(before.tick);
    for (const { player } of [remote, near]) {
      expect(after.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
    }
    if (isLate) {
      // Its kernel has kept what it had said to Postgres when it still believed itself to be the owner, and says it now.
      const address = network.address(owner.nodeId);
      const visits = network.postgres.visits.filter(({ from, since }) => from === address && since < cutAt);
      await until("all that the owner had said has arrived", () => visits.every(({ isOver }) => isOver));
      const late = visits.filter(({ lastHeardAt }) => lastHeardAt > healedAt);
      expect(late.length, "connections on which the owner was heard too late").toBeGreaterThan(0);
    }
    await cluster.untilSaved(roomId);
    const writers = await expectOneWriter(cluster, roomId);
    expect(writers.get(1)).toBe(owner.nodeId);
    expect(writers.get(2)).not.toBe(owner.nodeId);
    expect(expectOneVoice(remote, near)).toHaveLength(2);
    await expectOneOwner(cluster, remote.player, 2);

    await allCount();
    remote.player.expectUndisturbed(); // whose socket is at a gateway, which finds the new owner
    bystander.player.expectUndisturbed();
    expectOneVoice(bystander);
    expect(await expectOneOwner(cluster, bystander.player, 1)).toBe(bystanders);
    for (const { player } of [remote, near, bystander]) await player.room.leave();
  },
);

/** Waits until the player's room is another process's. */
async function untilWith(player: Player, not: TestNode): Promise<void> {
  await until("the player is back in the room", async () => (await player.facts()).pid !== not.pid, {
    seen: () => ({
      drops: player.drops,
      returns: player.returns,
      leftWith: player.leftWith,
      tick: player.ticks.at(-1),
      events: cluster.events.all.filter(({ event }) => event !== "checkpoint:saved").slice(-25),
    }),
  });
}

/** Does what a supervisor does with who has been fenced, and waits until every node has all in its view. */
async function allCount(): Promise<void> {
  const exited = NODES.filter((nodeId) => cluster.node(nodeId).hasExited);
  if (exited.length === 0) return;
  const seen = NODES.map((nodeId) =>
    cluster.events.next("view:changed", ({ nodes: all }, from) => from === nodeId && all.length === 3),
  );
  await Promise.all(exited.map((nodeId) => cluster.add(nodeId)));
  await Promise.all(seen);
  await cluster.untilLive(); // else players who are to come in there would come in elsewhere
}

function nodes(one: string, other: string): [TestNode, TestNode] {
  return [cluster.node(one), cluster.node(other)];
}
