// Logins that end, keys that are rotated, stores that are away: what players on the stock SDK see of it.

import { createHmac, randomUUID } from "node:crypto";
import http from "node:http";
import { Client } from "@colyseus/sdk";
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import {
  ask,
  Backend,
  refused,
  stranger,
  watch,
  type Given,
  type Seated,
  type SignedIn,
} from "../kit/auth-players.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { FaultProxy } from "../kit/fault-proxy.ts";
import { runSessions, type Told } from "../kit/operator.ts";
import { HoldingProxy } from "../kit/redis-proxy.ts";
import { until } from "../kit/until.ts";

const STORE_MS = 1_000;

let backend: Backend;
let redis: HoldingProxy;
let cluster: TestCluster;
let [a, b]: [TestNode, TestNode] = [] as never; // set before the first test

beforeAll(async () => {
  backend = await Backend.make();
  const redisUrl = new URL(inject("redisUrl"));
  redis = await HoldingProxy.start(Number(redisUrl.port));
  redisUrl.port = String(redis.port);
  cluster = await startCluster({
    nodes: 2,
    game: "kit/auth-game.ts",
    env: { STORE_MS: String(STORE_MS), ...backend.env },
    stores: { databaseUrl: inject("databaseUrl"), redisUrl: redisUrl.href },
  });
  [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

const user = (userId: string, node?: TestNode): Promise<SignedIn> => backend.user(cluster, userId, node);

function sessions(...args: string[]): Promise<Told> {
  return runSessions({ PATH: process.env["PATH"] ?? "", DATABASE_URL: cluster.databaseUrl }, ...args);
}

/** What is promised, and what a busy machine adds. */
const IN_TIME_MS = 5_000 + 3_000;

/** How long after `work` was done this player's connection is closed. */
async function ended(seated: Seated, work: () => Promise<unknown>): Promise<number> {
  await work();
  const startedMs = performance.now();
  await until("the connection is closed", () => seated.left !== undefined, { ms: 30_000 });
  return performance.now() - startedMs;
}

test("[AUTH4] an operator suspends a user: their connections are closed everywhere, and they are told why and until when", async () => {
  const first = await user("cheater", a);
  const second = await user("cheater", b);
  const one = watch(await first.client.create("keeping"));
  const two = watch(await second.client.joinById(one.room.roomId));
  const other = watch(await (await user("fair", b)).client.joinById(one.room.roomId));
  const ms = await ended(one, async () => {
    const told = await sessions("suspend", "cheater", "--for", "2h", "--reason", "aimbot");
    expect(told).toMatchObject({ code: 0, stdout: expect.stringContaining("aimbot") as unknown });
  });
  await until("the other one, too", () => two.left !== undefined);
  expect(ms).toBeLessThan(IN_TIME_MS);
  expect([one.left, two.left, other.left]).toEqual([4403, 4403, undefined]);
  expect([one.drops, two.drops]).toEqual([0, 0]);
  const why = {
    code: 403,
    message: expect.stringMatching(/^this account is suspended until 20.*Z: aimbot$/) as unknown,
  };
  expect(await refused(first.client.create("plain"))).toMatchObject(why);
  expect(await refused(first.client.http.post("/auth/refresh"))).toMatchObject(why);
  expect(await refused(user("cheater", b))).toMatchObject(why);
  expect(await refused(second.client.reconnect(two.room.reconnectionToken))).toMatchObject(why);
  expect(await sessions("lift", "cheater")).toMatchObject({ code: 0 });
  expect(await sessions("lift", "cheater")).toMatchObject({ code: 1 });
  // The login itself had never ended.
  const room = await until("they may play again", () => second.client.create("plain"));
  await room.leave();
  const log = await cluster.sql<{ name: string }>(
    "SELECT name FROM event WHERE node_id = 'operator' ORDER BY id",
  );
  expect(log.map(({ name }) => name)).toEqual(["user:suspended", "user:lifted"]);
  await ended(other, () => sessions("signout", "fair"));
  expect(other.left).toBe(4401);
});

test("[AUTH4] freshAuth knows at once what the rest of the cluster learns in a moment", async () => {
  const { client, given } = await user("late", a);
  const { room } = watch(await client.create("plain"));
  expect(await ask(room, "fresh")).toEqual({ is: given.user });
  await cluster.sql("UPDATE login SET ended_at = now() - interval '1 hour' WHERE login_id = $1", [
    given.user.loginId,
  ]);
  expect(await ask(room, "fresh")).toEqual({ refused: "SESSION_REVOKED" });
});

test("[AUTH4] also without Redis a sign-out closes connections on other nodes in time", async () => {
  const { client, given } = await user("alone", a);
  const seated = watch(await client.create("plain"));
  const lost = Promise.all(
    cluster.nodes.map((node) => cluster.events.next("redis:lost", (_facts, from) => from === node.nodeId)),
  );
  redis.hold();
  await lost;
  try {
    const elsewhere = stranger(cluster, b);
    elsewhere.auth.token = given.token;
    expect(await client.auth.getUserData()).toEqual({ user: given.user }); // which that node now believes for a while
    const ms = await ended(seated, () => elsewhere.http.post("/auth/signout"));
    expect(seated.left).toBe(4401);
    expect(ms).toBeLessThan(15_000);
    expect(await refused(client.auth.getUserData()), "from then on at the latest").toMatchObject({
      code: 401,
    });
    expect(await refused(client.create("plain"))).toMatchObject({ code: 401 });
  } finally {
    const regained = cluster.events.next("redis:regained");
    redis.resume();
    await regained;
  }
  expect(redis.held).toBeGreaterThan(0);
});

test("[AUTH6] keys are rotated under players: nobody is signed out, and a retired key's tokens count no more", async () => {
  const { client, given } = await user("patient", a);
  const seated = watch(await client.create("plain"));
  const oldKid = decodeProtectedHeader(given.token.split("~")[0] ?? "").kid ?? "";
  expect((await sessions("keys")).stdout).toBe(`${oldKid}  signs\n`);
  expect(await sessions("retire-key", oldKid)).toMatchObject({ code: 1 });
  const signing = Promise.all(
    cluster.nodes.map((node) =>
      cluster.events.next(
        "keys:changed",
        ({ signs }, from) => from === node.nodeId && signs !== oldKid,
        40_000,
      ),
    ),
  );
  expect(await sessions("rotate-key")).toMatchObject({ code: 0 });
  // Whoever refreshes all the time, on both nodes, is refused by neither at any moment of it.
  const [one, two] = [stranger(cluster, a), stranger(cluster, b)];
  one.auth.token = given.token;
  let isOver = false;
  const busy = (async () => {
    while (!isOver) {
      for (const [asking, other] of [
        [one, two],
        [two, one],
      ] as const) {
        other.auth.token = ((await asking.http.post("/auth/refresh")).data as Given).token;
        await other.auth.getUserData();
      }
    }
  })();
  const changed = await signing;
  isOver = true;
  await busy;
  const newKid = changed[0]?.facts.signs ?? "";
  expect(changed.map(({ facts }) => facts.kids)).toEqual([
    [newKid, oldKid],
    [newKid, oldKid],
  ]);
  const room = await client.create("plain"); // by the old token
  await room.leave();
  const fresh = ((await one.http.post("/auth/refresh")).data as Given).token;
  expect(decodeProtectedHeader(fresh.split("~")[0] ?? "").kid).toBe(newKid);
  const published = (await one.http.get("/auth/keys")).data as { keys: { kid: string; d?: string }[] };
  expect(published.keys.map(({ kid, d }) => [kid, d])).toEqual([
    [newKid, undefined],
    [oldKid, undefined],
  ]);

  expect(await sessions("retire-key", oldKid)).toMatchObject({ code: 0 });
  for (const node of [a, b]) {
    const old = stranger(cluster, node);
    old.auth.token = given.token;
    await until("the old token is refused", async () => (await refused(old.create("plain"))).code === 401);
  }
  expect(seated.left).toBeUndefined();
  // Whose connection breaks comes back with the URL of then, which has a token of the retired key.
  seated.room.connection.close(4010);
  await until("they are back", async () => (await ask(seated.room, "who")) !== undefined);
  expect(await ask(seated.room, "who")).toEqual(given.user);
  expect(await ask(seated.room, "fresh")).toEqual({ is: given.user });
  expect(seated.left).toBeUndefined();
  // And with it their connection still ends when they are signed out.
  one.auth.token = fresh;
  await ended(seated, () => one.http.post("/auth/signout"));
  expect(seated.left).toBe(4401);
});

test("[AUTH1] every bad token is a 401 with one line, for a join, a question and an upgrade, on both nodes", async () => {
  const { client, given } = await user("model", a);
  const access = given.token.split("~")[0] ?? "";
  const [, payload = ""] = access.split(".");
  const header = decodeProtectedHeader(access);
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const { keys } = (await client.http.get("/auth/keys")).data as { keys: { x: string }[] };
  const hmacHead = `${encode({ ...header, alg: "HS256" })}.${payload}`;
  const hmac = createHmac("sha256", Buffer.from(keys[0]?.x ?? "", "base64url"))
    .update(hmacHead)
    .digest("base64url");
  const stranger_ = await generateKeyPair("EdDSA");
  const forge = (change: object, head: object = {}): Promise<string> =>
    new SignJWT({ ...decodeJwt(access), ...change })
      .setProtectedHeader({ ...header, alg: "EdDSA", ...head })
      .sign(stranger_.privateKey);
  const bad: Record<string, string> = {
    none: `${encode({ ...header, alg: "none" })}.${payload}.`,
    "the public key as a secret": `${hmacHead}.${hmac}`,
    "another key": await forge({}),
    "an unknown key": await forge({}, { kid: "unknown" }),
    changed: `${access.slice(0, -4)}AAAA`,
    huge: `${access}${"A".repeat(5_000)}`,
    garbage: "x",
    "a refresh token alone": given.token.split("~")[1] ?? "",
    "an assertion": await backend.assertion("model"),
  };
  for (const node of [a, b]) {
    for (const [what, token] of Object.entries(bad)) {
      const page = stranger(cluster, node);
      page.auth.token = token;
      expect(await refused(page.create("plain")), what).toEqual({
        code: 401,
        message: "this token is not valid: sign in again",
      });
      expect(await refused(page.auth.getUserData()), what).toMatchObject({ code: 401 });
      expect(await refused(page.http.post("/auth/refresh")), what).toMatchObject({ code: 401 });
      const told = await upgrade(node, `/p/room?sessionId=s&_authToken=${token.slice(0, 3_500)}`);
      expect(told, what).toMatchObject({ status: 401, body: { code: "TOKEN_REFUSED" } });
    }
  }
});

/** What a player's upgrade is answered with, when it is not one. */
function upgrade(node: TestNode, path: string): Promise<{ status: number | undefined; body: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.from(randomUUID().slice(0, 16)).toString("base64"),
    };
    const request = http.get({ host: "127.0.0.1", port: node.publicPort, path, headers, agent: false });
    request.on("error", reject);
    request.on("upgrade", () => reject(new Error("it was let in")));
    request.on("response", (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk)));
      response.on("end", () => resolve({ status: response.statusCode, body: JSON.parse(text) as unknown }));
    });
  });
}

test("[AUTH2] without Postgres a refresh is 503 in time and harms nothing; access tokens are good meanwhile", async () => {
  await using proxy = await FaultProxy.start(inject("databaseUrl"));
  await using cut = await startCluster({
    nodes: 1,
    game: "kit/auth-game.ts",
    env: { STORE_MS: String(STORE_MS), LEASE_MS: "3000", LEASE_RENEW_MS: "400", ...backend.env },
    stores: { databaseUrl: proxy.through(inject("databaseUrl")), redisUrl: inject("redisUrl") },
  });
  const { client, given } = await backend.user(cut, "waiter");
  const page = await client.create("plain");
  proxy.hold();
  try {
    const startedMs = performance.now();
    expect(await refused(client.http.post("/auth/refresh"))).toMatchObject({ code: 503 });
    expect(performance.now() - startedMs).toBeLessThan(STORE_MS + 1_500);
    expect(await client.auth.getUserData()).toEqual({ user: given.user });
    expect(await refused(stranger(cut).auth.signInAnonymously())).toMatchObject({ code: 503 });
  } finally {
    proxy.resume();
  }
  expect(proxy.bites.held).toBeGreaterThan(0);
  // What was held arrives now, and may have exchanged the token, with nobody to hear of it.
  const again = await until("a refresh", async () => (await client.http.post("/auth/refresh")).data as Given);
  expect(again.user).toEqual(given.user);
  client.auth.token = again.token;
  const third = (await client.http.post("/auth/refresh")).data as Given;
  expect(third.user).toEqual(given.user);
  await page.leave();
});

test("[AUTH3] a page can keep the refresh part out of URLs, as the README says", async () => {
  const { given } = await user("careful", a);
  const client = new Client(`ws://127.0.0.1:${a.publicPort}`, {
    urlBuilder: (url) => url.href.replace(/~[\w-]+/, ""),
  });
  client.auth.token = given.token;
  const { room } = watch(await client.create("plain"));
  const { url } = room.connection as unknown as { url: string };
  expect(url).toContain("_authToken=");
  expect(url).not.toContain("~");
  expect(await ask(room, "who")).toEqual(given.user);
  expect(((await client.http.post("/auth/refresh")).data as Given).user).toEqual(given.user);
  await room.leave();
});

test("[AUTH1] where logins are required nobody joins without one", async () => {
  await using strict = await startCluster({
    nodes: 1,
    game: "kit/auth-game.ts",
    env: { SESSIONS: "required", GUESTS: "off", ...backend.env },
  });
  const nobody = stranger(strict);
  expect(await refused(nobody.create("plain"))).toEqual({ code: 401, message: "sign in first" });
  expect(await refused(nobody.create("own"))).toEqual({ code: 401, message: "sign in first" });
  expect(await refused(nobody.auth.signInAnonymously())).toMatchObject({ code: 403 });
  const { client } = await backend.user(strict, "somebody");
  await (await client.create("plain")).leave();
});

test("[AUTH1] where SESSIONS is off nobody asks who players are", async () => {
  await using open = await startCluster({ nodes: 1, game: "kit/auth-game.ts", env: { SESSIONS: "off" } });
  const anybody = stranger(open);
  anybody.auth.token = "the game's own";
  const { room } = watch(await anybody.create("plain"));
  expect(await ask(room, "who")).toBeUndefined();
  expect(await ask(room, "fresh")).toEqual({ refused: "NO_CLUSTER" });
  await room.leave();
  expect(await refused(anybody.http.post("/auth/refresh"))).toMatchObject({ code: 404 });
});
