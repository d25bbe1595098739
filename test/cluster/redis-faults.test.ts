// Every fault that Redis can have, on real servers, under players in running rooms. One cluster bears them all in turn:
// that it bears the next shows that the last has left nothing behind.

import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { RealRedis, whyNoRedisServer } from "../kit/real-redis.ts";
import { HoldingProxy } from "../kit/redis-proxy.ts";
import {
  expectAnswered,
  expectCalls,
  expectFound,
  expectHarmless,
  expectNews,
  onEach,
  RIGHT_MS,
  tryMatchmaking,
  untilListingIsTrue,
  type Rows,
} from "../kit/redis-truth.ts";
import { until } from "../kit/until.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`redis-faults.test.ts is skipped: ${missing}`);

const PREFIX = "faults:";
const ROWS = `${PREFIX}roomcaches`;

/** Closed in reverse, also when not all of it could be opened. */
const opened = new AsyncDisposableStack();
let redis: RealRedis;
let proxy: HoldingProxy;
let cluster: TestCluster;
let players: Player[] = [];
let pids: number[] = [];

const rows = async (): Promise<Rows> => {
  const flat = (await redis.ask("HGETALL", ROWS)) as string[];
  return Object.fromEntries(
    flat.flatMap((key, index) => (index % 2 === 0 ? [[key, flat[index + 1] ?? ""]] : [])),
  );
};

interface Fault {
  readonly what: string;
  readonly bite: () => unknown;
  readonly heal: () => unknown;
  /** What the nodes must have said of it. */
  readonly error: RegExp;
}

const FAULTS: readonly Fault[] = [
  {
    what: "is killed, and starts empty",
    bite: () => redis.kill(),
    heal: () => redis.restart(),
    error: /clos|ECONN|reset|writeable/iu,
  },
  { what: "hangs", bite: () => redis.hang(), heal: () => redis.wake(), error: /no answer/u },
  {
    what: "answers nobody for a while (CLIENT PAUSE)",
    bite: () => redis.ask("CLIENT", "PAUSE", 600_000, "WRITE"),
    heal: () => redis.ask("CLIENT", "UNPAUSE"),
    error: /no answer/u,
  },
  {
    what: "becomes a replica that takes no writes",
    bite: () => redis.ask("REPLICAOF", "127.0.0.1", 1),
    heal: () => redis.ask("REPLICAOF", "NO", "ONE"),
    error: /READONLY/u,
  },
  {
    what: "is full (maxmemory, noeviction)",
    bite: () => redis.ask("CONFIG", "SET", "maxmemory", 1),
    heal: () => redis.ask("CONFIG", "SET", "maxmemory", 0),
    error: /OOM/u,
  },
  {
    what: "is behind a connection that is half open",
    bite: () => proxy.hold(),
    heal: () => {
      expect(proxy.held, "what the proxy has held back").toBeGreaterThan(6);
      proxy.abandon(); // what is half open stays so
    },
    error: /no answer/u,
  },
];

describe.skipIf(missing !== undefined)("[RED1] [RED2] while Redis", () => {
  beforeAll(async () => {
    redis = opened.use(await RealRedis.start());
    proxy = opened.use(await HoldingProxy.start(redis.port));
    cluster = opened.use(
      await startCluster({
        game: "kit/redis-game.ts",
        stores: {
          databaseUrl: inject("databaseUrl"),
          redisUrl: redis.url.replace(`:${redis.port}`, `:${proxy.port}`),
        },
        env: { KEY_PREFIX: PREFIX },
      }),
    );
    pids = cluster.nodes.map(({ pid }) => pid);
    const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
    players = [
      await cluster.place({ owner: a, gateway: b, room: "wired" }),
      await cluster.place({ owner: b, gateway: c, room: "wired" }),
      await cluster.place({ owner: c, gateway: c, room: "wired" }),
    ];
    await untilListingIsTrue(cluster, rows);
  });
  afterAll(() => opened.disposeAsync());

  test.each(FAULTS)("$what, play and matchmaking go on, and all is right when it is back", async (fault) => {
    const lost = onEach(cluster, "redis:lost");
    await fault.bite();
    // Asked before the nodes have noticed, when it is hardest.
    expectAnswered(await tryMatchmaking(cluster, first()));
    for (const { error } of await lost) expect(error).toMatch(fault.error);

    await expectPlay();
    expectAnswered(await tryMatchmaking(cluster, first()));
    await expectCalls(cluster, players);
    await expectFound(
      players,
      players.map(({ roomId }) => roomId),
    );
    await expectRefusedAtOnce();
    // A room that ends now, and one that begins: Redis hears of neither.
    const newcomer = await cluster.place({ room: "wired" });

    const regained = onEach(cluster, "redis:regained");
    await fault.heal();
    const back = await regained;
    await untilListingIsTrue(cluster, rows);
    await expectNews(players);
    for (const { awayMs } of back) expect(awayMs).toBeGreaterThan(0);
    await newcomer.room.leave();
    await untilListingIsTrue(cluster, rows);
    await expectRightAgain();
  });

  test("loses everything it held (FLUSHALL), nobody notices, and it is written again", async () => {
    const flush = (): Promise<unknown> =>
      redis.ask("EVAL", "redis.call('FLUSHALL') return redis.call('DBSIZE')", 0);
    expect(await flush(), "keys right after").toBe(0);
    await untilListingIsTrue(cluster, rows); // with nobody coming or going, whose room would be written anyway
    expect(await flush(), "keys right after").toBe(0);
    expectAnswered(await tryMatchmaking(cluster, first()));
    await expectPlay();
    await untilListingIsTrue(cluster, rows);
    expect(Number(await redis.ask("HLEN", `${PREFIX}roomcount`)), "nodes that tell their counts").toBe(3);
    await expectRightAgain();
  });

  test("cuts those who listen (CLIENT KILL TYPE pubsub), they listen again", async () => {
    const lost = onEach(cluster, "redis:lost");
    const regained = onEach(cluster, "redis:regained");
    // Those that were left half open count as well.
    expect(await redis.ask("CLIENT", "KILL", "TYPE", "pubsub")).toBeGreaterThanOrEqual(3);
    await lost;
    expectAnswered(await tryMatchmaking(cluster, first()));
    await regained;
    await expectNews(players);
    await untilListingIsTrue(cluster, rows);
    await expectRightAgain();
  });

  test("lies about rooms, nobody is led astray for long, and it is put right", async () => {
    const [listed] = Object.entries(await rows());
    const [roomId = "", text = ""] = listed ?? [];
    const wrong = JSON.stringify({ ...(JSON.parse(text) as object), clients: 77, locked: true });
    const ghost = (id: string, processId: string): string =>
      JSON.stringify({ ...(JSON.parse(text) as object), roomId: id, processId, clients: 0 });
    const { processId } = JSON.parse(text) as { processId: string };
    await redis.ask("HSET", ROWS, roomId, wrong, "junk", "no row at all", "other", `{"roomId":7}`);
    await redis.ask("HSET", ROWS, "ghostOfNobody", ghost("ghostOfNobody", "nobody"));
    await redis.ask("HSET", ROWS, "ghostOfOne", ghost("ghostOfOne", processId));
    expect(Object.keys(await rows())).toContain("ghostOfNobody");
    for (const player of players) await player.ask("rooms");
    // Rows of nobody are looked through every ten seconds, or when they have misled somebody.
    await untilListingIsTrue(cluster, rows, 4 * RIGHT_MS);
    await expectRightAgain();
  });

  // The last one: it changes who is there.
  test("hangs, nodes leave, die and arrive, and rooms move as ever", async () => {
    const lost = onEach(cluster, "redis:lost");
    redis.hang();
    await lost;
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const [ofA, ofB] = players as [Player, Player];
    for (const player of [ofA, ofB]) await cluster.untilSaved(player.roomId);
    const restored = [ofA, ofB].map((player) =>
      cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId),
    );
    expect(await a.drain(), "exit code of a node that leaves").toBe(0);
    const late = await cluster.add("node-d");
    await b.kill();
    await Promise.all(restored);
    for (const player of players) await player.inSync();
    const newcomer = new Player(await cluster.client(late).joinById(ofA.roomId));
    await newcomer.inSync();
    await newcomer.room.leave();
    await expectCalls(cluster, players);

    const regained = onEach(cluster, "redis:regained");
    redis.wake();
    await regained;
    await untilListingIsTrue(cluster, rows);
    await expectNews(players);
    expectAnswered(await tryMatchmaking(cluster, ofA));
    expect(cluster.nodes.map(({ nodeId }) => nodeId)).toEqual(["node-c", "node-d"]);
  });

  function first(): Player {
    const [player] = players;
    if (player === undefined) throw new Error("there is no player");
    return player;
  }

  /** The world goes on for everybody, and answers. */
  async function expectPlay(): Promise<void> {
    const from = players.map(({ tick }) => tick);
    await until("a second of play, by each room's own count", () =>
      players.every(({ tick }, index) => tick > (from[index] ?? 0) + 20),
    );
    for (const player of players) {
      const score = await player.ask<number>("add", 1);
      expect((await player.inSync()).players[player.sessionId]?.score).toBe(score);
    }
    expectHarmless(cluster, pids, players);
  }

  /** What only Redis could answer is refused at once, and never hangs. */
  async function expectRefusedAtOnce(): Promise<void> {
    for (const what of ["keep", "kept", "count"]) {
      const fromMs = performance.now();
      await expect(first().ask(what, "x"), what).rejects.toThrow(
        /REDIS_UNREACHABLE|Redis cannot be reached/u,
      );
      expect(performance.now() - fromMs, `ms until ${what} is refused`).toBeLessThan(1_000);
    }
  }

  async function expectRightAgain(): Promise<void> {
    await until("what games keep is kept", async () => {
      await first().ask("keep", "this");
      return (await first().ask("kept")) === "this";
    });
    expectAnswered(await tryMatchmaking(cluster, first()));
    await expectCalls(cluster, players);
    await untilListingIsTrue(cluster, rows);
    await expectFound(
      players,
      players.map(({ roomId }) => roomId),
    );
    await expectPlay();
  }
});
