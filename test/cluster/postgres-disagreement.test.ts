// Postgres is there for one node and not for another, or is there and is not the right one: each node has a path of its own.

import { createServer, type AddressInfo } from "node:net";
import { expect, inject, test } from "vitest";
import { startCluster, type ClusterOptions } from "../kit/cluster.ts";
import { FaultProxy } from "../kit/fault-proxy.ts";
import { startPostgresPair } from "../kit/postgres-pair.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";

/** A path to Postgres for each node, by its name, to be cut or held. */
class Paths implements AsyncDisposable {
  readonly #proxies = new Map<string, FaultProxy>();

  readonly network: NonNullable<ClusterOptions["network"]> = {
    house: async (nodeId, { databaseUrl }) => {
      const proxy = await FaultProxy.start(databaseUrl);
      this.#proxies.set(nodeId, proxy);
      const [publicPort, managementPort] = [await freePort(), await freePort()];
      return {
        command: [],
        env: {
          DATABASE_URL: proxy.through(databaseUrl),
          PORT: String(publicPort),
          MANAGEMENT_PORT: String(managementPort),
        },
        publicPort,
        managementPort,
      };
    },
  };

  of(nodeId: string): FaultProxy {
    const proxy = this.#proxies.get(nodeId);
    if (proxy === undefined) throw new Error(`${nodeId} has no path`);
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy[Symbol.asyncDispose]()));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("[OWN7] [OWN4] when one node reaches Postgres the others stand still with their players, and go on where they were", async () => {
  await using paths = new Paths();
  // Between a node's own deadline and Postgres's lies the margin: so long nobody can have taken its rooms.
  const leaseMs = 6_000;
  await using cluster = await startCluster({
    game: GAME,
    network: paths.network,
    env: {
      LEASE_MS: String(leaseMs),
      LEASE_RENEW_MS: "300",
      LEASE_MARGIN_MS: "1500",
      STORE_MS: "1000",
      CHECKPOINT_MS: "200",
    },
  });
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const players = [
    await cluster.place({ owner: a, gateway: c }),
    await cluster.place({ owner: b, gateway: b }),
    await cluster.place({ owner: b, gateway: a }),
  ];
  const bystander = await cluster.place({ owner: c, gateway: c });
  for (const each of players) await each.ask("add", 3);
  for (const each of players) await each.inSync();
  const denials = [a, b].map((node) =>
    cluster.events.next("failsafe:denied", (_facts, from) => from === node.nodeId),
  );
  const lapses = [a, b].map((node) =>
    cluster.events.next("lease:lapsed", (_facts, from) => from === node.nodeId),
  );
  const regains = [a, b].map((node) =>
    cluster.events.next("lease:regained", (_facts, from) => from === node.nodeId),
  );
  for (const { nodeId } of [a, b]) paths.of(nodeId).hold();
  // As soon as one of them stands still its path is mended: it has the margin left.
  const mended = [a, b].map(async ({ nodeId }, index) => {
    const lapsed = await (lapses[index] ?? Promise.reject(new Error("there is no such wait")));
    paths.of(nodeId).resume();
    return lapsed;
  });
  for (const each of await Promise.all(denials)) expect(each.facts.why).toBe("a peer reaches Postgres");
  const lapsed = await Promise.all(mended);
  const answers = players.map((each) => each.ask<number>("add", 1));
  const regained = await Promise.all(regains);
  for (const { nodeId } of [a, b]) expect(paths.of(nodeId).bites.held, "it bit").toBeGreaterThan(0);
  expect(await Promise.all(answers)).toEqual([4, 4, 4]);
  for (const each of players) {
    await each.untilTicking();
    const owner = await cluster.ownerOf(each.roomId);
    const from = lapsed.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
    const to = regained.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
    expect(to - from, "ms of standing still").toBeGreaterThan(0);
    const steps = each.ticks.map(({ tick }, index) => tick - (each.ticks[index - 1]?.tick ?? tick));
    expect(Math.min(...steps), "no step back").toBeGreaterThanOrEqual(0);
    expect((await each.inSync()).calls[each.sessionId]).toEqual({ joins: 1, reconnects: 0, leaves: 0 });
  }
  for (const each of [...players, bystander]) {
    each.expectUndisturbed();
    await expectOneOwner(cluster, each, 1);
  }
  expect(cluster.events.of("failsafe:entered")).toEqual([]);
  for (const name of ["node:lost", "node:fenced", "room:restored", "room:fenced"] as const) {
    expect(cluster.events.of(name), name).toEqual([]);
  }
});

test("[OWN7] [OWN3] when one node reaches Postgres and the others stay cut off, it takes their rooms, and they start over", async () => {
  await using paths = new Paths();
  await using cluster = await startCluster({
    game: GAME,
    network: paths.network,
    env: {
      LEASE_MS: "1500",
      LEASE_RENEW_MS: "150",
      LEASE_MARGIN_MS: "100",
      STORE_MS: "500",
      CHECKPOINT_MS: "200",
    },
  });
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const players = [
    await cluster.place({ owner: a, gateway: c }),
    await cluster.place({ owner: b, gateway: c }),
  ];
  for (const each of players) await each.ask("add", 3);
  for (const each of players) await cluster.untilSaved(each.roomId);
  const restored = players.map((each) =>
    cluster.events.next("room:restored", ({ roomId }) => roomId === each.roomId),
  );
  for (const { nodeId } of [a, b]) paths.of(nodeId).hold();
  for (const each of await Promise.all(restored)) {
    expect(each).toMatchObject({ nodeId: "node-c", facts: { epoch: 2, fromEpoch: 1 } });
  }
  for (const each of players) {
    await until("the player is back", () => each.returns > 0);
    expect((await each.inSync()).players[each.sessionId]?.score).toBe(3);
  }
  for (const { nodeId } of [a, b]) {
    expect(paths.of(nodeId).bites.held, "it bit").toBeGreaterThan(0);
    paths.of(nodeId).resume();
  }
  expect(await Promise.all([a.exited, b.exited])).toEqual([75, 75]);
  for (const each of players) await expectOneOwner(cluster, each, 2);
  expect(cluster.events.of("failsafe:entered")).toEqual([]);
});

test("[OWN7] a standby that is not promoted counts as away: nobody believes what it has not heard of yet", async () => {
  await using pair = await startPostgresPair();
  await using cluster = await startCluster({
    game: GAME,
    stores: { databaseUrl: pair.url, redisUrl: inject("redisUrl") },
    env: { STORE_MS: "500", CHECKPOINT_MS: "200" },
  });
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
  const known = await cluster.place({ owner: a, gateway: b });
  await cluster.untilSaved(known.roomId);
  await pair.untilCaughtUp();
  await pair.cutReplication();
  const unheard = await cluster.place({ owner: a, gateway: b });
  await unheard.ask("add", 4);
  await cluster.untilSaved(unheard.roomId);
  const entered = cluster.nodes.map((node) =>
    cluster.events.next("failsafe:entered", (_facts, from) => from === node.nodeId),
  );
  pair.front.moveTo(pair.standby.port);
  await Promise.all(entered);
  const [asked] = await cluster.sql("SELECT pg_is_in_recovery() AS standby");
  expect(asked, "what is asked now").toEqual({ standby: true });
  const rooms = await cluster.sql<{ room_id: string }>("SELECT room_id FROM room");
  expect(rooms.map(({ room_id }) => room_id)).toContain(known.roomId);
  expect(rooms.map(({ room_id }) => room_id)).not.toContain(unheard.roomId);
  // Longer than the longest pause in which nodes look for what was taken from them.
  const from = unheard.tick;
  await until("the world goes on for 11 s", () => unheard.tick > from + 220, {
    ms: 40_000,
    seen: () => ({ tick: unheard.tick, from, drops: unheard.drops, leftWith: unheard.leftWith }),
  });
  expect(cluster.nodes).toHaveLength(3);

  const left = cluster.nodes.map((node) =>
    cluster.events.next("failsafe:left", (_facts, nodeId) => nodeId === node.nodeId),
  );
  pair.front.moveTo(pair.primary.port);
  await Promise.all(left);
  for (const each of [known, unheard]) {
    await each.untilTicking();
    each.expectUndisturbed();
    await expectOneOwner(cluster, each, 1);
  }
  expect((await unheard.inSync()).players[unheard.sessionId]?.score).toBe(4);
  for (const name of ["lease:lapsed", "node:lost", "node:fenced", "room:restored", "room:fenced"] as const) {
    expect(cluster.events.of(name), name).toEqual([]);
  }
});
