// Players who are signed in, on the stock SDK: as guests and by the game's backend, in rooms of every kind, through failovers.

import { Protocol } from "@colyseus/core";
import type { Client } from "@colyseus/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ask,
  Backend,
  refused,
  stranger as strangerTo,
  watch,
  type Given,
  type Seated,
  type SignedIn,
} from "../kit/auth-players.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { until } from "../kit/until.ts";

let backend: Backend;
let cluster: TestCluster;

beforeAll(async () => {
  backend = await Backend.make();
  cluster = await startCluster({
    nodes: 3,
    game: "kit/auth-game.ts",
    env: { CHECKPOINT_MS: "200", ...backend.env },
  });
});
afterAll(async () => cluster[Symbol.asyncDispose]());

const stranger = (node?: TestNode): Client => strangerTo(cluster, node);
const user = (userId: string, node?: TestNode, claims?: object): Promise<SignedIn> =>
  backend.user(cluster, userId, node, claims);

test("[AUTH1] a guest signs in by the SDK's own call, and any node's rooms know who they are", async () => {
  const client = stranger(cluster.node("node-a"));
  const given = (await client.auth.signInAnonymously()) as unknown as Given;
  expect(given.user).toMatchObject({ isGuest: true, userId: expect.stringMatching(/^guest-/) as unknown });
  const elsewhere = stranger(cluster.node("node-b"));
  elsewhere.auth.token = given.token;
  expect(await elsewhere.auth.getUserData()).toEqual({ user: given.user });
  for (const name of ["plain", "members", "instance"]) {
    const { room } = watch(await elsewhere.create(name, { hello: 1 }));
    expect(await ask(room, "who"), name).toEqual(given.user);
    const options = JSON.stringify(await ask(room, "options"));
    expect(options).toContain("hello");
    expect(options).not.toContain("ringside:login");
    expect(await ask(room, "fresh")).toEqual({ is: given.user });
    if (name === "instance") expect(await ask(room, "shown")).toEqual([given.token.split("~")[0]]);
    await room.leave();
  }
});

test("[AUTH1] without a login a game plays as ever, but for the rooms that want one", async () => {
  const client = stranger();
  const { room } = watch(await client.create("plain"));
  expect(await ask(room, "who")).toBeUndefined();
  expect(await ask(room, "fresh")).toEqual({});
  await room.leave();
  expect(await refused(client.create("members"))).toEqual({ code: 401, message: "sign in first" });
});

test("[AUTH3] a room's own onAuth is given a token that was found good, and never the refresh part", async () => {
  const { client, given } = await user("olga", undefined, { name: "Olga" });
  const { room } = watch(await client.create("own", { a: 1 }));
  const who = (await ask(room, "who")) as { token: string };
  expect(who).toEqual({ own: true, userId: "olga", token: given.token.split("~")[0], options: { a: 1 } });
  await room.leave();
  const plain = watch(await client.create("plain"));
  expect(await ask(plain.room, "who")).toEqual({ ...given.user, name: "Olga" });
  await plain.room.leave();
});

test("[AUTH3] what is said of a user does not choose the session of their seat", async () => {
  const claims = { sessionId: "chosen", name: "Ada" };
  const [one, two] = [await user("ada", undefined, claims), await user("eve", undefined, claims)];
  expect(one.given.user).toEqual({
    name: "Ada",
    userId: "ada",
    isGuest: false,
    loginId: expect.any(String) as string,
  });
  const first = watch(await one.client.create("plain"));
  const second = watch(await two.client.joinById(first.room.roomId));
  expect([first.room.sessionId, second.room.sessionId]).not.toContain("chosen");
  expect(await ask(first.room, "who")).toEqual(one.given.user);
  expect(await ask(second.room, "who")).toMatchObject({ userId: "eve" });
  await Promise.all([first.room.leave(), second.room.leave()]);
});

test("[AUTH5] an assertion of the game's backend signs in once, and only a good one", async () => {
  const client = stranger();
  const token = await backend.assertion("once");
  const post = (body: object): Promise<unknown> => client.http.post("/auth/exchange", { body });
  expect(await post({ token })).toMatchObject({ data: { user: { userId: "once", isGuest: false } } });
  expect(await refused(post({ token }))).toMatchObject({ code: 401 });
  expect(await refused(post({ token: await backend.assertion("guest-1") }))).toMatchObject({ code: 401 });
  expect(await refused(post({ token: `${token}x` }))).toMatchObject({ code: 401 });
  expect(await refused(post({ token: "x".repeat(10_000) }))).toMatchObject({ code: 401 });
  expect(await refused(post({}))).toMatchObject({ code: 401 });
});

test("[AUTH2] a client refreshes on any node and goes on as the same; one who is a guest already is no second one", async () => {
  const client = stranger();
  const first = (await client.auth.signInAnonymously()) as unknown as Given;
  const { data } = await client.http.post("/auth/refresh");
  const second = data as Given;
  expect(second.user).toEqual(first.user);
  expect(second.token).not.toBe(first.token);
  // From when the answer has left on, the one before is good for a moment only.
  await until("Postgres knows that it has left", async () => {
    const [row] = await cluster.sql("SELECT told_at FROM login WHERE login_id = $1", [first.user.loginId]);
    return row?.["told_at"] instanceof Date;
  });
  client.auth.token = second.token;
  const third = (await client.auth.signInAnonymously()) as unknown as Given;
  expect(third.user).toEqual(first.user);
  expect(client.auth.token).toBe(third.token);
  // The access part of the first is good until it expires; its refresh part, of two exchanges ago, ends the login.
  const thief = stranger();
  thief.auth.token = first.token;
  const { room } = watch(await thief.create("plain"));
  await room.leave();
  expect(await refused(thief.http.post("/auth/refresh"))).toMatchObject({
    code: 401,
    message: "this session was signed out: sign in again",
  });
  expect(await refused(client.http.post("/auth/refresh"))).toMatchObject({ code: 401 });
  await until("its access tokens are worth nothing", async () => {
    return (await refused(client.create("plain"))).code === 401;
  });
});

test("[AUTH4] signing out closes the open sockets on other nodes, for good", async () => {
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
  const { client, given } = await user("mona", a);
  const seated = watch(await client.create("keeping"));
  const bystander = watch(await (await user("other", a)).client.joinById(seated.room.roomId));
  const again = await user("mona", a); // another login of the same user
  const spared = watch(await again.client.joinById(seated.room.roomId));
  const elsewhere = stranger(b);
  elsewhere.auth.token = given.token;
  const started = Date.now();
  expect((await elsewhere.http.post("/auth/signout")).data).toEqual({ ended: 1 });
  await until("their socket is closed", () => seated.left !== undefined);
  expect(Date.now() - started).toBeLessThan(5_000);
  expect(seated.left).toBe(4401);
  expect(seated.drops).toBe(0);
  // The room's own rule would have kept the seat.
  await until("the room has given them up", () =>
    (bystander.room.state as { left: { toArray(): string[] } }).left
      .toArray()
      .includes(seated.room.sessionId),
  );
  expect([bystander.left, spared.left]).toEqual([undefined, undefined]);
  expect(await refused(client.create("plain"))).toMatchObject({ code: 401 });
  expect(await refused(client.reconnect(seated.room.reconnectionToken))).toMatchObject({ code: 401 });
  await Promise.all([bystander.room.leave(), spared.room.leave()]);
});

test("[AUTH3] a failover keeps client.auth, and gives no seat back to who was signed out meanwhile", async () => {
  const owner = cluster.node("node-c");
  const [a] = cluster.others(owner);
  const { client, given } = await user("faye", a, { name: "Faye" });
  let seated: Seated | undefined;
  for (let tries = 0; tries < 60; tries++) {
    seated = watch(await client.create("plain"));
    if ((await cluster.ownerOf(seated.room.roomId)) === owner) break;
    await seated.room.leave();
  }
  const { room } = seated as Seated;
  await ask(room, "touch");
  await cluster.untilSaved(room.roomId);
  const away = await user("gone", a);
  const other = watch(await away.client.joinById(room.roomId));
  other.room.reconnection.enabled = false;
  other.room.connection.close(4010); // as a broken connection, to the room
  await until("they are away", async () => (await cluster.room(room.roomId)).players === 1);
  await away.client.http.post("/auth/signout");
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === room.roomId, 40_000);
  await owner.kill();
  await restored;
  await until("they are back", async () => {
    return ((await ask(room, "who")) as Given["user"] | undefined)?.userId === "faye";
  });
  expect(await ask(room, "who")).toEqual({ ...given.user, name: "Faye" });
  expect(await ask(room, "fresh")).toEqual({ is: { ...given.user, name: "Faye" } });
  // By the way that the SDK itself takes, over the URL with the token of then, and by a page that was loaded again.
  const url = new URL((other.room.connection as unknown as { url: string }).url);
  url.searchParams.set("reconnectionToken", other.room.reconnectionToken.split(":")[1] ?? "");
  url.searchParams.set("skipHandshake", "1");
  const heard: (number | undefined)[] = [];
  const closed = await new Promise<number>((resolve) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => heard.push(new Uint8Array(data as ArrayBuffer)[0]));
    socket.addEventListener("close", ({ code }) => resolve(code));
  });
  expect(closed).toBe(4401);
  expect(heard).toEqual([Protocol.ERROR]); // not a moment in their seat
  expect(await refused(away.client.reconnect(other.room.reconnectionToken))).toMatchObject({ code: 401 });
  expect(seated?.left).toBeUndefined();
  await room.leave();
  await cluster.add("node-c");
  await cluster.untilLive();
});

test("[AUTH3] whoever asked for a seat is who sits down in it", async () => {
  const [one, two] = [await user("one"), await user("two")];
  const { data } = await one.client.http.post("/matchmake/create/plain", { body: {} });
  const seat = data as Parameters<Client["consumeSeatReservation"]>[0];
  await expect(two.client.consumeSeatReservation(seat)).rejects.toThrow("this token is not valid");
});

test("[AUTH3] a reconnection token opens the seat of a player who is signed in to that user only, by whatever login", async () => {
  const owner = await user("owner");
  const { room } = watch(await owner.client.create("plain"));
  room.reconnection.enabled = false;
  room.connection.close(4010); // as a broken connection, to the room
  await until("they are away", async () => (await cluster.room(room.roomId)).players === 0);
  const thief = await user("thief");
  expect(await refused(thief.client.reconnect(room.reconnectionToken))).toMatchObject({
    message: "seat reservation expired.",
  });
  expect(await refused(stranger().reconnect(room.reconnectionToken))).toMatchObject({
    message: "seat reservation expired.",
  });
  const again = await user("owner");
  const back = watch(await again.client.reconnect(room.reconnectionToken));
  expect(back.room.sessionId).toBe(room.sessionId);
  expect(await ask(back.room, "who")).toEqual(owner.given.user);
  await back.room.leave();
});

test("no token, and no part of one, is ever logged", async () => {
  const { client, given } = await user("logged");
  const { room } = watch(await client.create("plain"));
  await room.leave();
  const [access = "", refresh = ""] = given.token.split("~");
  const all = [...cluster.everyOutput, JSON.stringify(cluster.events.all)].join("\n");
  expect(all).not.toContain(access.slice(-40));
  expect(all).not.toContain(refresh.slice(0, 40));
});
