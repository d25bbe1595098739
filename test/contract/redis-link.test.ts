// The link to Redis by itself, against a real server: its deadline, its bound, and that nothing piles up while nobody answers.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ClusterPresence } from "../../src/colyseus/redis-presence.ts";
import { RoomWhereabouts } from "../../src/colyseus/room-whereabouts.ts";
import { readConfig, type Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import { hasCode, messageOf } from "../../src/errors.ts";
import { RedisLink } from "../../src/redis/link.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { freePort, RealRedis, whyNoRedisServer } from "../kit/real-redis.ts";
import { HoldingProxy } from "../kit/redis-proxy.ts";
import { until } from "../kit/until.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`redis-link.test.ts is skipped: ${missing}`);

const REDIS_MS = 300;
const PENDING_MAX = 200;
/** What a busy machine adds to a deadline. */
const SLACK_MS = 400;

function configFor(redisUrl: string, env: Record<string, string> = {}): Config {
  return readConfig({
    NODE_ID: "link",
    DATABASE_URL: "postgres://localhost/none",
    CLUSTER_KEY: "a key of some length",
    KEY_PREFIX: "link:",
    REDIS_URL: redisUrl,
    REDIS_MS: String(REDIS_MS),
    REDIS_PENDING_MAX: String(PENDING_MAX),
    ...env,
  });
}

interface Opened extends AsyncDisposable {
  readonly link: RedisLink;
  readonly told: string[];
}

async function open(redisUrl: string): Promise<Opened> {
  const events = new EventBus();
  const told: string[] = [];
  events.listen((name, facts) => told.push(`${name} ${JSON.stringify(facts)}`));
  const link = await RedisLink.open(configFor(redisUrl), systemClock, events);
  return { link, told, [Symbol.asyncDispose]: () => link.stop() };
}

/** What the library itself keeps of commands. */
function kept(link: RedisLink): number {
  const { commandQueue, offlineQueue } = link.commands as unknown as Record<string, { length: number }>;
  return (commandQueue?.length ?? 0) + (offlineQueue?.length ?? 0);
}

describe.skipIf(missing !== undefined)("[RED1] the link to Redis", () => {
  let redis: RealRedis;
  beforeAll(async () => void (redis = await RealRedis.start()));
  beforeEach(() => redis.wake());
  afterAll(() => redis[Symbol.asyncDispose]());

  test("answers or refuses within its deadline, takes no more than its bound, and keeps nothing of what it refused", async () => {
    await using opened = await open(redis.url);
    const { link, told } = opened;
    redis.hang();
    const fromMs = performance.now();
    const results = await Promise.allSettled(
      Array.from({ length: 5_000 }, (_, index) => link.commands.set(`key${index}`, "x".repeat(100))),
    );
    expect(performance.now() - fromMs).toBeLessThan(REDIS_MS + SLACK_MS);
    const errors = results.map((result) =>
      result.status === "rejected" ? (result.reason as unknown) : undefined,
    );
    const over = errors.filter((error) => hasCode(error, "TOO_MANY"));
    expect(over.length, "refused at the bound").toBeGreaterThan(5_000 - PENDING_MAX - 10);
    expect(errors.filter((error) => error === undefined)).toEqual([]);
    expect(link.isSound).toBe(false);
    expect(told.filter((line) => line.startsWith("redis:lost"))).toHaveLength(1);

    // From now on, however long it lasts: refused at once, and forgotten. What is kept does not depend on what is asked.
    for (let round = 0; round < 20; round++) {
      const askedMs = performance.now();
      const asked = await Promise.allSettled(Array.from({ length: 100 }, () => link.commands.get("key")));
      expect(asked.every(({ status }) => status === "rejected")).toBe(true);
      expect(performance.now() - askedMs).toBeLessThan(REDIS_MS);
      expect(link.pending).toBeLessThan(20); // its own looks, and the greeting of a new connection
      await link.subscribe(`topic${round}`);
    }
    await until("the library keeps nothing of it", () => kept(link) < 20);
    redis.wake();
    await until("it is back", () => link.isSound);
    expect(await link.commands.set("key", "y")).toBe("OK");
    const topics = (await redis.ask("PUBSUB", "CHANNELS", "topic*")) as string[];
    expect(topics, "all that was wanted meanwhile is listened to").toHaveLength(20);
  });

  test("takes what came while this process stood still for an answer in time", async () => {
    await using opened = await open(redis.url);
    const { link, told } = opened;
    const answers = Promise.all(Array.from({ length: 20 }, () => link.commands.set("key", "x")));
    const endsMs = performance.now() + 2 * REDIS_MS;
    while (performance.now() < endsMs); // as a long collection would, or SIGSTOP
    expect(await answers).toHaveLength(20);
    expect(link.isSound).toBe(true);
    expect(told).toEqual([]);
  });

  test.each(["in play", "in the middle of a greeting"])(
    "outlives connections that fall silent for ever %s",
    async (when) => {
      await using proxy = await HoldingProxy.start(redis.port);
      await using opened = await open(redis.url.replace(String(redis.port), String(proxy.port)));
      const { link } = opened;
      let renewed = 0;
      link.onRenewed = () => void renewed++;
      proxy.hold();
      const { held, opened: before } = proxy;
      if (when !== "in play") proxy.cut();
      await until("it is lost", () => !link.isSound);
      if (when !== "in play") await until("both are opened anew", () => proxy.opened >= before + 2);
      expect(proxy.held).toBeGreaterThan(held);
      proxy.abandon();
      await until("it is back", () => link.isSound, { ms: 5_000 });
      expect(renewed).toBeGreaterThan(0);
    },
  );

  test("outlives a server that accepts and says nothing", async () => {
    await using opened = await open(redis.url);
    const { link, told } = opened;
    redis.hang();
    await until("it is lost", () => !link.isSound);
    expect(told.join()).toMatch(/no answer/u);
    redis.wake();
    await until("it is back", () => link.isSound, { ms: 5_000 });
  });

  test("makes itself new connections when the old ones come to nothing, and leaves none behind", async () => {
    await using opened = await open(redis.url);
    const { link } = opened;
    const first = link.commands;
    redis.hang();
    await until("others are made", () => link.commands !== first);
    redis.wake();
    await until("it is back", () => link.isSound, { ms: 5_000 });
    await link.subscribe("afterwards");
    await until("only the new ones are there", async () => {
      const clients = String(await redis.ask("CLIENT", "LIST"));
      return clients.match(/name=ringside-link/gu)?.length === 2;
    });
    expect(await redis.ask("PUBSUB", "NUMSUB", "afterwards")).toEqual(["afterwards", 1]);
    expect(link.commands).not.toBe(first);
  });

  test("is told at once when Redis has forgotten what was written, though every command succeeds", async () => {
    await using opened = await open(redis.url);
    const { link, told } = opened;
    const { promise, resolve } = Promise.withResolvers<void>();
    await until("a second look", async () => Number(await redis.ask("GET", "link:mark:link")) > 1);
    link.onRenewed = resolve;
    await redis.ask("FLUSHALL");
    await promise;
    expect(link.isSound).toBe(true);
    expect(told).toEqual([]);
  });

  test("a mistake of the asker closes nothing", async () => {
    await using opened = await open(redis.url);
    const { link, told } = opened;
    await link.commands.set("text", "x");
    await expect(link.commands.hget("text", "field")).rejects.toThrow(/WRONGTYPE/u);
    await expect(link.commands.call("NOSUCHCOMMAND")).rejects.toThrow(/unknown command/u);
    expect(link.isSound).toBe(true);
    expect(told).toEqual([]);
  });

  test("[GATE8] the row of a room that was created elsewhere says where the room has answered since", async () => {
    await using opened = await open(redis.url);
    const whereabouts = new RoomWhereabouts(() => ({ processId: "this" }));
    const presence = new ClusterPresence({
      config: configFor(redis.url),
      link: opened.link,
      line: { ask: () => Promise.resolve([0, { roomId: "new", name: "n", processId: "creator" }]) },
      whereabouts,
      onError: (error) => expect.unreachable(String(error)),
    });
    const answered = new Promise<[number, { processId: string; publicAddress?: string }]>((resolve) => {
      void presence.subscribe("ipc:1", (reply) => resolve(reply as Awaited<typeof answered>));
    });
    await presence.publish("p:creator", [undefined, "1", []]);
    const [code, row] = await answered;
    expect([code, row.processId]).toEqual([0, "creator"]);
    whereabouts.answered("new", { processId: "next", publicAddress: "play/next" });
    expect([row.processId, row.publicAddress]).toEqual(["next", "play/next"]);
  });

  test("every call of a game's presence is answered, or refused with 503, in time", async () => {
    await using opened = await open(redis.url);
    const { link } = opened;
    const reported: unknown[] = [];
    const presence = new ClusterPresence({
      config: configFor(redis.url),
      link,
      line: { ask: () => Promise.resolve([1, "nobody"]) },
      whereabouts: new RoomWhereabouts(() => ({ processId: "this" })),
      onError: (error) => reported.push(error),
    });
    const asking: Readonly<Record<string, () => Promise<unknown>>> = {
      exists: () => presence.exists("a"),
      set: () => presence.set("a", "1"),
      setex: () => presence.setex("a", "1", 10),
      expire: () => presence.expire("a", 10),
      get: () => presence.get("a"),
      del: () => presence.del("a"),
      sadd: () => presence.sadd("s", "1"),
      smembers: () => presence.smembers("s"),
      sismember: () => presence.sismember("s", "1"),
      srem: () => presence.srem("s", "1"),
      scard: () => presence.scard("s"),
      sinter: () => presence.sinter("s", "s"),
      hset: () => presence.hset("h", "f", "1"),
      hincrby: () => presence.hincrby("h", "f", 1),
      hincrbyex: () => presence.hincrbyex("h", "f", 1, 10),
      hget: () => presence.hget("h", "f"),
      hgetall: () => presence.hgetall("h"),
      hdel: () => presence.hdel("h", "f"),
      hlen: () => presence.hlen("h"),
      incr: () => presence.incr("n"),
      decr: () => presence.decr("n"),
      llen: () => presence.llen("l"),
      rpush: () => presence.rpush("l", "1"),
      lpush: () => presence.lpush("l", "1"),
      rpop: () => presence.rpop("l"),
      lpop: () => presence.lpop("l"),
      brpop: () => presence.brpop("l", 0.2),
      channels: () => presence.channels(),
    };
    for (const [name, ask] of Object.entries(asking)) {
      await expect(ask(), `${name}, while all is well`).resolves.not.toBeInstanceOf(Error);
    }
    redis.hang();
    for (const round of ["before it is noticed", "afterwards"]) {
      const fromMs = performance.now();
      const results = await Promise.allSettled(
        Object.values(asking).map(async (ask) => {
          await ask();
        }),
      );
      expect(performance.now() - fromMs, round).toBeLessThan(REDIS_MS + SLACK_MS + 200); // brpop waits for its own time
      const codes = results.map((result) =>
        result.status === "rejected" ? (result.reason as { code?: unknown }).code : "answered",
      );
      expect(new Set(codes), round).toEqual(new Set([503]));
    }
    // What Colyseus does not wait for, or would hang on, never fails.
    expect(await presence.hset("roomcount", "p", "1,1")).toBe(false);
    expect(await presence.hincrbyex("ch:probe", "", 1, 1)).toBe(1);
    expect(await presence.hincrbyex("ch:probe", "", 1, 1)).toBe(2);
    expect(await presence.hincrbyex("ch:probe", "", -1, 1)).toBe(1);
    expect(await presence.hincrbyex("ch:probe", "", -1, 1)).toBe(0);
    const heard: unknown[] = [];
    await presence.subscribe("own", (message: unknown) => heard.push(message));
    await presence.publish("own", { a: [1] });
    expect(heard, "what is published here is heard here").toEqual([{ a: [1] }]);
    redis.wake();
    await until("it is back", () => link.isSound);
    await presence.publish("own", "again");
    await until("it is heard by way of Redis", () => heard.includes("again"));
    expect(reported).toEqual([]);
  });

  test("a wrong address is told at the start in one line, with what to do", async () => {
    const why = async (url: string): Promise<string> => {
      const failure: unknown = await RedisLink.open(configFor(url), systemClock, new EventBus()).then(
        async (link) => link.stop(),
        (error: unknown) => error,
      );
      return messageOf(failure);
    };
    expect(await why("redis://127.0.0.1:1")).toMatch(
      /no Redis answers at 127.0.0.1:1 .*start it, or correct REDIS_URL/u,
    );
    expect(await why(`redis://:wrong@127.0.0.1:${redis.port}`)).toMatch(
      /refuses the password: check REDIS_URL/u,
    );
    expect(await why(redis.url.replace("redis:", "redis+cluster:"))).toMatch(
      /is no Redis Cluster.*redis:\/\//u,
    );
    expect(await why("redis+sentinel://127.0.0.1:1/ours")).toMatch(
      /no Redis answers at 127.0.0.1:1 \(Sentinel\)/u,
    );
    await using member = await RealRedis.start([
      "--cluster-enabled",
      "yes",
      "--cluster-port",
      String(await freePort()),
    ]);
    expect(await why(member.url)).toMatch(/is part of a Redis Cluster: begin REDIS_URL with redis\+cluster/u);
    await using replica = await RealRedis.start(["--replicaof", "127.0.0.1", String(redis.port)]);
    expect(await why(replica.url)).toMatch(/is a replica and takes no writes/u);
  });
});
