// Commits from everywhere an author may begin one, and through everything that may happen to one.

import { randomUUID } from "node:crypto";
import { defineRoom, defineServer } from "@colyseus/core";
import { Client } from "@colyseus/sdk";
import { WebSocketTransport } from "@colyseus/ws-transport";
import pg from "pg";
import { expect, inject, test } from "vitest";
import { startCluster, type ClusterOptions, type TestCluster } from "../kit/cluster.ts";
import { CommitRoom, ENTRY_TABLE, type Way, type Went } from "../kit/commit-game.ts";
import { Player } from "../kit/player.ts";
import { privatePostgres } from "../kit/private-postgres.ts";
import { until } from "../kit/until.ts";

/** No checkpoint by itself: what comes back was saved by commits. */
const SELDOM = { CHECKPOINT_MS: "600000" };

async function start(options: ClusterOptions = {}): Promise<TestCluster> {
  const cluster = await startCluster({ game: "kit/commit-game.ts", ...options });
  await cluster.sql(ENTRY_TABLE);
  return cluster;
}

async function keysOf(cluster: TestCluster): Promise<string[]> {
  return (await cluster.sql<{ key: string }>("SELECT key FROM public.entry ORDER BY key")).map(
    ({ key }) => key,
  );
}

function mirrorOf(player: Player): { begun: number; done: number; tick: number; ballast: string } {
  return player.mirror as unknown as { begun: number; done: number; tick: number; ballast: string };
}

/** Asks until there is an answer: the room may be on its way to another node. */
function enter(player: Player, key: string, way: Way = "plain"): Promise<number> {
  return until(`an answer to ${key}`, () => player.ask<number>("enter", { key, way }), { ms: 30_000 });
}

test.each(["timer", "tick"])("[COM1] a commit from a %s outlives the node it was made on", async (from) => {
  await using cluster = await start({ env: SELDOM });
  const player = await cluster.place({ room: "commits" });
  const owner = await cluster.ownerOf(player.roomId);
  player.send("later", { key: "one", from });
  await until("it is durable", async () => (await player.ask<Went[]>("went")).some(({ as }) => as === "ok"));
  await owner.kill();
  await until("the room is elsewhere", async () => (await player.ask<number>("pid")) !== owner.pid);
  await until("its state is what was committed", () => mirrorOf(player).done === 1);
  expect(await keysOf(cluster)).toEqual(["one"]);
});

test("[COM1] what the last player's leave and the room's end commit stands when the room is gone", async () => {
  await using cluster = await start({ env: SELDOM });
  for (const options of [
    { onLeave: "leave" },
    { onDispose: "end" },
    { onLeave: "l", onDispose: "e" },
    { afterDispose: "afterwards" },
  ]) {
    const player = await cluster.place({ room: "commits", options });
    const disposed = cluster.events.next("room:disposed", ({ roomId }) => roomId === player.roomId);
    await player.room.leave();
    await disposed;
  }
  expect(await keysOf(cluster)).toEqual(["afterwards", "e", "end", "l", "leave"]);
  expect(cluster.events.of("room:threw")).toEqual([]);
});

test("[COM1] [COM4] [MOVE1] commits through a drain: each is here or there, once, and none is undone", async () => {
  await using cluster = await start({ env: SELDOM });
  const owner = cluster.node("node-a");
  const gateway = cluster.node("node-b");
  const player = await cluster.place({ room: "commits", owner, gateway });
  const keys = Array.from({ length: 300 }, () => randomUUID());
  const answers = new Map<string, number>();
  const refusals = new Set<string>();
  let drained: Promise<number | string> | undefined;
  // As many at once as they like: the room's own queue puts them in order.
  const asking = keys.map(async (key, index) => {
    await until("its turn", () => answers.size + 20 > index);
    if (index === 100) drained = owner.drain();
    answers.set(
      key,
      await until(
        `an answer to ${key}`,
        async () => {
          try {
            return await player.ask<number>("enter", { key });
          } catch (error) {
            const { code, message } = error as { code?: string; message: string };
            refusals.add(code ?? message.replace(/".*"/, "…").replace(/^.*closed.*$/i, "closed"));
            return undefined;
          }
        },
        { ms: 30_000 },
      ),
    );
  });
  await Promise.all(asking);
  expect(await drained).toBe(0);
  expect(await keysOf(cluster)).toEqual(keys.toSorted());
  expect([...answers.values()].sort((a, b) => a - b)).toEqual(keys.map((_, index) => index + 1));
  await until("the state holds them all", () => mirrorOf(player).done === keys.length);
  console.info("refused meanwhile with", [...refusals]);
});

test("[MOVE1] a room that is ending when its node leaves ends there, and once", async () => {
  await using cluster = await start({ env: SELDOM });
  // Wherever it is: a room that was left for being elsewhere would have made the entry.
  const player = await cluster.place({ room: "commits", options: { afterDispose: "end" } });
  const owner = await cluster.ownerOf(player.roomId);
  await player.room.leave();
  await until("its last commit is under way", async () => {
    const rows = await cluster.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.3)'");
    return rows.length === 1;
  });
  expect(await owner.drain()).toBe(0);
  expect(await keysOf(cluster)).toEqual(["end"]);
  const disposed = cluster.events.of("room:disposed").filter(({ facts }) => facts.roomId === player.roomId);
  expect(disposed.map(({ nodeId }) => nodeId)).toEqual([owner.nodeId]);
  expect(cluster.events.of("room:restored")).toEqual([]);
});

test("[MOVE1] a leave that is under way when its room moves is done where it began, and once", async () => {
  await using cluster = await start({ env: SELDOM });
  const player = await cluster.place({ room: "commits", options: { slowLeave: ["first", "second"] } });
  const witness = await cluster.joinTo(player, undefined);
  const owner = await cluster.ownerOf(player.roomId);
  const leaving = player.room.leave();
  await until("its hook has begun", async () => (await keysOf(cluster)).includes("first"));
  expect(await owner.drain()).toBe(0);
  await leaving;
  await until("the witness is back", () => witness.returns === 1);
  expect((await cluster.room(player.roomId)).seats).toBe(1);
  expect(await keysOf(cluster)).toEqual(["first", "second"]);
  // Had the next owner been told of the leave too, its first entry would have been refused.
  expect(cluster.events.of("room:threw")).toEqual([]);
  expect(mirrorOf(witness).done).toBe(2);
});

test("[MOVE1] a room whose last player has left while it is moved ends where it is opened next, and there only", async () => {
  const env = { ...SELDOM, STORE_MS: "10000", COMMIT_MS: "20000", SEAT_HOLD_MS: "1000" };
  await using cluster = await start({ env });
  const options = { onLeave: "leave", onDispose: "end" };
  const player = await cluster.place({ room: "commits", options });
  const owner = await cluster.ownerOf(player.roomId);
  // The leave waits for its commit, which waits for us.
  await cluster.sql("BEGIN");
  await cluster.sql("LOCK TABLE public.entry IN EXCLUSIVE MODE");
  player.room.leave().catch(() => {}); // its node goes first
  await until("the commit of the leave waits", async () => {
    const waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'public.entry'::regclass";
    return (await cluster.sql(waiting)).length === 1;
  });
  const isIt = ({ roomId }: { roomId: string }): boolean => roomId === player.roomId;
  const disposed = cluster.events.next("room:disposed", isIt, 60_000);
  const drained = owner.drain();
  await until("it is on its way", async () => (await cluster.room(player.roomId)).phase === "moving");
  await cluster.sql("COMMIT");
  expect(await drained).toBe(0);
  expect((await disposed).nodeId).not.toBe(owner.nodeId);
  // Had its onDispose run twice, the second one's entry would have been refused.
  expect(cluster.events.of("room:threw")).toEqual([]);
  expect(await keysOf(cluster)).toContain("end");
});

test("[COM2] a checkpoint is never of half a commit, however often one is due", async () => {
  await using cluster = await start({ env: { CHECKPOINT_MS: "50" } });
  const player = await cluster.place({ room: "commits" });
  let whole = 0;
  for (const round of [1, 2, 3]) {
    const owner = await cluster.ownerOf(player.roomId);
    const [before, half] = [`before ${round}`, `half ${round}`];
    whole = await enter(player, before, "halves");
    // Checkpoints go on in between, and stop while the state is half changed.
    await cluster.untilSaved(player.roomId);
    player.ask("enter", { key: half, way: "halves" }).catch(() => {}); // its node dies
    await until("half of it is seen", () => mirrorOf(player).begun === whole + 1);
    expect(mirrorOf(player).done).toBe(whole);
    const from = mirrorOf(player).tick;
    await until("checkpoints were due", () => mirrorOf(player).tick > from + 5);
    const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
    await owner.kill();
    await restored;
    await until("the player is back", () => player.ask("pid"));
    await until("neither half is there", () => mirrorOf(player).begun === whole, {
      seen: () => mirrorOf(player),
    });
    expect(mirrorOf(player).done).toBe(whole);
    expect(await keysOf(cluster)).not.toContain(half);
    whole = await enter(player, half);
    expect(mirrorOf(player).tick).toBeGreaterThan(0);
    await cluster.add(owner.nodeId);
  }
  expect(await keysOf(cluster)).toHaveLength(whole);
});

test("[COM4] whoever asks again while Postgres takes its time is answered when it is durable, not before", async () => {
  await using cluster = await start({ env: SELDOM });
  const player = await cluster.place({ room: "commits" });
  const owner = await cluster.ownerOf(player.roomId);
  const other = new pg.Client({ connectionString: cluster.databaseUrl });
  await other.connect();
  try {
    await other.query("BEGIN; LOCK TABLE public.entry IN SHARE MODE");
    const told: unknown[] = [];
    const asking = ["first", "again", "once more"].map((name) =>
      player.ask("enter", { key: "slow" }).then(
        (answer) => told.push([name, answer]),
        () => undefined,
      ),
    );
    await until("the commit waits for Postgres", async () => {
      const [row] = await cluster.sql<{ count: number }>(
        "SELECT count(*)::integer AS count FROM pg_locks WHERE NOT granted",
      );
      return row?.count === 1;
    });
    // They have been heard by now: the room answers in order.
    await player.ask("pid");
    expect(told, "answers that nothing stands behind").toEqual([]);
    await owner.kill();
    await Promise.all(asking);
    expect(told).toEqual([]);
    await other.query("ROLLBACK");
  } finally {
    await other.end();
  }
  expect(await enter(player, "slow")).toBe(1);
  expect(await keysOf(cluster)).toEqual(["slow"]);
});

test("[COM1] [COM5] what cannot be committed is undone and said without a word of SQL, and the room plays on", async () => {
  await using cluster = await start({ env: { CHECKPOINT_BYTES_MAX: "50000" } });
  const player = await cluster.place({ room: "commits" });
  const ways = [
    ["huge", "ROOM_TOO_LARGE"],
    ["bad-sql", "COMMIT_REFUSED"],
    ["no-row", "COMMIT_REFUSED"],
  ] as const;
  for (const [way, code] of ways) {
    for (const ask of ["enter", "plain"]) {
      const failed = player.ask(ask, { key: way, way });
      await expect(failed).rejects.toMatchObject({ code });
      await failed.catch((error: Error) => {
        expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(
          /secret_table|INSERT|UPDATE|relation|rows/i,
        );
      });
    }
  }
  await expect(player.ask("enter", { key: "throws", way: "throws" })).rejects.toMatchObject({
    name: "TypeError",
    message: "the rules say no",
  });
  expect(await player.ask("enter", { key: "good" })).toBe(1);
  // What failed is not remembered: asked again, it is tried again.
  expect(await player.ask("enter", { key: "throws" })).toBe(2);
  await player.untilTicking();
  expect(mirrorOf(player)).toMatchObject({ begun: 2, done: 2, ballast: "" });
  expect(await keysOf(cluster)).toEqual(["good", "throws"]);
  player.expectUndisturbed();
});

test("[COM5] a forgotten await is told once, and brings nothing down when it fails", async () => {
  await using cluster = await start();
  const player = await cluster.place({ room: "commits" });
  const told = cluster.events.next("commit:not-awaited", ({ roomId }) => roomId === player.roomId);
  player.send("forget", "plain");
  await told;
  player.send("forget", "bad-sql");
  player.send("forget", "throws");
  expect(await player.ask("enter", { key: "after" })).toBe(2);
  expect(await keysOf(cluster)).toEqual(["after", "forgotten-plain"]);
  expect(cluster.events.of("commit:not-awaited")).toHaveLength(1);
  expect(cluster.nodes).toHaveLength(3);
  player.expectUndisturbed();
});

test.each([
  ["crashes", "crash", "restart"],
  ["hangs", "hang", "wake"],
] as const)(
  "[COM5] Postgres %s: commits say so in time, players stay, and it goes on when it is back",
  async (_does, takeAway, bringBack) => {
    await using postgres = await privatePostgres();
    await using cluster = await start({
      stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
      env: { COMMIT_MS: "1000" },
    });
    const player = await cluster.place({ room: "commits" });
    expect(await player.ask("enter", { key: "before" })).toBe(1);
    const everywhere = (event: "failsafe:entered" | "failsafe:left"): Promise<unknown> =>
      Promise.all(
        cluster.nodes.map(({ nodeId }) => cluster.events.next(event, (_facts, from) => from === nodeId)),
      );
    const goesOn = everywhere("failsafe:entered");
    await postgres[takeAway]();
    for (const from of ["timer", "tick"]) player.send("later", { key: `away ${from}`, from });
    const went = await until("both have ended", async () => {
      const all = await player.ask<Went[]>("went");
      return all.length === 2 && all;
    });
    for (const { as, tookMs } of went) {
      expect(["POSTGRES_UNREACHABLE", "COMMIT_UNKNOWN"]).toContain(as);
      expect(tookMs).toBeLessThan(1_000 + 500); // the timer's own lateness on a busy machine
    }
    await goesOn;
    const regained = everywhere("failsafe:left");
    await postgres[bringBack]();
    await regained;
    // Those before it have been settled by then, one way or the other: Postgres may have had a COMMIT on its desk as it halted.
    const done = await enter(player, "after");
    expect(await keysOf(cluster)).toHaveLength(done);
    await until("state and table agree", async () => {
      const { begun, done: entries } = mirrorOf(player);
      return begun === entries && entries === (await keysOf(cluster)).length;
    });
    player.expectUndisturbed();
  },
);

test("[ROOM2] the same class on a plain Colyseus server: its commands are refused with the reason, the rest works", async () => {
  const transport = new WebSocketTransport();
  const server = defineServer({
    rooms: { commits: defineRoom(CommitRoom) },
    transport,
    gracefullyShutdown: false,
    greet: false,
  });
  await server.listen(0);
  try {
    const address = transport.server?.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const player = await Player.create(new Client(`ws://127.0.0.1:${port}`), "commits");
    await expect(player.ask("enter", { key: "plain" })).rejects.toMatchObject({ code: "NO_CLUSTER" });
    player.send("later", { key: "later", from: "tick" });
    const [went] = await until("the room knows why", async () => {
      const all = await player.ask<Went[]>("went");
      return all.length > 0 && all;
    });
    expect(went?.why).toContain("does not run in a Ringside cluster");
    await player.untilTicking();
    expect(mirrorOf(player)).toMatchObject({ begun: 0, done: 0 });
  } finally {
    await server.gracefullyShutdown(false);
  }
});
