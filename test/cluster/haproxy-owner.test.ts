// Players who are sent straight to the node that has their room: deploy/haproxy.cfg with PUBLIC_ADDRESS, Debian's HAProxy, real
// nodes and the stock SDK. When that node is gone or leaving, any other takes them.

import { once } from "node:events";
import { createConnection } from "node:net";
import { expect, test } from "vitest";
import { startCluster, type ClusterOptions, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { FixedHomes } from "../kit/fixed-homes.ts";
import { fixedPort } from "../kit/fixed-port.ts";
import { Player } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { reserve } from "../kit/reservation.ts";
import { Haproxy, whyNoHaproxy } from "../load/haproxy.ts";

const NODES = ["node-a", "node-b", "node-c"];
const missing = whyNoHaproxy();
if (missing !== undefined) console.warn(`haproxy-owner.test.ts is skipped: ${missing}`);
const haproxyTest = test.skipIf(missing !== undefined);

interface World extends AsyncDisposable {
  readonly cluster: TestCluster;
  readonly haproxy: Haproxy;
  /** What players of a node's rooms are told to connect to. */
  readonly addressOf: (node: TestNode) => string;
}

async function setUp(options: ClusterOptions = {}): Promise<World> {
  const port = await fixedPort();
  const cluster = await startCluster({
    game: "kit/probe-game.ts",
    network: await FixedHomes.choose(NODES),
    ...options,
    env: { CHECKPOINT_MS: "200", PUBLIC_ADDRESS: `127.0.0.1:${port}/{NODE_ID}` },
  });
  try {
    const haproxy = await Haproxy.start(cluster.nodes, port);
    return {
      cluster,
      haproxy,
      addressOf: ({ nodeId }) => `127.0.0.1:${port}/${nodeId}`,
      async [Symbol.asyncDispose]() {
        await haproxy[Symbol.asyncDispose]();
        await cluster[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** A room on `owner`, with its first player. */
async function roomOn(owner: TestNode, { cluster, haproxy }: World): Promise<Player> {
  for (let tries = 0; tries < 100; tries++) {
    const player = await Player.create(haproxy.client(), "probe", { name: "ada" });
    if ((await cluster.ownerOf(player.roomId)) === owner) return player;
    await player.room.leave();
  }
  throw new Error(`none of 100 new rooms is on ${owner.nodeId}`);
}

/** As many players more in the room of `first`, each by a client of their own. */
async function joinTo(first: Player, count: number, { haproxy }: World): Promise<Player[]> {
  const players: Player[] = [];
  for (let number = 0; number < count; number++) {
    players.push(await Player.join(haproxy.client(), first.roomId, { name: `p${number}` }));
  }
  return players;
}

const total = (numbers: ReadonlyMap<string, number>): number =>
  [...numbers.values()].reduce((sum, number) => sum + number, 0);

/** How an upgrade that asks for nobody's seat is answered. */
async function upgrade(port: number, path: string): Promise<string> {
  const socket = createConnection(port, "127.0.0.1");
  socket.write(
    `GET ${path}?sessionId=nobody HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString().split("\r\n")[0] ?? "";
}

haproxyTest(
  "[GATE8] whoever answers matchmaking, each player's socket ends at the node that has the room, and no link is needed",
  async () => {
    await using world = await setUp();
    const { cluster, haproxy } = world;
    const players: Player[] = [];
    for (const owner of cluster.nodes) {
      const first = await roomOn(owner, world);
      players.push(first, ...(await joinTo(first, 3, world))); // HAProxy asks three nodes, one after the other
    }
    for (const player of players) await player.inSync();
    expect(Object.fromEntries(await haproxy.sessions())).toEqual({ "node-a": 4, "node-b": 4, "node-c": 4 });
    expect(cluster.events.of("link:opened"), "links between nodes").toEqual([]);
    for (const player of players) player.expectUndisturbed();
  },
);

haproxyTest(
  "[GATE8] [REC1] the owner is killed: its players are back in their seats by way of any node, who comes now by the new owner's, and a node that is added back is used again",
  async () => {
    await using world = await setUp();
    const { cluster, haproxy, addressOf } = world;
    const owner = cluster.node("node-a");
    const first = await roomOn(owner, world);
    const players = [first, ...(await joinTo(first, 3, world))];
    for (const [index, player] of players.entries()) await player.ask("add", index + 1);
    expect((await haproxy.sessions()).get(owner.nodeId)).toBe(players.length);
    await cluster.untilSaved(first.roomId);
    const back = comeback(cluster, first);
    await owner.kill();
    const { nodeId, seats, back: came } = await back;
    expect({ seats, came }).toEqual({ seats: players.length, came: players.length });
    for (const [index, player] of players.entries()) {
      const seen = await player.inSync();
      expect(seen.players[player.sessionId]?.score).toBe(index + 1);
      expect(seen.calls[player.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
      // At the first try: HAProxy itself goes on to the next node.
      expect({ drops: player.drops, returns: player.returns }).toEqual({ drops: 1, returns: 1 });
      expect(player.leftWith).toBeUndefined();
    }
    const next = await expectOneOwner(cluster, first, 2);
    expect(next.nodeId).toBe(nodeId);

    const before = (await haproxy.sessions()).get(next.nodeId) ?? 0;
    const newcomers = await joinTo(first, 4, world);
    expect((await haproxy.sessions()).get(next.nodeId)).toBe(before + newcomers.length);
    expect((await haproxy.sessions()).get(owner.nodeId)).toBe(0);

    const from = haproxy.log.length;
    const again = await cluster.add(owner.nodeId);
    await haproxy.says(/Server nodes\/node-a is UP/, { after: from });
    const there = await roomOn(again, world);
    expect(await reserve(next, "joinById", there.roomId)).toMatchObject({ publicAddress: addressOf(again) });
    await joinTo(there, 3, world);
    expect((await haproxy.sessions()).get(again.nodeId)).toBe(4);

    // Who was told before a room moved comes by the wrong node, and plays as well.
    const seat = await reserve(next, "joinById", first.roomId);
    if (seat === undefined) throw new Error("no seat");
    const outOfDate = { ...seat, publicAddress: addressOf(again) };
    const astray = new Player(await haproxy.client().consumeSeatReservation(outOfDate));
    expect((await haproxy.sessions()).get(again.nodeId)).toBe(5);
    for (const player of [...players, ...newcomers, astray]) await player.inSync();
  },
);

haproxyTest(
  "[GATE8] [MOVE1] the owner is drained: its players are back on other nodes at once, and nothing is rolled back",
  async () => {
    await using world = await setUp();
    const { cluster, haproxy } = world;
    const owner = cluster.node("node-a");
    const first = await roomOn(owner, world);
    const players = [first, ...(await joinTo(first, 3, world))];
    for (const player of players) await player.ask("add", 7);
    for (const player of players) await player.inSync();
    const ticks = players.map((player) => player.tick);
    const back = comeback(cluster, first);
    expect(await owner.drain()).toBe(0);
    const { nodeId, seats, back: came } = await back;
    expect({ seats, came }).toEqual({ seats: players.length, came: players.length });
    for (const [index, player] of players.entries()) {
      const seen = await player.inSync();
      expect(seen.players[player.sessionId]?.score).toBe(7);
      expect(player.tick).toBeGreaterThan(ticks[index] ?? Infinity);
      expect(player.leftWith).toBeUndefined();
    }
    expect((await haproxy.sessions()).get(owner.nodeId)).toBe(0);
    expect(total(await haproxy.sessions())).toBe(players.length);
    const newcomer = await Player.join(haproxy.client(), first.roomId);
    expect((await newcomer.facts()).pid).toBe(cluster.node(nodeId).pid);
  },
);

haproxyTest(
  "[GATE8] [GATE2] the owner freezes: HAProxy cuts its players, who are back as soon as the room is",
  async () => {
    await using world = await setUp();
    const { cluster, haproxy } = world;
    const owner = cluster.node("node-a");
    const first = await roomOn(owner, world);
    const players = [first, ...(await joinTo(first, 2, world))];
    await cluster.untilSaved(first.roomId);
    const back = comeback(cluster, first);
    const down = haproxy.says(/Server nodes\/node-a is DOWN/);
    owner.freeze();
    await down;
    expect(await back).toMatchObject({ seats: players.length, back: players.length });
    for (const player of players) {
      await player.inSync();
      expect(player.leftWith).toBeUndefined();
    }
    expect((await haproxy.sessions()).get(owner.nodeId)).toBe(0);
  },
);

haproxyTest(
  "[GATE8] [GATE5] a node for rooms only gets nobody, whatever the path says, and its players play by way of the others",
  async () => {
    await using world = await setUp({ roles: { "node-c": "rooms" } });
    const { cluster, haproxy } = world;
    const owner = cluster.node("node-c");
    const first = await roomOn(owner, world);
    const players = [first, ...(await joinTo(first, 3, world))];
    for (const path of [
      "/node-c/process/room",
      "/node-a/process/room",
      "/nodes/process/room",
      "/x/process/room",
    ])
      expect(await upgrade(haproxy.port, path), path).toMatch(/^HTTP\/1.1 101/);
    for (const player of players) await player.inSync();
    const sessions = await haproxy.sessions();
    expect(sessions.get(owner.nodeId)).toBe(0);
    expect((await haproxy.requests()).get(owner.nodeId), "requests it was ever given").toBe(0);
    expect(total(sessions)).toBe(players.length);
    expect(cluster.events.of("link:opened").length, "links to it").toBeGreaterThan(0);
  },
);
