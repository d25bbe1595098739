// What matchmaking tells players of where to connect: the address of the node that has their room, whichever node is asked,
// whatever the listing says, and however often the room moves.

import { Redis } from "ioredis";
import { expect, inject, test } from "vitest";
import { startCluster, type ClusterOptions, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { FixedHomes } from "../kit/fixed-homes.ts";
import { reserve } from "../kit/reservation.ts";

/** Without a load balancer: each node's own address, with a path that is there to be ignored. */
const addressOf = ({ nodeId, publicPort }: Pick<TestNode, "nodeId" | "publicPort">): string =>
  `127.0.0.1:${publicPort}/${nodeId}`;

async function start(options: ClusterOptions = {}): Promise<TestCluster> {
  const network = await FixedHomes.choose(["node-a", "node-b", "node-c"], (_nodeId, { publicPort }) => ({
    PUBLIC_ADDRESS: `127.0.0.1:${publicPort}/{NODE_ID}`,
  }));
  return startCluster({
    game: "kit/probe-game.ts",
    network,
    ...options,
    env: { CHECKPOINT_MS: "200", ...options.env },
  });
}

/** The cluster's listing, to be made wrong. */
function listingOf(
  cluster: TestCluster,
): { write(roomId: string, row: object): Promise<unknown> } & Disposable {
  const redis = new Redis(inject("redisUrl"));
  const key = `${new URL(cluster.databaseUrl).pathname.slice(1)}:roomcaches`;
  return {
    write: (roomId, row) => redis.hset(key, roomId, JSON.stringify(row)),
    [Symbol.dispose]: () => redis.disconnect(),
  };
}

test("[GATE8] every way to a seat, asked of any node, leads to the node that has the room", async () => {
  await using cluster = await start();
  for (const owner of cluster.nodes) {
    const player = await cluster.place({ owner });
    for (const asked of cluster.nodes) {
      const seat = await reserve(asked, "joinById", player.roomId);
      expect(seat).toMatchObject({ roomId: player.roomId, publicAddress: addressOf(owner) });
      expect(seat?.processId).toBe((await cluster.listing(player.roomId))?.processId);
      const any = await reserve(asked, "join", "probe");
      const itsOwner = await cluster.ownerOf(any?.roomId ?? "");
      expect(any?.publicAddress).toBe(addressOf(itsOwner));
    }
    const token = player.room.reconnectionToken.split(":")[1];
    for (const asked of cluster.nodes) {
      const seat = await reserve(asked, "reconnect", player.roomId, { reconnectionToken: token });
      expect(seat).toMatchObject({ sessionId: player.sessionId, publicAddress: addressOf(owner) });
    }
  }
  for (const asked of cluster.nodes) {
    const created = await reserve(asked, "create", "probe");
    expect(created?.publicAddress).toBe(addressOf(await cluster.ownerOf(created?.roomId ?? "")));
  }
});

test("[GATE8] a listing that is wrong misleads nobody", async () => {
  await using cluster = await start();
  const [owner, former] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner });
  const { roomId } = player;
  const row = await cluster.listing(roomId);
  expect(row?.publicAddress).toBe(addressOf(owner));
  const stale = { ...row, publicAddress: addressOf(former), processId: "gone" };
  using listing = listingOf(cluster);
  for (let round = 0; round < 5; round++) {
    for (const asked of cluster.nodes) {
      for (const [method, what] of [
        ["joinById", roomId],
        ["join", "probe"],
      ] as const) {
        await listing.write(roomId, stale); // again: its owner mends it, at each reservation for one
        expect(await reserve(asked, method, what)).toMatchObject({
          roomId,
          publicAddress: addressOf(owner),
          processId: row?.processId,
        });
      }
    }
  }
});

test("[GATE8] [REC1] from the death of an owner on nobody is told its address: the next owner's, or nothing", async () => {
  await using cluster = await start();
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner });
  const { roomId } = player;
  await cluster.untilSaved(roomId);
  // Its player is told only of the dead node, and does not come back.
  const restored = cluster.events.next("room:restored", (facts) => facts.roomId === roomId);
  await owner.kill();
  const answers = await Promise.all(
    cluster.nodes.flatMap((asked) => Array.from({ length: 4 }, () => reserve(asked, "joinById", roomId))),
  );
  const next = cluster.node((await restored).nodeId);
  const told = answers.flatMap((seat) => (seat === undefined ? [] : [seat.publicAddress]));
  expect(told.length, "seats reserved in the middle of it").toBeGreaterThan(0);
  expect(new Set(told)).toEqual(new Set([addressOf(next)]));
  expect((await cluster.listing(roomId))?.publicAddress).toBe(addressOf(next));
});

test("[GATE8] a node that is leaving is told to nobody, though it still has the room", async () => {
  await using cluster = await start({ env: { STORE_MS: "20000" } });
  const owner = cluster.node("node-a");
  // Rooms move eight at a time, the fullest first: this one is the last.
  const player = await cluster.place({ owner });
  for (let room = 0; room < 8; room++) {
    const other = await cluster.place({ owner });
    await cluster.joinTo(other, undefined);
  }
  const { roomId } = player;
  const row = await cluster.listing(roomId);
  const moving = cluster.events.next("room:restored", (facts) => facts.roomId === roomId);
  await cluster.sql("BEGIN");
  await cluster.sql("LOCK TABLE checkpoint IN SHARE MODE"); // no room can be saved
  const draining = cluster.events.next("node:draining", (_facts, from) => from === owner.nodeId);
  const exited = owner.drain();
  await draining;
  for (const asked of cluster.others(owner)) {
    const seat = await reserve(asked, "joinById", roomId);
    expect(seat, "the room is where it was").toMatchObject({ roomId, processId: row?.processId });
    expect(seat).not.toHaveProperty("publicAddress");
  }
  await cluster.sql("ROLLBACK");
  const next = cluster.node((await moving).nodeId);
  expect(await exited).toBe(0);
  expect(await reserve(next, "joinById", roomId)).toMatchObject({ publicAddress: addressOf(next) });
});

test("[GATE8] [GATE5] a node for rooms only has no address for players: they come by where they asked", async () => {
  await using cluster = await start({
    nodes: 2,
    roles: { "node-a": "rooms", "node-b": "gateway" },
  });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const seat = await reserve(gateway, "create", "probe");
  expect(await cluster.ownerOf(seat?.roomId ?? "")).toBe(owner);
  expect(seat).not.toHaveProperty("publicAddress");
  expect(await cluster.listing(seat?.roomId ?? "")).not.toHaveProperty("publicAddress");

  const ask = async ({ managementPort }: TestNode, path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${managementPort}${path}`)).status;
  expect([await ask(owner, "/readyz"), await ask(owner, "/gatewayz")]).toEqual([200, 503]);
  expect([await ask(gateway, "/readyz"), await ask(gateway, "/gatewayz")]).toEqual([200, 200]);
});
