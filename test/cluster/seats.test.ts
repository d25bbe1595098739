// Seats: who may sit where after a node's death, and how the room hears of it.

import { Client, Protocol } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";
const SELDOM = { CHECKPOINT_MS: "600000" };

test("[SEAT1] [SEAT2] a player who joined after the last checkpoint keeps the seat, and joins the restored room", async () => {
  await using cluster = await startCluster({ game: GAME, env: SELDOM });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const early = await cluster.place({ owner, gateway, room: "quiet", options: { name: "early" } });
  // A new room is saved at once; from here on never again.
  await until("the first checkpoint", async () => (await cluster.newestSeq(early.roomId)) > 0);
  const [first] = await cluster.sql<{ seq: number }>("SELECT seq FROM checkpoint WHERE room_id = $1", [
    early.roomId,
  ]);
  const late = await cluster.joinTo(early, gateway, { name: "late" });
  await late.ask("add", 5); // lost with the node, as everything since the last checkpoint is
  await late.inSync();
  const back = comeback(cluster, early);
  await owner.kill();
  expect(await back).toMatchObject({ epoch: 2, checkpointSeq: Number(first?.seq), seats: 2, back: 2 });
  const after = await late.inSync();
  expect(after.players[late.sessionId]).toMatchObject({ joinedAs: "late", score: 0 });
  expect(after.calls[late.sessionId]).toEqual({ joins: 1, reconnects: 0, leaves: 0 });
  expect(await late.facts()).toMatchObject({ auth: { user: "late" }, userData: { user: "late" } });
  expect(after.trail.filter((entry) => entry === "join late")).toHaveLength(1);
  expect(late.leftWith).toBeUndefined();
  await early.inSync();
  await expectOneOwner(cluster, late, 2);
});

test("[SEAT2] a player who left after the last checkpoint is told of by onLeave and leaves no ghost", async () => {
  await using cluster = await startCluster({ game: GAME, env: SELDOM });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const stays = await cluster.place({ owner, gateway, room: "quiet", options: { name: "stays" } });
  const goes = await cluster.joinTo(stays, gateway, { name: "goes" });
  // A drain saves a room as it is, with both; from then on nothing is saved that could know of the leave.
  const moved = comeback(cluster, stays);
  await owner.drain();
  await moved;
  await goes.inSync();
  // The restored room's own first checkpoint, which it makes at once.
  await until("the first checkpoint of epoch 2", async () => {
    return (
      (await cluster.sql("SELECT 1 FROM checkpoint WHERE room_id = $1 AND epoch = 2", [stays.roomId]))
        .length > 0
    );
  });
  const now = await cluster.ownerOf(stays.roomId);
  const { epoch } = await cluster.room(stays.roomId);
  await goes.room.leave();
  await until("the seat is given up", async () => (await cluster.room(stays.roomId)).seats === 1);
  await until(
    "the seat is gone from Postgres",
    async () => (await cluster.sql("SELECT 1 FROM seat WHERE room_id = $1", [stays.roomId])).length === 1,
  );
  const back = comeback(cluster, stays);
  await now.kill();
  expect(await back).toMatchObject({ epoch: epoch + 1, seats: 1, back: 1 });
  const after = await stays.inSync();
  expect(Object.keys(after.players)).toEqual([stays.sessionId]);
  expect(after.calls[goes.sessionId]).toMatchObject({ joins: 1, leaves: 1 });
  expect(after.trail.at(-1)).toBe("leave goes");
  expect((await cluster.room(stays.roomId)).seats).toBe(1);
});

test("[SEAT3] a wrong token opens no seat and disturbs nobody, before and after a restore", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "300" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway });
  const steal = async (): Promise<void> => {
    const thief = new Client(`ws://127.0.0.1:${cluster.port}`);
    await expect(thief.reconnect(`${player.roomId}:AAAAAAAAAAAAAAAAAAAAAA`)).rejects.toThrow();
    // By hand as well: the SDK asks first over HTTP, a thief would not.
    for (const token of ["AAAAAAAAAAAAAAAAAAAAAA", ""]) {
      const code = await closeCodeOf(
        `ws://127.0.0.1:${cluster.port}/x/${player.roomId}?sessionId=${player.sessionId}&reconnectionToken=${token}`,
      );
      expect(code, `token "${token}"`).toBe(4002);
    }
  };
  await steal();
  player.expectUndisturbed();
  await cluster.untilSaved(player.roomId);

  // While the seat waits for its player: nobody else may sit down in it.
  player.room.reconnection.minDelay = 1_500;
  player.room.reconnection.maxDelay = 1_500;
  const restored = cluster.events.next("room:restored");
  const back = comeback(cluster, player);
  await Promise.all([owner.kill(), gateway.kill()]);
  await restored;
  await steal();
  expect(await back).toMatchObject({ seats: 1, back: 1 });
  const after = await player.inSync();
  expect(Object.keys(after.players)).toEqual([player.sessionId]);
  expect(after.calls[player.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
  await steal();
  expect(player.drops).toBe(1);
});

test("[SEAT4] a player who never returns is given up through onLeave, and the listing counts right", async () => {
  await using cluster = await startCluster({
    game: GAME,
    env: { CHECKPOINT_MS: "300", SEAT_HOLD_MS: "1500" },
  });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const stays = await cluster.place({
    owner,
    gateway,
    options: { name: "stays", maxClients: 3, holdSeconds: 1 },
  });
  // Their connection ends with the owner; whose ends elsewhere would not notice.
  const gone = await cluster.joinTo(stays, owner, { name: "gone" });
  const later = await cluster.joinTo(stays, gateway, { name: "later" });
  await until("the listing counts three", async () => (await cluster.listing(stays.roomId))?.clients === 3);
  expect((await cluster.listing(stays.roomId))?.locked).toBe(true);
  await cluster.untilSaved(stays.roomId);
  gone.room.reconnection.enabled = false;
  const lapsed = cluster.events.next("seat:lapsed", ({ sessionId }) => sessionId === gone.sessionId);
  const back = comeback(cluster, stays);
  const restored = cluster.events.next("room:restored");
  await owner.kill();
  await restored;
  // The room is full as long as the seat is held.
  await expect(cluster.joinTo(stays, gateway, { name: "new" })).rejects.toThrow(/locked|full|reserv/i);
  await lapsed;
  expect(await back).toMatchObject({ seats: 3, back: 2 });
  const after = await stays.inSync();
  expect(Object.keys(after.players).sort()).toEqual([stays.sessionId, later.sessionId].sort());
  expect(after.calls[gone.sessionId]).toMatchObject({ joins: 1, leaves: 1, reconnects: 0 });
  await until("the listing counts two", async () => (await cluster.listing(stays.roomId))?.clients === 2, {
    ms: 5_000,
  });
  await until(
    "the seat is gone from Postgres",
    async () => (await cluster.sql("SELECT 1 FROM seat WHERE room_id = $1", [stays.roomId])).length === 2,
  );
  const again = await cluster.joinTo(stays, gateway, { name: "again" });
  expect((await again.inSync()).players[again.sessionId]?.joinedAs).toBe("again");
  await until("the listing counts three", async () => (await cluster.listing(stays.roomId))?.clients === 3);
});

test("[SEAT1] maxClients holds after a restore: no one more, no seat lost, and who looks for a seat finds another room", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "300" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const one = await cluster.place({ owner, gateway, options: { maxClients: 2 } });
  const two = await cluster.joinTo(one, gateway, { name: "bob" });
  await cluster.untilSaved(one.roomId);
  const back = comeback(cluster, one);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === one.roomId);
  await owner.kill();
  await restored;
  const elsewhere = await cluster.client(gateway).joinOrCreate("probe", { name: "cyd" });
  expect(elsewhere.roomId).not.toBe(one.roomId);
  await elsewhere.leave();
  expect(await back).toMatchObject({ seats: 2, back: 2 });
  await one.inSync();
  await two.inSync();
  await expect(cluster.joinTo(one, gateway, { name: "third" })).rejects.toThrow(/locked/);
  await until("the listing counts two", async () => (await cluster.listing(one.roomId))?.clients === 2);
  await two.room.leave();
  const third = await until("a seat is free again", () => cluster.joinTo(one, gateway, { name: "third" }));
  expect(Object.keys((await third.inSync()).players)).toHaveLength(2);
  expect((await cluster.listing(one.roomId))?.locked).toBe(true);
});

/** Connects by hand and tells how it was refused; 0 when it was let in. */
function closeCodeOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", ({ code }) => resolve(code));
    socket.addEventListener("message", ({ data }) => {
      if (new Uint8Array(data as ArrayBuffer)[0] !== Protocol.JOIN_ROOM) return;
      resolve(0);
      socket.close();
    });
  });
}
