// Postgres and Redis go away and come back, each as a server of the test's own.

import { expect, inject, test } from "vitest";
import { NUMBERS } from "../../src/config.ts";
import type { EventName } from "../../src/events.ts";
import { startRedis } from "../../src/local/redis.ts";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import type { Heard } from "../kit/event-tap.ts";
import type { Player } from "../kit/player.ts";
import { privatePostgres, type PrivatePostgres } from "../kit/private-postgres.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";
const LEASE_MS = 3_000;
const LEASE = { LEASE_MS: String(LEASE_MS), LEASE_RENEW_MS: "400", LEASE_MARGIN_MS: "250" };
/** How often the test room ticks. */
const TICK_MS = 50;

/** The longest time between two ticks that a player saw, of those from `from` to `to`. */
function longestGapMs({ ticks }: Player, from: number, to: number): number {
  const times = [from, ...ticks.map(({ at }) => at).filter((at) => at > from && at < to), to];
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
}

/** Every node says this next. */
function everyNode<Name extends EventName>(cluster: TestCluster, name: Name): Promise<Heard<Name>[]> {
  return Promise.all(
    cluster.nodes.map((node) => cluster.events.next(name, (_facts, from) => from === node.nodeId)),
  );
}

/** Nobody was dropped, no room was moved, no node was lost. */
function expectNothingMoved(cluster: TestCluster, players: readonly Player[]): void {
  for (const each of players) each.expectUndisturbed();
  expect(cluster.nodes).toHaveLength(3);
  for (const name of ["node:lost", "node:fenced", "room:restored", "room:fenced"] as const) {
    expect(cluster.events.of(name), name).toEqual([]);
  }
}

/** Brings Postgres back; at the end, if a test fails before it does: to take the cluster down needs it. */
function comeback(bringBack: () => Promise<void>): { now: () => Promise<void> } & AsyncDisposable {
  let isBack = false;
  const now = (): Promise<void> => {
    isBack = true;
    return bringBack();
  };
  return { now, [Symbol.asyncDispose]: () => (isBack ? Promise.resolve() : now()) };
}

interface Absence {
  readonly what: string;
  /** Checkpoints of one room in the first interval after it. */
  readonly savedMax: number;
  readonly takeAway: (postgres: PrivatePostgres) => Promise<void>;
  readonly bringBack: (postgres: PrivatePostgres) => Promise<void>;
}

const ABSENCES: Absence[] = [
  {
    what: "crashes",
    savedMax: 1,
    takeAway: (postgres) => postgres.crash(),
    bringBack: (postgres) => postgres.restart(),
  },
  {
    what: "hangs",
    // What was sent to it is still carried out when it wakes: one statement for each connection that was open.
    savedMax: 1 + NUMBERS.postgresConnectionsMax.fallback,
    takeAway: (postgres) => postgres.hang(),
    bringBack: (postgres) => postgres.wake(),
  },
  {
    what: "is stopped fast",
    savedMax: 1,
    takeAway: (postgres) => postgres.stop("fast"),
    bringBack: (postgres) => postgres.restart(),
  },
  {
    what: "is stopped at once",
    savedMax: 1,
    takeAway: (postgres) => postgres.stop("immediate"),
    bringBack: (postgres) => postgres.restart(),
  },
  {
    what: "takes no writes",
    savedMax: 1,
    takeAway: (postgres) => postgres.takeWrites(false),
    bringBack: (postgres) => postgres.takeWrites(true),
  },
];

test.each(ABSENCES)(
  "[OWN7] [OWN6] [CKP4] [CKP6] Postgres $what for several leases: play goes on, and nothing piles up",
  async ({ savedMax, takeAway, bringBack }) => {
    await using postgres = await privatePostgres();
    const checkpointMs = 1_000;
    await using cluster = await startCluster({
      game: GAME,
      stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
      env: { ...LEASE, CHECKPOINT_MS: String(checkpointMs), CHECKPOINT_GENERATIONS: "50" },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const players = [
      await cluster.place({ owner: a, gateway: b }),
      await cluster.place({ owner: b, gateway: b }),
      await cluster.place({ owner: b, gateway: a }),
    ];
    for (const each of players) await each.ask("add", 6);
    for (const each of players) await cluster.untilSaved(each.roomId);
    const entered = everyNode(cluster, "failsafe:entered");

    await using back = comeback(() => bringBack(postgres));
    const from = Date.now();
    await takeAway(postgres);
    await entered;
    // Two leases more, by the rooms' own count.
    const ends = players.map(({ tick }) => tick + (2 * LEASE_MS) / TICK_MS);
    const rpo: number[] = [];
    await until(
      "the world to go on for two leases more",
      async () => {
        rpo.push((await cluster.report(a)).rpo.oldestMs);
        return players.every(({ tick }, index) => tick > (ends[index] ?? 0));
      },
      { ms: 30_000, seen: () => players.map(({ ticks, drops }) => ({ last: ticks.at(-1), drops })) },
    );
    expect(await players[0]?.ask("add", 1), "the world listens, too").toBe(7);
    const away = await cluster.report(b);
    expect(away.postgresAwayMs, "it really was away").toBeGreaterThan(2 * LEASE_MS);
    expect(
      away.rooms.map(({ phase }) => phase),
      "and nothing stood still",
    ).toEqual(players.map(() => "active"));
    for (const { rpoMs } of away.rooms)
      expect(rpoMs, "what a crash would cost").toBeGreaterThan(2 * LEASE_MS);
    expect(rpo.at(-1), "it grows, and is shown").toBeGreaterThan((rpo[0] ?? 0) + 500);
    expect(cluster.events.of("checkpoint:failed").length, "checkpoints that were tried").toBeGreaterThan(0);
    const to = Date.now();

    const left = everyNode(cluster, "failsafe:left");
    await back.now();
    const backAt = Date.now();
    await left;
    await until("all is well", async () => {
      const { postgresAwayMs, nodes, rooms, rpo: now } = await cluster.report(a);
      const isWell = nodes.length === 3 && nodes.every(({ state }) => state === "up");
      return postgresAwayMs === null && isWell && rooms.length === 3 && now.oldestMs < 2 * checkpointMs;
    });
    expect(Date.now() - backAt, "ms until all was well again").toBeLessThan(5_000);
    for (const each of players) {
      expect(longestGapMs(each, from, to), "the longest standstill").toBeLessThan(LEASE_MS / 2);
      await each.untilTicking();
    }
    expect(cluster.events.of("lease:lapsed")).toEqual([]);
    expectNothingMoved(cluster, players);
    // What was missed is not made up for: in the first interval there is one checkpoint a room.
    for (const { roomId } of players) {
      await until("two more checkpoints", async () => {
        const { count } = await savedSince(cluster, roomId, from + checkpointMs);
        return count >= 2;
      });
      const { inFirstInterval } = await savedSince(cluster, roomId, from + checkpointMs);
      expect(inFirstInterval).toBeGreaterThanOrEqual(1);
      expect(inFirstInterval).toBeLessThanOrEqual(savedMax);
    }
    // And what is checkpointed from now on is as good as before.
    const [player] = players;
    await cluster.untilSaved(player?.roomId ?? "");
    await a.kill();
    await until("the player is on another node", async () => (await player?.facts())?.pid !== a.pid);
    expect((await player?.inSync())?.players[player?.sessionId ?? ""]?.score).toBe(7);
  },
);

/** A room's checkpoints that were saved after a moment, and how many of them less than 800 ms after the first of these. */
async function savedSince(
  cluster: TestCluster,
  roomId: string,
  sinceMs: number,
): Promise<{ count: number; inFirstInterval: number }> {
  const [row] = await cluster.sql<{ count: number; first: number }>(
    `WITH later AS (SELECT saved_at FROM checkpoint WHERE room_id = $1 AND saved_at > to_timestamp($2::double precision / 1000))
     SELECT count(*)::integer AS count,
            count(*) FILTER (WHERE saved_at < (SELECT min(saved_at) FROM later) + interval '800 ms')::integer AS first
       FROM later`,
    [roomId, sinceMs],
  );
  return { count: row?.count ?? 0, inFirstInterval: row?.first ?? 0 };
}

test.each([
  { what: "without a failsafe, when it crashes", failsafeMs: 0, absence: ABSENCES[0] as Absence },
  { what: "without a failsafe, when it hangs", failsafeMs: 0, absence: ABSENCES[1] as Absence },
  { what: "for longer than the failsafe", failsafeMs: 3 * LEASE_MS, absence: ABSENCES[0] as Absence },
])(
  "[OWN4] [OWN5] [OWN6] [OWN7] Postgres is away $what: the world stands still, then goes on where it was",
  async ({ failsafeMs, absence }) => {
    await using postgres = await privatePostgres();
    await using cluster = await startCluster({
      game: GAME,
      stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
      env: { ...LEASE, CHECKPOINT_MS: "200", FAILSAFE_MS: String(failsafeMs) },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const players = [
      await cluster.place({ owner: a, gateway: b }),
      await cluster.place({ owner: b, gateway: b }),
    ];
    for (const each of players) await each.ask("add", 6);
    for (const each of players) await each.inSync();

    const lapses = everyNode(cluster, "lease:lapsed");
    await using back = comeback(() => absence.bringBack(postgres));
    const awayAt = Date.now();
    await absence.takeAway(postgres);
    const lapsed = await lapses;
    for (const { at } of lapsed) {
      // Counted from when Postgres last answered: a renewal before at most, give or take a busy machine.
      expect(at - awayAt).toBeGreaterThan(Math.max(failsafeMs, LEASE_MS) - 1_500);
    }
    expect(cluster.events.of("failsafe:entered").length > 0).toBe(failsafeMs > 0);
    // What is said meanwhile is heard afterwards, in order.
    const answers = players.map((each) => each.ask<number>("add", 1));
    const regains = everyNode(cluster, "lease:regained");
    await back.now();
    const regained = await regains;
    expect(await Promise.all(answers)).toEqual([7, 7]);

    for (const each of players) {
      await each.untilTicking();
      const owner = await cluster.ownerOf(each.roomId);
      const from = lapsed.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
      const to = regained.find(({ nodeId }) => nodeId === owner.nodeId)?.at ?? 0;
      expect(to - from, "ms without a lease").toBeGreaterThan(0);
      // 100 ms for what was on its way when the lease was over.
      expect(
        each.ticks.filter(({ at }) => at > from + 100 && at < to - 20),
        "the world while there was no lease",
      ).toEqual([]);
      const steps = each.ticks.map(({ tick }, index) => tick - (each.ticks[index - 1]?.tick ?? tick));
      expect(Math.min(...steps), "no step back").toBeGreaterThanOrEqual(0);
      expect(Math.max(...steps), "no leap ahead either").toBeLessThan(20);
      const after = await each.inSync();
      expect(after.players[each.sessionId]?.score).toBe(7);
      expect(after.calls[each.sessionId]).toEqual({ joins: 1, reconnects: 0, leaves: 0 });
      await expectOneOwner(cluster, each, 1);
    }
    expectNothingMoved(cluster, players);
  },
);

test("[REC1] [OWN5] [OWN7] an owner that dies while Postgres is away is replaced when Postgres is back; the others play on", async () => {
  await using postgres = await privatePostgres();
  await using cluster = await startCluster({
    game: GAME,
    stores: { databaseUrl: postgres.url, redisUrl: inject("redisUrl") },
    env: { ...LEASE, CHECKPOINT_MS: "200" },
  });
  const [a, b, c] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
  const player = await cluster.place({ owner: a, gateway: b });
  const bystander = await cluster.place({ owner: c, gateway: c });
  await player.ask("add", 13);
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  const away = everyNode(cluster, "failsafe:entered");
  await using back = comeback(() => postgres.restart());
  await postgres.crash();
  await away;
  await a.kill();
  const [from, diedAt] = [bystander.tick, Date.now()];
  // Two leases more: whoever is gone cannot promise anything any more, and holds up nobody.
  await until("the others play on", () => bystander.tick > from + (2 * LEASE_MS) / TICK_MS);
  expect(longestGapMs(bystander, diedAt, Date.now()), "the longest standstill").toBeLessThan(LEASE_MS / 2);
  expect(cluster.events.of("room:restored")).toEqual([]);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await back.now();
  expect((await restored).facts).toMatchObject({ epoch: 2, fromEpoch: 1 });
  const after = await player.inSync();
  expect(after.players[player.sessionId]).toMatchObject({ score: 13 });
  await expectOneOwner(cluster, player, 2);
  bystander.expectUndisturbed();
  await bystander.untilTicking();
  await expectOneOwner(cluster, bystander, 1);
});

test("[RED1] Redis is killed and starts empty: no player notices, and running rooms are found again", async () => {
  let redis = await startRedis();
  const { port, url } = redis;
  const password = decodeURIComponent(new URL(url).password);
  try {
    await using cluster = await startCluster({
      game: GAME,
      stores: { databaseUrl: inject("databaseUrl"), redisUrl: url },
    });
    const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
    const player = await cluster.place({ owner: a, gateway: b });
    await player.ask("add", 2);
    const losses = cluster.nodes.map((node) =>
      cluster.events.next("redis:lost", (_facts, from) => from === node.nodeId),
    );
    await redis.stop();
    await Promise.all(losses);
    const from = player.tick;
    // A second of play, by the room's own count.
    await until("the world goes on without Redis", () => player.tick > from + 20);
    for (const node of cluster.nodes) {
      const guest = await cluster
        .client(node)
        .joinById(player.roomId, { name: `without, via ${node.nodeId}` });
      await guest.leave();
    }
    expect(await player.ask("add", 3)).toBe(5);
    await player.inSync();

    const regains = cluster.nodes.map((node) =>
      cluster.events.next("redis:regained", (_facts, from) => from === node.nodeId),
    );
    redis = await startRedis({ port, password });
    await Promise.all(regains);
    await until("the room is listed again", () => cluster.listing(player.roomId));
    for (const node of cluster.nodes) {
      const friend = await cluster.client(node).joinOrCreate("probe", { name: `via ${node.nodeId}` });
      expect(friend.roomId, `found through ${node.nodeId}`).toBe(player.roomId);
      await friend.leave();
    }
    await player.inSync();
    player.expectUndisturbed();
    await expectOneOwner(cluster, player, 1);
    expect(cluster.nodes).toHaveLength(3);
  } finally {
    await redis.stop();
  }
});

test("[RED1] [REC1] an owner dies while Redis is away: its player is back all the same", async () => {
  const redis = await startRedis();
  await using cluster = await startCluster({
    game: GAME,
    stores: { databaseUrl: inject("databaseUrl"), redisUrl: redis.url },
    env: { CHECKPOINT_MS: "200" },
  });
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner: a, gateway: b });
  await player.ask("add", 17);
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  const losses = cluster.nodes.map((node) =>
    cluster.events.next("redis:lost", (_facts, from) => from === node.nodeId),
  );
  await redis.stop();
  await Promise.all(losses);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await a.kill();
  expect((await restored).facts).toMatchObject({ epoch: 2 });
  await until("the player is back", () => player.returns > 0);
  expect((await player.inSync()).players[player.sessionId]).toMatchObject({ score: 17 });
  await player.untilTicking();
  await expectOneOwner(cluster, player, 2);
});
