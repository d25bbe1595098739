// When the author's hooks run, and when they must not: each call is written down with its process (kit/hooks-game.ts).

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalDriver, LocalPresence, matchMaker, RegisteredHandler, Room, type Client } from "@colyseus/core";
import { expect, inject, test } from "vitest";
import { WebSocket } from "ws";
import { Activation } from "../../src/actor/activation.ts";
import { Players } from "../../src/actor/players.ts";
import { restoreInto, type Readable } from "../../src/actor/restore.ts";
import { startPostgres } from "../../src/local/postgres.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type ClusterOptions, type TestCluster } from "../kit/cluster.ts";
import type { HookCall } from "../kit/hooks-game.ts";
import { Player } from "../kit/player.ts";
import { comeback } from "../kit/proofs.ts";
import { RawSocket } from "../kit/raw-socket.ts";
import { until } from "../kit/until.ts";

const LEASE = { LEASE_MS: "1500", LEASE_RENEW_MS: "150", LEASE_MARGIN_MS: "100" };
const FENCED = 75;
/** A WebSocket close, masked with zeros. */
const CLOSE_FRAME = Uint8Array.of(0x88, 0x80, 0, 0, 0, 0);

interface Game extends AsyncDisposable {
  readonly cluster: TestCluster;
  readonly log: string;
  /** What was written down so far, of one session if that is given. */
  readonly calls: (sessionId?: string) => HookCall[];
}

async function startGame(options: ClusterOptions = {}): Promise<Game> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-hooks-"));
  const log = join(folder, "calls");
  const cluster = await startCluster({
    ...options,
    game: "kit/hooks-game.ts",
    env: { CHECKPOINT_MS: "100", ...options.env },
  });
  return {
    cluster,
    log,
    calls: (sessionId) => {
      const lines = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
      const calls = lines.map((line) => JSON.parse(line) as HookCall);
      return sessionId === undefined ? calls : calls.filter((call) => call.sessionId === sessionId);
    },
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const names = (calls: HookCall[]): string[] => calls.map(({ hook }) => hook);

async function seatsOf(cluster: TestCluster, roomId: string): Promise<number> {
  const rows = await cluster.sql("SELECT 1 FROM seat WHERE room_id = $1", [roomId]);
  return rows.length;
}

test("[SEAT1] [SEAT2] a gateway that dies ends no session, whatever the room says of broken connections", async () => {
  await using game = await startGame();
  const { cluster, log, calls } = game;
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const players: Player[] = [];
  for (const room of ["plain", "brief", "old"]) {
    players.push(await cluster.place({ owner, gateway, room, options: { log } }));
  }
  for (const player of players) await player.ask("pid");
  await gateway.kill();
  for (const player of players) await until("the player is back", () => player.returns === 1);
  expect(players.map(({ sessionId }) => names(calls(sessionId)))).toEqual([
    ["onJoin", "onReconnect"],
    ["onJoin", "onDrop", "onReconnect"],
    ["onJoin", "onLeave", "back", "onReconnect"],
  ]);
  for (const player of players) expect(await seatsOf(cluster, player.roomId)).toBe(1);
  // Who leaves on purpose has left at once.
  for (const player of players) {
    await player.room.leave();
    await until("onLeave", () => names(calls(player.sessionId)).includes("onLeave"));
    await until("the room ends", async () => (await seatsOf(cluster, player.roomId)) === 0);
  }
});

test("[SEAT4] a room that says nothing of broken connections keeps a seat for SEAT_HOLD_MS, unless the player has left", async () => {
  await using game = await startGame({ nodes: 2, env: { SEAT_HOLD_MS: "3000" } });
  const { cluster, log, calls } = game;
  const owner = cluster.node("node-a");
  const stays = await cluster.place({ owner, gateway: owner, room: "plain", options: { log } });
  const drops = await cluster.joinTo(stays, owner);
  const leaves = await cluster.joinTo(stays, owner);
  for (const each of [drops, leaves]) {
    await each.ask("pid");
    each.room.reconnection.enabled = false;
  }
  const atMs = Date.now();
  drops.room.connection.close();
  leaves.room.connection.close(3_000);
  for (const each of [drops, leaves]) {
    await until("onLeave", () => calls(each.sessionId).length === 2);
    expect(names(calls(each.sessionId))).toEqual(["onJoin", "onLeave"]);
  }
  expect((calls(drops.sessionId)[1]?.at ?? 0) - atMs).toBeGreaterThanOrEqual(2_990);
  expect((calls(leaves.sessionId)[1]?.at ?? 0) - atMs).toBeLessThan(2_900);
  await until("one seat is left", async () => (await seatsOf(cluster, stays.roomId)) === 1);
  stays.expectUndisturbed();
});

test("[ROOM1] [REC4] onDispose does not run for a room that could not be opened", async () => {
  await using game = await startGame({ nodes: 2 });
  const { cluster, log, calls } = game;
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  // An id that is in use: the second room never was.
  const first = await Player.create(cluster.client(owner), "plain", { log, roomId: "the-only-one" });
  await expect(cluster.client(other).create("plain", { log, roomId: "the-only-one" })).rejects.toThrow();
  expect(names(calls()).filter((hook) => hook === "onCreate")).toHaveLength(2);
  expect(names(calls())).not.toContain("onDispose");
  await first.room.leave();
  await until("the first one ends", () => names(calls()).includes("onDispose"));

  const options = { log, failsOnce: true };
  const player = await cluster.place({ owner, gateway: other, room: "plain", options });
  await player.ask("pid");
  await cluster.untilSaved(player.roomId);
  const before = names(calls()).filter((hook) => hook === "onDispose").length;
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  await owner.kill();
  await restored;
  await until("the player is back", () => player.returns === 1);
  expect(names(calls()).filter((hook) => hook === "onRestoreRoom")).toHaveLength(2);
  expect(names(calls()).filter((hook) => hook === "onDispose")).toHaveLength(before);
});

test("[SEAT1] who leaves while onJoin runs leaves no seat behind", async () => {
  await using game = await startGame({ nodes: 1 });
  const { cluster, log, calls } = game;
  const owner = cluster.node("node-a");
  const stays = await Player.create(cluster.client(owner), "plain", { log });
  const response = await fetch(`http://127.0.0.1:${owner.publicPort}/matchmake/joinById/${stays.roomId}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ joinMs: 500 }),
  });
  const { processId, sessionId } = (await response.json()) as { processId: string; sessionId: string };
  const taken = cluster.events.next("seat:taken", (facts) => facts.sessionId === sessionId);
  const url = `ws://127.0.0.1:${owner.publicPort}/${processId}/${stays.roomId}?sessionId=${sessionId}`;
  const socket = new WebSocket(url);
  socket.on("error", () => {}); // the room may be quicker than the answer to the handshake
  await until("onJoin runs", () => names(calls(sessionId)).includes("onJoin"));
  socket.terminate();
  await taken;
  await until("its seat is given up", async () => (await seatsOf(cluster, stays.roomId)) === 1);
  expect(names(calls(sessionId))).toEqual(["onJoin", "onLeave"]);
  expect((await cluster.room(stays.roomId)).seats).toBe(1);
});

test("[OWN4] what a player says to a frozen room is bounded however little each message says, and they are closed once", () => {
  let closes = 0;
  // What `hold` reads of them, and nothing else.
  const client = { leave: () => void (closes += 1) } as unknown as Client;
  const parts = { config: { heldMessageBytesMax: 64 * 1_024 } };
  const players = new Players(parts as ConstructorParameters<typeof Players>[0]);
  const activation = new Activation("room" as never, "plain", 1 as never, {} as never);
  for (let each = 0; each < 60_000; each++) players.hold(activation, client, Buffer.alloc(0));
  expect(activation.held).toHaveLength(1_024);
  expect(closes).toBe(1);
});

test("[OWN4] a stale owner runs no hook after it thaws", async () => {
  await using game = await startGame({ env: LEASE });
  const { cluster, log, calls } = game;
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway, room: "brief", options: { log } });
  const drops = await cluster.joinTo(player, gateway);
  const raw = await RawSocket.join(owner, player.roomId, {});
  const empty = await cluster.place({ owner, gateway, room: "plain", options: { log } });
  await player.ask("pid");
  await cluster.untilSaved(player.roomId);
  drops.room.reconnection.enabled = false;
  empty.room.reconnection.enabled = false;
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  drops.room.connection.close();
  await until("onDrop", () => names(calls(drops.sessionId)).includes("onDrop"));
  owner.freeze();
  // It will hear of these when it wakes, and the second's seat has lapsed by then.
  raw.sendUnframed(CLOSE_FRAME);
  empty.room.connection.close(3_000);
  await restored;
  await until("the player is back", () => player.returns === 1);
  const thawedAtMs = Date.now();
  owner.thaw();
  expect(await owner.exited).toBe(FENCED);
  const late = calls().filter(({ pid, at }) => pid === owner.pid && at >= thawedAtMs);
  expect(late, "hooks of the old activation").toEqual([]);
  expect(calls(player.sessionId).at(-1)?.pid).not.toBe(owner.pid);
});

test("[OWN4] [SEAT2] who drops while Postgres is away for longer than a lease is back in their seat after it", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "ringside-hooks-pg-"));
  const server = await startPostgres({ dataDir });
  const signalAll = (signal: NodeJS.Signals): void => {
    const { pid } = server;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    for (const each of [pid, ...children]) {
      try {
        process.kill(each, signal);
      } catch (error) {
        // A backend may end between the list and the signal, and the server itself never.
        if (each === pid || (error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  };
  try {
    await using game = await startGame({
      stores: { databaseUrl: server.url, redisUrl: inject("redisUrl") },
      nodes: 2,
      env: { ...LEASE, FAILSAFE_MS: "0" },
    });
    const { cluster, log, calls } = game;
    const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
    const player = await cluster.place({ owner, gateway, room: "brief", options: { log } });
    await player.ask("pid");
    const lapsed = cluster.events.next("lease:lapsed", (_facts, from) => from === owner.nodeId);
    const regained = cluster.events.next("lease:regained", (_facts, from) => from === owner.nodeId);
    signalAll("SIGSTOP");
    await lapsed;
    player.room.connection.close();
    await systemClock.sleep(1_300); // this is the fault itself: longer than the room keeps a seat
    expect(names(calls(player.sessionId))).toEqual(["onJoin"]);
    signalAll("SIGCONT");
    const { at } = await regained;
    await until("the player is back", () => player.returns === 1);
    expect(names(calls(player.sessionId))).toEqual(["onJoin", "onDrop", "onReconnect"]);
    expect(calls(player.sessionId)[1]?.at).toBeGreaterThanOrEqual(at);
    expect(await player.ask("pid")).toBe(owner.pid);
    expect(player.drops).toBe(1);
  } finally {
    signalAll("SIGCONT");
    await server.stop();
    for (const folder of [server.home, dataDir]) rmSync(folder, { recursive: true, force: true });
  }
});

test("[OWN4] a seat does not lapse and a room does not end while the node has no lease: their time starts anew", async () => {
  // One node alone: nobody is there to judge it.
  await using game = await startGame({ nodes: 1, env: LEASE });
  const { cluster, log, calls } = game;
  const owner = cluster.node("node-a");
  const stays = await Player.create(cluster.client(owner), "brief", { log });
  const drops = await Player.join(cluster.client(owner), stays.roomId);
  const last = await Player.create(cluster.client(owner), "brief", { log });
  for (const each of [last, drops]) {
    await each.ask("pid");
    each.room.reconnection.enabled = false;
  }
  last.room.connection.close();
  await until("the last one of a room has lapsed", () => names(calls(last.sessionId)).includes("onLeave"));
  drops.room.connection.close();
  await until("onDrop", () => names(calls(drops.sessionId)).includes("onDrop"));
  // Empty since just now, and so about to end.
  expect(names(calls(last.sessionId))).toContain("onLeave");
  expect(names(calls())).not.toContain("onDispose");
  const regained = cluster.events.next("lease:regained");
  owner.freeze();
  await systemClock.sleep(1_700); // longer than the lease, and than the seat is kept
  owner.thaw();
  const { at } = await regained;
  await until("onLeave", () => names(calls(drops.sessionId)).includes("onLeave"));
  expect((calls(drops.sessionId).at(-1)?.at ?? 0) - at).toBeGreaterThanOrEqual(990);
  await until("onDispose", () => names(calls()).includes("onDispose"));
  expect((calls().find(({ hook }) => hook === "onDispose")?.at ?? 0) - at).toBeGreaterThanOrEqual(990);
  stays.expectUndisturbed();
});

test("[REC1] a locked room is locked by the time its row is written to the listing", async () => {
  const extras = { metadata: null, locked: true, private: false, unlisted: false, maxClients: 4 };
  const snapshot = { state: undefined, cached: undefined, room: extras, userData: {}, elapsedMs: 0 };
  const checkpoint = { seq: 1, ageMs: 0, bytes: Buffer.alloc(1) };
  const readable = { checkpoint, snapshot, newestSeq: 1 } as unknown as Readable;
  class Locked extends Room {
    override onCreate(): void {
      restoreInto(new Activation("room" as never, "locked", 2 as never, this), readable, 0);
    }
  }
  await matchMaker.setup(new LocalPresence(), new LocalDriver());
  matchMaker.addRoomType(Object.assign(new RegisteredHandler(Locked), { name: "locked" }));
  expect((await matchMaker.handleCreateRoom("locked", {})).locked).toBe(true);
});

test("[REC1] a locked room is listed as locked when it is restored", async () => {
  await using game = await startGame({ nodes: 2 });
  const { cluster, log } = game;
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway: other, room: "plain", options: { log } });
  await cluster.untilSaved(player.roomId);
  const seq = await cluster.newestSeq(player.roomId);
  await player.ask("lock");
  await until("that is saved", async () => (await cluster.newestSeq(player.roomId)) > seq);
  const back = comeback(cluster, player);
  const restored = cluster.events.next("room:restored");
  await owner.kill();
  await restored;
  expect((await cluster.listing(player.roomId))?.locked).toBe(true);
  await back;
});

test("[REC4] the first checkpoint after a damaged one takes a number of its own", async () => {
  await using game = await startGame({ nodes: 2 });
  const { cluster, log } = game;
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway: other, room: "plain", options: { log } });
  const friend = await cluster.joinTo(player, other);
  await friend.room.leave();
  await cluster.untilSaved(player.roomId);
  const newest = await until("a second checkpoint", async () => {
    const seq = await cluster.newestSeq(player.roomId);
    return seq > 1 && seq;
  });
  await cluster.sql("UPDATE checkpoint SET snapshot = '' WHERE room_id = $1 AND seq = $2", [
    player.roomId,
    newest,
  ]);
  const back = comeback(cluster, player);
  await owner.kill();
  expect(await back).toMatchObject({ checkpointSeq: newest - 1 });
  await until("a newer checkpoint", async () => (await cluster.newestSeq(player.roomId)) > newest);
  expect(cluster.events.of("checkpoint:failed")).toEqual([]);
});
