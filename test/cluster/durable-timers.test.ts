// Durable timers go on where the room goes on: after kill -9, after a drain, after its owner was frozen.

import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import type { Fired, Standing } from "../kit/timers-game.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/timers-game.ts";
/** A timer fires at the first tick after it is due: a busy machine may let that wait. */
const LATE_MS_MAX = 1_000;

async function firings(player: Player, timer?: string): Promise<Fired[]> {
  const all = await player.ask<Fired[]>("firings");
  return timer === undefined ? all : all.filter((fired) => fired.timer === timer);
}

function dueAt({ elapsedMs, leftMs }: Standing): number {
  if (leftMs === null) throw new Error("it is not armed");
  return elapsedMs + leftMs;
}

/** Has a room on `owner` with a timer that is due in `endsMs`, one that repeats, and without the one that onCreate sets. */
async function arm(cluster: TestCluster, owner: TestNode, gateway: TestNode, endsMs: number) {
  const player = await cluster.place({ owner, gateway, room: "timed" });
  await player.ask("close");
  const ends = dueAt(await player.ask("ends", { ms: endsMs, key: "red", payload: "3" }));
  const beat = dueAt(await player.ask("beat", 400));
  return { player, ends, beat };
}

type Armed = Awaited<ReturnType<typeof arm>>;

/** That the timers go on as if nothing had been: on the new node, once each, at the times by the room's clock. */
async function expectGoesOn({ player, ends, beat }: Armed, newOwner: TestNode): Promise<void> {
  expect(dueAt(await player.ask("standing", "ends:red")), "when it is due, by the room's clock").toBe(ends);
  const [end] = await until("the timer fires", async () => {
    const fired = await firings(player, "ends red");
    return fired.length > 0 && fired;
  });
  expect(end).toMatchObject({ payload: "3", pid: newOwner.pid });
  const beatsSoFar = (await firings(player, "beat")).length;
  await until("it beats on", async () => (await firings(player, "beat")).length >= beatsSoFar + 3);
  const all = await firings(player);
  expect(all.filter(({ timer }) => timer === "ends red")).toEqual([end]);
  expect(end?.elapsedMs).toBeGreaterThanOrEqual(ends);
  expect((end?.elapsedMs ?? Infinity) - ends).toBeLessThan(LATE_MS_MAX);
  const beats = all.filter(({ timer }) => timer === "beat");
  const turns = beats.map(({ elapsedMs }) => Math.floor((elapsedMs - beat) / 400));
  expect(new Set(turns).size, `one firing a turn: ${turns.join()}`).toBe(turns.length);
  expect(turns).toEqual(turns.toSorted((a, b) => a - b));
  expect(turns[0]).toBe(0);
  expect(new Set(beats.map(({ pid }) => pid)).size, "it beat on both nodes").toBe(2);
  expect(dueAt(await player.ask("standing", "beat")) % 400).toBe(beat % 400);
  expect(
    all.filter(({ timer }) => timer === "opening"),
    "what the room had cleared",
  ).toEqual([]);
}

test("[ROOM3] a timer that was armed when its owner was killed fires once on the next, by the room's clock", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "200" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const armed = await arm(cluster, owner, gateway, 6_000);
  await until("it beats", async () => (await firings(armed.player, "beat")).length >= 2);
  await cluster.untilSaved(armed.player.roomId);
  const back = comeback(cluster, armed.player);
  await owner.kill();
  await back;
  await until("the player is back", () => armed.player.returns === 1);
  await expectGoesOn(armed, await expectOneOwner(cluster, armed.player, 2));
});

test("[ROOM3] [MOVE1] after a drain the timers go on, however long ago the last checkpoint was", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "600000" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const armed = await arm(cluster, owner, gateway, 5_000);
  await until("it beats", async () => (await firings(armed.player, "beat")).length >= 2);
  const before = await firings(armed.player);
  const back = comeback(cluster, armed.player);
  expect(await owner.drain()).toBe(0);
  await back;
  await until("the player is back", () => armed.player.returns === 1);
  expect((await firings(armed.player)).slice(0, before.length)).toEqual(before);
  await expectGoesOn(armed, await expectOneOwner(cluster, armed.player, 2));
});

test("[ROOM3] [OWN4] while its owner is without the lease no timer fires, and the room's clock stands", async () => {
  await using cluster = await startCluster({ game: GAME, nodes: 1, env: { LEASE_MS: "1500" } });
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, gateway: owner, room: "timed" });
  const ends = dueAt(await player.ask("ends", { ms: 3_000, key: "", payload: "" }));
  const lapsed = cluster.events.next("lease:lapsed");
  const regained = cluster.events.next("lease:regained");
  owner.freeze();
  // Only a frozen process tells nothing: its own row says when the lease is over, and then as long again.
  await until("the lease is long over", async () => {
    const [row] = await cluster.sql<{ over: boolean }>(
      "SELECT lease_until + interval '3 seconds' < now() AS over FROM node",
    );
    return row?.over === true;
  });
  owner.thaw();
  await lapsed;
  await regained;
  const [end] = await until("the timer fires", async () => {
    const fired = await firings(player, "ends");
    return fired.length > 0 && fired;
  });
  expect((end?.elapsedMs ?? Infinity) - ends, "not the time that it was frozen").toBeLessThan(LATE_MS_MAX);
});

test("[ROOM1] [ROOM3] what a durable timer throws stays in the room, is reported, and does not come again", async () => {
  await using cluster = await startCluster({ game: GAME, nodes: 1 });
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, gateway: owner, room: "timed" });
  const threw = cluster.events.next("room:threw");
  await player.ask("bad");
  expect((await threw).facts).toMatchObject({
    roomId: player.roomId,
    where: "timer",
    error: expect.stringContaining("thrown by a durable timer"),
  });
  await player.ask("beat", 50);
  await until("the room goes on", async () => (await firings(player, "beat")).length >= 5);
  expect(await firings(player, "bad")).toHaveLength(1);
  player.expectUndisturbed();
});
