// What the front door counts for the whole cluster, on two nodes' links to a real Redis: together while it is there, each for
// itself and without waiting while it is not. And alike on the Redis that a cluster on one machine has.

import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import { OPEN_MS, OpenSeats, type OpenSeat } from "../../src/front-door/open-seats.ts";
import { Rate, WINDOW_S } from "../../src/front-door/rate.ts";
import { RedisLink } from "../../src/redis/link.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { fakeClock } from "../kit/fake-clock.ts";
import { RealRedis, whyNoRedisServer } from "../kit/real-redis.ts";
import { until } from "../kit/until.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`door-limits.test.ts is skipped in part: ${missing}`);

const REDIS_MS = 300;
/** What a busy machine adds to a deadline. */
const SLACK_MS = 500;
const MAX = 5;
let prefixes = 0;

async function openTwo(
  redisUrl: string,
): Promise<{ links: readonly [RedisLink, RedisLink] } & AsyncDisposable> {
  const keyPrefix = `door-${process.pid}-${prefixes++}:`;
  const open = (nodeId: string): Promise<RedisLink> =>
    RedisLink.open(
      readConfig({
        NODE_ID: nodeId,
        DATABASE_URL: "postgres://localhost/none",
        CLUSTER_KEY: "a key of some length",
        KEY_PREFIX: keyPrefix,
        REDIS_URL: redisUrl,
        REDIS_MS: String(REDIS_MS),
      }),
      systemClock,
      new EventBus(),
    );
  const links = [await open("a"), await open("b")] as const;
  return {
    links,
    [Symbol.asyncDispose]: async () => void (await Promise.all(links.map((link) => link.stop()))),
  };
}

/** How many of so many calls are let through, and how long the slowest took. */
async function tryOut(
  rate: Rate,
  times: number,
  key = "ada",
): Promise<{ taken: number; slowestMs: number; waits: number[] }> {
  const results = await Promise.all(
    Array.from({ length: times }, async () => {
      const fromMs = performance.now();
      const waitMs = await rate.take(key);
      return { waitMs, tookMs: performance.now() - fromMs };
    }),
  );
  return {
    taken: results.filter(({ waitMs }) => waitMs === undefined).length,
    slowestMs: Math.max(...results.map(({ tookMs }) => tookMs)),
    waits: results.flatMap(({ waitMs }) => (waitMs === undefined ? [] : [waitMs])),
  };
}

const ratesOf = (links: readonly RedisLink[], name: string): [Rate, Rate] => {
  const [a, b] = links.map((link) => new Rate({ name, max: MAX, link }));
  if (a === undefined || b === undefined) throw new Error("there are two links");
  return [a, b];
};

const anOpenOne = (seat: OpenSeat | number): OpenSeat => {
  if (typeof seat === "number") throw new Error("there were too many");
  return seat;
};

const kinds = [
  ["a real Redis", async () => RealRedis.start(), missing !== undefined],
  [
    "the Redis of a local cluster",
    async () => ({ url: inject("redisUrl"), [Symbol.asyncDispose]: async () => {} }),
    false,
  ],
] as const;

describe.each(kinds.filter(([, , isMissing]) => !isMissing))("on %s", (_kind, start) => {
  let redis: { readonly url: string } & AsyncDisposable;
  beforeAll(async () => void (redis = await start()));
  afterAll(() => redis[Symbol.asyncDispose]());

  test("[DOOR5] two nodes count together, whoever it is for by themselves, and say when to come again", async () => {
    await using both = await openTwo(redis.url);
    const [here, there] = ratesOf(both.links, "joins");
    expect((await tryOut(here, 3)).taken).toBe(3);
    const rest = await tryOut(there, 5);
    expect(rest.taken).toBe(MAX - 3);
    for (const waitMs of rest.waits) {
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(WINDOW_S * 1_000);
    }
    expect((await tryOut(here, 1)).taken).toBe(0);
    expect((await tryOut(here, 9, "bob")).taken).toBe(MAX);
    expect(await here.take(undefined), "nobody in particular").toBeUndefined();
    const off = new Rate({ name: "joins", max: 0, link: both.links[0] });
    expect((await tryOut(off, 1_000)).taken).toBe(1_000);
  });

  test("[DOOR6] a seat counts from being asked for until it is taken, at whichever node; or fails, or lapses", async () => {
    await using both = await openTwo(redis.url);
    const clock = fakeClock(1_700_000_000_000);
    const [here, there] = both.links.map((link) => new OpenSeats({ clock, link }));
    if (here === undefined || there === undefined) throw new Error("there are two links");
    const owners = [
      { key: "user:ada", max: 2 },
      { key: "address:x", max: 3 },
    ];
    const first = anOpenOne(await here.open(owners));
    first.made("session-1");
    anOpenOne(await there.open(owners)).made("session-2");
    expect(await here.open(owners), "the user has two").toBe(0);
    const bobs = anOpenOne(await there.open([{ key: "user:bob", max: 2 }, owners[1]!]));
    expect(await here.open([{ key: "user:eve", max: 2 }, owners[1]!]), "the address has three").toBe(1);
    expect(
      typeof (await here.open([
        { key: undefined, max: 1 },
        { key: "user:ada", max: 0 },
      ])),
    ).toBe("object");

    await until(
      "it is known at the other node, too",
      async () => (await both.links[1].commands.exists("door:seat:session-1")) === 1,
    );
    await there.taken("session-1"); // reserved at the other
    await there.taken("of somebody who returns");
    anOpenOne(
      await until("one is taken", async () => {
        const seat = await here.open(owners);
        return typeof seat === "object" && seat;
      }),
    ).failed();
    anOpenOne(
      await until("one has failed", async () => {
        const seat = await there.open(owners);
        return typeof seat === "object" && seat;
      }),
    );
    bobs.failed();
    expect(await here.open(owners)).toBe(0);

    clock.advance(OPEN_MS);
    anOpenOne(await here.open(owners));
    anOpenOne(await there.open(owners));
    expect(await there.open(owners)).toBe(0);
  });

  test("[DOOR6] of many that are asked for at the same time at two nodes none is too many", async () => {
    await using both = await openTwo(redis.url);
    const nodes = both.links.map((link) => new OpenSeats({ clock: systemClock, link }));
    const seats = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => nodes[index % 2]!.open([{ key: "user:ada", max: 10 }])),
    );
    expect(seats.filter((seat) => typeof seat === "object").length).toBeLessThanOrEqual(10);
  });
});

describe.skipIf(missing !== undefined)("[DOOR5] while Redis is not to be relied on", () => {
  let redis: RealRedis;
  beforeAll(async () => void (redis = await RealRedis.start()));
  afterAll(() => redis[Symbol.asyncDispose]());

  test.each(["killed", "hung"] as const)(
    "%s: each node counts for itself, up to the same number, nobody waits longer than its deadline, and twice nobody at all",
    async (how) => {
      await using both = await openTwo(redis.url);
      const [here, there] = ratesOf(both.links, "joins");
      expect((await tryOut(here, 3)).taken).toBe(3);
      const clock = fakeClock(1_700_000_000_000);
      const seats = new OpenSeats({ clock, link: both.links[0] });
      const first = anOpenOne(await seats.open([{ key: "a", max: 2 }]));
      first.made("session-1");

      if (how === "killed") await redis.kill();
      else redis.hang();
      const caught = await tryOut(here, 20);
      expect(caught.taken, "as if it had not counted before").toBe(MAX);
      expect(caught.slowestMs).toBeLessThan(REDIS_MS + SLACK_MS);
      await until("the links have found out", () => both.links.every(({ isSound }) => !isSound));
      const after = await tryOut(there, 20);
      expect(after.taken).toBe(MAX);
      expect(after.slowestMs, "not asked at all").toBeLessThan(REDIS_MS / 2);
      expect((await tryOut(there, 20)).taken).toBe(0);

      const fromMs = performance.now();
      anOpenOne(await seats.open([{ key: "a", max: 2 }]));
      expect(await seats.open([{ key: "a", max: 2 }]), "by its own memory").toBe(0);
      await seats.taken("session-1");
      anOpenOne(await seats.open([{ key: "a", max: 2 }]));
      clock.advance(OPEN_MS);
      anOpenOne(await seats.open([{ key: "a", max: 2 }]));
      expect(performance.now() - fromMs).toBeLessThan(REDIS_MS / 2);

      if (how === "killed") await redis.restart();
      else redis.wake();
      await until("the links are sound again", () => both.links.every(({ isSound }) => isSound));
      const [again, andThere] = ratesOf(both.links, `again-${how}`);
      expect((await tryOut(again, 3)).taken + (await tryOut(andThere, 5)).taken, "together again").toBe(MAX);
    },
  );

  test("a flood beyond the limit is none at Redis", async () => {
    await using both = await openTwo(redis.url);
    const [here] = ratesOf(both.links, "flood");
    await tryOut(here, MAX + 1);
    const calls = async (): Promise<number> => {
      const stats = String(await redis.ask("INFO", "commandstats"));
      return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    };
    const before = await calls();
    expect(before).toBeGreaterThan(0);
    expect((await tryOut(here, 1_000)).taken).toBe(0);
    expect(await calls()).toBe(before);
  });
});
