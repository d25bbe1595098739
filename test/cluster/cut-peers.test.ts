// A room's owner is cut off from the other nodes, or from Redis, while it reaches Postgres. Nothing is wrong with it then:
// nobody may call it dead, and nothing may move.

import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { into, outOf, TestNetwork, toAndFro, whyNoNetwork, type Fault } from "../kit/network.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectNoAlarm, expectOneVoice, Witness } from "../kit/witness.ts";

const missing = whyNoNetwork();
if (missing !== undefined) console.warn(`cut-peers.test.ts is skipped: ${missing}`);
const networkTest = test.skipIf(missing !== undefined);

const LEASE_MS = 1_500;
const TICK_MS = 50;

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
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

const OWNER = "node-a";
const PEERS = ["node-b", "node-c"];

interface Cut {
  readonly make: () => Promise<Fault>;
  /** Whether those who came in through another node hear nothing of the room meanwhile. */
  readonly isBetween: boolean;
}

const CUTS: Record<string, Cut> = {
  "from its peers": { make: () => network.cut(toAndFro(OWNER, PEERS)), isBetween: true },
  "from its peers, which do not hear it": {
    make: () => network.cut(outOf(OWNER, PEERS)),
    isBetween: true,
  },
  "from its peers, which it does not hear": {
    make: () => network.cut(into(OWNER, PEERS)),
    isBetween: true,
  },
  "from its peers by a firewall that says so": {
    make: () => network.cut(toAndFro(OWNER, PEERS), "reject"),
    isBetween: true,
  },
  "from Redis": { make: () => network.cut(toAndFro(OWNER, ["redis"])), isBetween: false },
  "from Redis, which does not hear it": {
    make: () => network.cut(outOf(OWNER, ["redis"])),
    isBetween: false,
  },
  "from Redis, which it does not hear": {
    make: () => network.cut(into(OWNER, ["redis"])),
    isBetween: false,
  },
};

networkTest.for(Object.keys(CUTS))(
  "[OWN5] [OWN6] an owner cut off %s for two leases: nobody calls it dead, and nothing moves",
  async (how) => {
    const { make, isBetween } = CUTS[how] as Cut; // how is one of its keys
    const [owner, gateway, other] = [cluster.node(OWNER), cluster.node("node-b"), cluster.node("node-c")];
    const near = new Witness(await cluster.place({ owner, gateway: owner }));
    const remote = new Witness(await cluster.joinTo(near.player, gateway, { name: "bob" }));
    const bystander = new Witness(await cluster.place({ owner: gateway, gateway: other }));
    for (const { player } of [near, remote, bystander]) await player.ask("add", 7);
    await remote.player.inSync();

    const cutAt = Date.now();
    await using fault = await make();
    const from = near.player.tick;
    // Two leases, by the room's own count: it plays on all the while.
    await until("two leases of play", () => near.player.tick > from + (2 * LEASE_MS) / TICK_MS, {
      seen: () => ({ from, tick: near.player.tick }),
    });
    expect(await near.player.ask("add", 1)).toBe(8);
    expect(await fault.bites(), "packets lost").toBeGreaterThan(0);
    if (isBetween) {
      const late = remote.heard.filter(({ heardAt }) => heardAt > cutAt + LEASE_MS);
      expect(late, "what those at another node hear of the room").toEqual([]);
    } else {
      expect(await remote.player.ask("add", 1)).toBe(8);
    }
    const healedAt = Date.now();
    await fault.heal();

    for (const { player } of [near, remote, bystander]) await player.untilTicking();
    // Connections that were cut unseen are good again, or were replaced; the seat is the same.
    await until(
      "the other node's player is heard again",
      async () => (await remote.player.ask("add", 1)) !== 0,
    );
    const after = await remote.player.inSync();
    for (const { player } of [near, remote]) {
      expect(after.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
    }
    expect(after.players[near.player.sessionId]?.score).toBe(8);
    near.player.expectUndisturbed();
    remote.player.expectUndisturbed(); // whose gateway has ended the half open link and made a new one
    bystander.player.expectUndisturbed();
    expect(near.silenceMs(cutAt), "the longest pause in the room's play").toBeLessThan(LEASE_MS);
    expect(healedAt - cutAt).toBeGreaterThan(LEASE_MS);
    expectOneVoice(near, remote);
    expect(await expectOneOwner(cluster, near.player, 1)).toBe(owner);
    expect(await expectOneOwner(cluster, bystander.player, 1)).toBe(gateway);
    expectNoAlarm(cluster, near, remote, bystander);
    expect(cluster.events.of("postgres:lost")).toEqual([]);
    for (const { player } of [near, remote, bystander]) await player.room.leave();
  },
);

networkTest.each(["drop", "reject"] as const)(
  "[OWN3] [OWN6] a node that starts and cannot reach an owner (%s) does not call it dead",
  async (how) => {
    const newcomer = "node-d";
    const [owner, other] = [cluster.node(OWNER), cluster.node("node-b")];
    const player = new Witness(await cluster.place({ owner, gateway: owner }));
    const bystander = new Witness(await cluster.place({ owner: other, gateway: other }));
    await network.house(newcomer, { databaseUrl: cluster.databaseUrl, redisUrl: inject("redisUrl") });
    await using fault = await network.cut(toAndFro(newcomer, [OWNER]), how);
    const added = await cluster.add(newcomer);
    await until("it has tried to reach the owner", async () => (await fault.bites()) > 0);
    const from = player.player.tick;
    await until("two leases of play", () => player.player.tick > from + (2 * LEASE_MS) / TICK_MS);
    // It counts, and so does the owner, to everybody.
    for (const node of cluster.nodes) {
      const { nodes } = await cluster.report(node);
      expect(nodes.filter(({ state }) => state === "up").map(({ nodeId }) => nodeId)).toEqual(
        expect.arrayContaining([...PEERS, OWNER, newcomer]),
      );
    }
    await fault.heal();
    expect(await added.drain()).toBe(0);
    for (const witness of [player, bystander]) {
      witness.player.expectUndisturbed();
      await expectOneOwner(cluster, witness.player, 1);
    }
    expectNoAlarm(cluster, player, bystander);
    for (const { player: each } of [player, bystander]) await each.room.leave();
  },
);
