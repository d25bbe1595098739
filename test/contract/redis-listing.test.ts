// The listing by itself, against a real server: what it makes of rows that are none, of reads that fail, and of words from
// others.

import type { IRoomCache } from "@colyseus/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RoomListing } from "../../src/colyseus/room-listing.ts";
import { RoomWhereabouts } from "../../src/colyseus/room-whereabouts.ts";
import { readConfig } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import { RedisLink } from "../../src/redis/link.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { RealRedis, whyNoRedisServer } from "../kit/real-redis.ts";
import { until } from "../kit/until.ts";

const missing = whyNoRedisServer();
if (missing !== undefined) console.warn(`redis-listing.test.ts is skipped: ${missing}`);
const redisTest = test.skipIf(missing !== undefined);

const ROWS = "listing:roomcaches";
let redis: RealRedis;
let link: RedisLink;
let listing: RoomListing;
/** What the owners say, where they are asked. */
let owners: IRoomCache[] = [];
let isOwnerSilent = false;

const row = (roomId: string, clients: number, name = "match"): IRoomCache =>
  ({ roomId, clients, name, processId: "p", locked: false, private: false, maxClients: 8 }) as IRoomCache;

beforeAll(async () => {
  if (missing !== undefined) return;
  redis = await RealRedis.start();
  const config = readConfig({
    NODE_ID: "listing",
    DATABASE_URL: "postgres://localhost/none",
    CLUSTER_KEY: "a key of some length",
    KEY_PREFIX: "listing:",
    REDIS_URL: redis.url,
    REDIS_MS: "200",
  });
  link = await RedisLink.open(config, systemClock, new EventBus());
  listing = new RoomListing({
    link,
    line: {
      rowOf: (roomId) =>
        isOwnerSilent
          ? Promise.reject(new Error("silent"))
          : Promise.resolve(owners.find((owned) => owned.roomId === roomId)),
      rowsOfOthers: () => Promise.resolve(owners),
    },
    ownRooms: () => [],
    whereabouts: new RoomWhereabouts(() => ({ processId: "this" })),
    onError: () => {},
  });
});
afterAll(async () => {
  if (missing !== undefined) return;
  await link.stop();
  await redis[Symbol.asyncDispose]();
});

redisTest("it finds, filters and sorts what stands in Redis, and takes for no row what is none", async () => {
  await listing.persist(row("a", 3));
  await listing.persist(row("b", 1));
  await listing.persist(row("c", 2, "other"));
  await redis.ask("HSET", ROWS, "junk", "}{", "list", "[1]", "null", "null", "half", `{"roomId":"half"}`);
  expect((await listing.query({})).map(({ roomId }) => roomId).sort()).toEqual(["a", "b", "c"]);
  expect((await listing.query({ name: "match" }, { clients: 1 })).map(({ roomId }) => roomId)).toEqual([
    "b",
    "a",
  ]);
  expect((await listing.findOne({ name: "match", locked: false }, { clients: -1 })).roomId).toBe("a");
  expect((await listing.findByIds(["a", "c", "x"])).size).toBe(2);
  expect(await listing.has("junk")).toBe(false);
});

redisTest(
  "what Redis does not know is asked of the owner, and that nobody knows it is said only when it is so",
  async () => {
    owners = [row("unlisted", 5)];
    expect(await listing.findOne({ roomId: "unlisted" })).toMatchObject({ clients: 5 });
    expect(await listing.findOne({ roomId: "nobodys" })).toBeUndefined();
    isOwnerSilent = true;
    await expect(listing.findOne({ roomId: "nobodys" })).rejects.toMatchObject({ code: 503 });
    isOwnerSilent = false;
  },
);

redisTest("[RED1] a read that fails is answered by the owners, and not remembered", async () => {
  owners = [row("by its owner", 4)];
  redis.hang();
  expect((await listing.findOne({ name: "match" })).roomId).toBe("by its owner");
  expect(link.isSound).toBe(false);
  expect((await listing.query({ name: "match" })).map(({ roomId }) => roomId)).toEqual(["by its owner"]);
  expect(await listing.persist(row("d", 1)), "a write that fails fails nobody").toBe(false);
  redis.wake();
  await until("it is back, and others have had the time to write", () => link.isSettled);
  expect((await listing.query({ name: "match" })).map(({ roomId }) => roomId).sort()).toEqual(["a", "b"]);
  expect(listing.takeIncomplete(), "what was not written is known to be missing").toBe(true);
});

redisTest("[RED1] that a process missed a ping deletes none of its rows", async () => {
  const before = await redis.ask("HLEN", ROWS);
  await listing.cleanup("p");
  expect(await redis.ask("HLEN", ROWS)).toBe(before);
});

redisTest("[RED1] rows that Redis has lost are not taken for rooms that are not there", async () => {
  owners = [row("by its owner", 4)];
  await until("what it holds is believed", () => link.isSettled);
  expect((await listing.query({ name: "match" })).map(({ roomId }) => roomId).sort()).toEqual(["a", "b"]);
  await redis.ask("FLUSHALL");
  const found = async (): Promise<string[]> => (await listing.query({})).map(({ roomId }) => roomId);
  expect(await found(), "before it can have been noticed otherwise").toEqual(["by its owner"]);
  await until(
    "this node has written again",
    async () => (await redis.ask("GET", "listing:mark:listing")) !== null,
  );
  expect(await found(), "while others may not have written yet").toEqual(["by its owner"]);
  await until("what it holds is believed again", () => link.isSettled);
  expect(await found()).toEqual([]);
});
