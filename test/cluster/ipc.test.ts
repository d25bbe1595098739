// What nodes ask of each other: what a game may call of a room elsewhere, that Redis carries none of it, and that two clusters
// can share a Redis.

import { Redis } from "ioredis";
import { expect, inject, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/ipc-game.ts", nodes: 2 };

test("[IPC1] a game calls what its own room class offers, and gets an answer whatever becomes of the call", async () => {
  await using cluster = await startCluster(GAME);
  const [here, there] = [cluster.node("node-a"), cluster.node("node-b")];
  const caller = await cluster.place({ owner: here, room: "calling" });
  const called = await cluster.place({ owner: there, room: "calling" });
  const call = (method: string, args?: unknown[]): Promise<{ answer?: unknown; error?: string }> =>
    caller.ask("call", { roomId: called.roomId, method, ...(args && { args }) });

  expect(await call("whereAmI", ["there"])).toEqual({ answer: there.pid });
  expect(await call("roomName")).toEqual({ answer: "calling" });
  expect(await call("hasReachedMaxClients", [])).toEqual({ answer: false });
  for (const [method, args] of [
    ["circle", []],
    ["throwing", []],
    ["rejecting", []],
    ["nothing", []],
    ["constructor", ["x"]],
    ["trap", undefined],
    ["__proto__", undefined],
    ["_onLeave", [null]],
    ["onDispose", []],
    ["_reserveSeat", [{}, {}]],
  ] as [string, unknown[]?][]) {
    expect(await call(method, args), method).toEqual({ error: expect.any(String) as string });
  }
  expect(cluster.nodes).toHaveLength(2);
  await called.untilTicking();
  await called.inSync();
  called.expectUndisturbed();
});

test("[RED2] nothing that is published in Redis is carried out", async () => {
  await using cluster = await startCluster(GAME);
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, room: "calling" });
  const prefix = String(cluster.settings["KEY_PREFIX"]);
  await using redis = Object.assign(new Redis(inject("redisUrl")), {
    [Symbol.asyncDispose]: async () => void (await redis.quit()),
  });
  const processId = (await cluster.listing(player.roomId))?.processId ?? "";
  const messages: unknown[] = [
    ["disconnect", "id", []],
    ["lock", "id", []],
    "no array",
    null,
    7,
    { length: 3 },
  ];
  for (const channel of [`$${player.roomId}`, `p:${processId}`, "ipc:id"]) {
    for (const name of [channel, prefix + channel]) {
      for (const message of messages) await redis.publish(name, JSON.stringify(message));
      await redis.publish(name, "}{");
    }
  }
  // What comes after them on the same connections has come: so have they.
  await player.ask("tell", "the last word");
  await until("the last word was heard", async () =>
    (await player.ask<string[]>("heard")).includes("the last word"),
  );
  expect((await player.facts()).locked).toBe(false);
  await player.untilTicking();
  player.expectUndisturbed();
  expect(cluster.nodes).toHaveLength(2);
});

test("[IPC2] two clusters share a Redis and know nothing of each other", async () => {
  await using one = await startCluster(GAME);
  await using other = await startCluster(GAME);
  const [inOne, inOther] = [
    await one.place({ owner: one.node("node-a"), room: "calling" }),
    await other.place({ owner: other.node("node-b"), room: "calling" }),
  ];
  const rooms = (player: Player): Promise<string[]> => player.ask<string[]>("listed");
  expect(await rooms(inOne)).toEqual([inOne.roomId]);
  expect(await rooms(inOther)).toEqual([inOther.roomId]);
  await expect(Player.join(one.client(), inOther.roomId)).rejects.toThrow();
  // Who asks for any room gets one of their own cluster.
  const joined = new Player(await other.client().joinOrCreate("calling"));
  expect(joined.roomId).toBe(inOther.roomId);
  await inOne.ask("tell", "said in one");
  await inOther.ask("tell", "said in the other");
  await until("each hears its own", async () => (await inOne.ask<string[]>("heard")).length > 0);
  await until("each hears its own", async () => (await inOther.ask<string[]>("heard")).length > 0);
  expect(await inOne.ask("heard")).toEqual(["said in one"]);
  expect(await inOther.ask("heard")).toEqual(["said in the other"]);
  await inOne.ask("keep", "of one");
  await inOther.ask("keep", "of the other");
  expect(await inOne.ask("kept")).toBe("of one");
  const called = await inOne.ask<{ error?: string }>("call", {
    roomId: inOther.roomId,
    method: "whereAmI",
    args: [1],
  });
  expect(called.error).toEqual(expect.any(String));
});
