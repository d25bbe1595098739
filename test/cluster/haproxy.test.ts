// The topology of docker-compose.yml with real processes: three nodes behind HAProxy, round robin, no stickiness, by
// deploy/haproxy.cfg. Every player lands on whatever node is next, and stays in the room whatever happens to nodes.

import type { Room } from "@colyseus/sdk";
import pg from "pg";
import { expect, inject, test } from "vitest";
import type { ArenaState } from "../../rooms/arena/arena-state.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { Haproxy, whyNoHaproxy } from "../load/haproxy.ts";

const PLAYERS = 6;
const NODES = ["node-a", "node-b", "node-c"];
const missing = whyNoHaproxy();
if (missing !== undefined) console.warn(`haproxy.test.ts is skipped: ${missing}`);
const haproxyTest = test.skipIf(missing !== undefined);

/** A player, and what became of the connection. */
class Player {
  readonly room: Room<unknown, ArenaState>;
  readonly sessionId: string;
  /** Codes of connections that ended. The SDK tells of its failed attempts here too. */
  readonly drops: number[] = [];
  readonly left: number[] = [];
  #back = 0;
  #ticked: (() => void)[] = [];

  constructor(room: Room<unknown, ArenaState>) {
    this.room = room;
    this.sessionId = room.sessionId;
    room.reconnection.minUptime = 0;
    room.onDrop((code) => void this.drops.push(code));
    room.onLeave((code) => void this.left.push(code));
    room.onReconnect(() => void (this.#back += 1));
    room.onStateChange(() => {
      for (const resolve of this.#ticked.splice(0)) resolve();
    });
  }

  get timesBack(): number {
    return this.#back;
  }

  /** The room's clock as this player sees it. */
  get tick(): number {
    return this.room.state.tick;
  }

  /** Walks until it sees itself elsewhere: what it says is heard, and what happens is shown. */
  async plays(): Promise<void> {
    const self = (): { x: number; y: number } | undefined => this.room.state.players?.get(this.sessionId);
    while (self() === undefined) await this.#nextState();
    const { x, y } = self() ?? { x: 0, y: 0 };
    // Away from the walls, so that there is somewhere to go.
    const move = { x: x < 800 ? 1 : -1, y: y < 500 ? 1 : -1 };
    while (self()?.x === x && self()?.y === y) {
      this.room.send("move", move);
      await this.#nextState();
    }
  }

  #nextState(): Promise<void> {
    return new Promise((resolve) => this.#ticked.push(resolve));
  }
}

/** Everyone in one room, each over the node that was next. */
async function seat(haproxy: Haproxy): Promise<[Player, ...Player[]]> {
  const first = new Player(await haproxy.client().joinOrCreate<ArenaState>("arena", { name: "p0" }));
  const others: Player[] = [];
  for (let number = 1; number < PLAYERS; number += 1) {
    const room = await haproxy.client().joinById<ArenaState>(first.room.roomId, { name: `p${number}` });
    others.push(new Player(room));
  }
  return [first, ...others];
}

async function setUp(
  env: Record<string, string> = {},
): Promise<{ cluster: TestCluster; haproxy: Haproxy } & AsyncDisposable> {
  const cluster = await startCluster({ env });
  try {
    const haproxy = await Haproxy.start(cluster.nodes);
    return {
      cluster,
      haproxy,
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

/** A node that has players' connections and not their room. */
async function gatewayOf(
  { cluster, haproxy }: { cluster: TestCluster; haproxy: Haproxy },
  owner: TestNode,
): Promise<TestNode> {
  const sessions = await haproxy.sessions();
  const gateway = cluster.nodes.find((node) => node !== owner && (sessions.get(node.nodeId) ?? 0) > 0);
  if (gateway === undefined)
    throw new Error(`nobody came over another node: ${JSON.stringify([...sessions])}`);
  return gateway;
}

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0);

haproxyTest("[GATE1] players of one room come over different nodes, and play together", async () => {
  await using all = await setUp();
  const { cluster, haproxy } = all;
  const players = await seat(haproxy);
  await Promise.all(players.map((player) => player.plays()));
  const sessions = await haproxy.sessions();
  expect([...sessions.keys()].sort()).toEqual(NODES);
  expect(Math.min(...sessions.values())).toBeGreaterThan(0);
  expect(sum(sessions.values())).toBe(PLAYERS);
  expect(await cluster.room(players[0].room.roomId)).toMatchObject({ players: PLAYERS, seats: PLAYERS });
});

haproxyTest(
  "[REC1] [GATE1] the owner is killed: everyone is back in the same seat, over the nodes that are left",
  async () => {
    await using all = await setUp();
    const { cluster, haproxy } = all;
    const players = await seat(haproxy);
    const { roomId } = players[0].room;
    await cluster.untilSaved(roomId);
    const owner = await cluster.ownerOf(roomId);
    const settled = cluster.events.next("room:settled", (facts) => facts.roomId === roomId);
    await owner.kill();
    expect((await settled).facts).toMatchObject({ seats: PLAYERS, back: PLAYERS });
    await Promise.all(players.map((player) => player.plays()));
    for (const player of players) {
      expect(player.room.sessionId).toBe(player.sessionId);
      expect(player).toMatchObject({ left: [], timesBack: 1 });
    }
    const sessions = await haproxy.sessions();
    expect(sessions.get(owner.nodeId)).toBe(0);
    expect(sum(sessions.values())).toBe(PLAYERS);
  },
);

haproxyTest(
  "[GATE2] a frozen gateway is found, its players are cut and come back over other nodes",
  async () => {
    await using all = await setUp();
    const { cluster, haproxy } = all;
    const players = await seat(haproxy);
    const { roomId } = players[0].room;
    const owner = await cluster.ownerOf(roomId);
    const gateway = await gatewayOf(all, owner);
    const before = (await haproxy.sessions()).get(gateway.nodeId);
    const down = haproxy.says(new RegExp(`Server nodes/${gateway.nodeId} is DOWN`));
    gateway.freeze();
    await down;
    await Promise.all(players.map((player) => player.plays()));
    const cut = players.filter((player) => player.drops.length > 0);
    expect(cut).toHaveLength(before ?? 0);
    for (const player of players) expect(player.left).toEqual([]);
    const sessions = await haproxy.sessions();
    expect(sessions.get(gateway.nodeId)).toBe(0);
    expect(sum(sessions.values())).toBe(PLAYERS);
    expect((await cluster.room(roomId, owner)).nodeId).toBe(owner.nodeId);
  },
);

haproxyTest("[GATE2] [REC1] a frozen owner is found, and everyone is back on another node", async () => {
  await using all = await setUp();
  const { cluster, haproxy } = all;
  const players = await seat(haproxy);
  const { roomId } = players[0].room;
  await cluster.untilSaved(roomId);
  const owner = await cluster.ownerOf(roomId);
  const down = haproxy.says(new RegExp(`Server nodes/${owner.nodeId} is DOWN`));
  const settled = cluster.events.next("room:settled", (facts) => facts.roomId === roomId);
  owner.freeze();
  await down;
  expect((await settled).facts).toMatchObject({ seats: PLAYERS, back: PLAYERS });
  await Promise.all(players.map((player) => player.plays()));
  for (const player of players) expect(player).toMatchObject({ left: [], timesBack: 1 });
  expect((await haproxy.sessions()).get(owner.nodeId)).toBe(0);
});

haproxyTest("[MOVE1] a drained node ends no session and rolls nothing back", async () => {
  await using all = await setUp();
  const { cluster, haproxy } = all;
  const players = await seat(haproxy);
  const { roomId } = players[0].room;
  const owner = await cluster.ownerOf(roomId);
  const settled = cluster.events.next("room:settled", (facts) => facts.roomId === roomId);
  const ticks = players.map((player) => player.tick);
  expect(await owner.drain()).toBe(0);
  expect((await settled).facts).toMatchObject({ seats: PLAYERS, back: PLAYERS });
  await Promise.all(players.map((player) => player.plays()));
  for (const [index, player] of players.entries()) {
    expect(player.room.sessionId).toBe(player.sessionId);
    expect(player.left).toEqual([]);
    expect(player.tick).toBeGreaterThan(ticks[index] ?? Infinity);
  }
  expect((await haproxy.sessions()).get(owner.nodeId)).toBe(0);
});

haproxyTest("[OWN4] while the database is away for longer than the lease, HAProxy cuts nobody", async () => {
  await using all = await setUp({ FAILSAFE_MS: "0" }); // so that rooms stand still
  const { cluster, haproxy } = all;
  const players = await seat(haproxy);
  const perNode = (event: "lease:lapsed" | "lease:regained"): Promise<unknown> =>
    Promise.all(NODES.map((nodeId) => cluster.events.next(event, (_facts, from) => from === nodeId)));
  const name = new URL(cluster.databaseUrl).pathname.slice(1);
  const admin = new pg.Client({ connectionString: inject("databaseUrl") });
  await admin.connect();
  try {
    const lapsed = perNode("lease:lapsed");
    const excluded = Promise.all(
      NODES.map((nodeId) => haproxy.says(new RegExp(`Server nodes/${nodeId} is stopping`))),
    );
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name]);
    await lapsed;
    await excluded; // no new players, and no word of DOWN
    const regained = perNode("lease:regained");
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    await regained;
  } finally {
    await admin.end();
  }
  await Promise.all(players.map((player) => player.plays()));
  expect(haproxy.log.filter((line) => line.includes("is DOWN"))).toEqual([]);
  for (const player of players) expect(player).toMatchObject({ left: [] });
});
