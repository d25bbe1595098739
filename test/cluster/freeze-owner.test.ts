// SIGSTOP and SIGCONT: a process that stands still for a while and then goes on, believing what it believed.

import { expect, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { RawSocket } from "../kit/raw-socket.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";
const FENCED = 75;
/** A ping of the room protocol, which the owner answers at once. */
const PING = Uint8Array.of(18);

/** Colyseus pings its sockets every 3 s. */
const LONGEST_REPEAT_MS = 3_200;

interface Write {
  readonly id: number;
  readonly writer: string;
  readonly what: string;
  readonly epoch: number;
}

/** Lets Postgres itself keep a log of who has written what of any room, and at which epoch of that room. */
async function logWrites(cluster: TestCluster): Promise<void> {
  await cluster.sql(`
    CREATE TABLE write_log (id serial PRIMARY KEY, writer text, what text, room_id text, epoch bigint);
    CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE changed record := coalesce(NEW, OLD);
    BEGIN
      INSERT INTO write_log (writer, what, room_id, epoch)
      SELECT current_setting('application_name'), TG_TABLE_NAME || ' ' || TG_OP, changed.room_id, r.epoch
        FROM room r WHERE r.room_id = changed.room_id;
      RETURN NULL;
    END $$;
    CREATE TRIGGER log_checkpoint AFTER INSERT OR UPDATE OR DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION log_write();
    CREATE TRIGGER log_seat AFTER INSERT OR UPDATE OR DELETE ON seat FOR EACH ROW EXECUTE FUNCTION log_write();
    CREATE TRIGGER log_room AFTER INSERT OR UPDATE OR DELETE ON room FOR EACH ROW EXECUTE FUNCTION log_write();`);
}

test("[OWN2] [OWN4] [GATE2] a frozen owner's rooms go on elsewhere; thawed, it says and writes nothing more", async () => {
  await using cluster = await startCluster({
    game: GAME,
    env: { LEASE_MS: "1500", LEASE_RENEW_MS: "150", LEASE_MARGIN_MS: "100", CHECKPOINT_MS: "100" },
  });
  await logWrites(cluster);
  const bystander = await cluster.place({ owner: cluster.node("node-c"), gateway: cluster.node("node-c") });

  for (const [round, name] of ["node-a", "node-b", "node-a"].entries()) {
    const owner = cluster.node(name);
    const gateway = cluster.node(name === "node-a" ? "node-b" : "node-a");
    const player = await cluster.place({ owner, gateway });
    const alone = await cluster.place({ owner, gateway: owner });
    // Straight to the frozen node, where nobody but the node itself can cut it.
    const raw = await RawSocket.join(owner, player.roomId, { name: "raw" });
    await player.ask("add", 50 + round);
    const before = await player.inSync();
    await cluster.untilSaved(player.roomId);

    const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
    const aloneRestored = cluster.events.next("room:restored", ({ roomId }) => roomId === alone.roomId);
    const lost = cluster.events.next("node:lost", ({ lostNodeId }) => lostNodeId === name);
    owner.freeze();
    const frozenAtMs = systemClock.monotonicMs();
    // It will hear of these when it wakes, and they must be none of its business any more.
    for (let each = 0; each < 5; each++) raw.send(PING);
    expect((await lost).facts.reason).toBe("lapsed");
    expect((await restored).facts).toMatchObject({ fromEpoch: 1, epoch: 2 });
    await aloneRestored;

    // The players have gone on before the old owner wakes.
    for (const each of [player, alone]) {
      await until(`round ${round}: the player is back`, async () => (await each.facts()).pid !== owner.pid);
    }
    const after = await player.inSync();
    expect(after.tick).toBeGreaterThanOrEqual(before.tick);
    expect(after.players[player.sessionId]).toMatchObject({ score: 50 + round });
    expect(after.calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
    await player.untilTicking();
    player.expectUndisturbed();

    const [newest] = await cluster.sql<{ id: number }>(
      "SELECT coalesce(max(id), 0)::integer AS id FROM write_log",
    );
    // So long that whatever the old owner repeats is due when it wakes: ticks, patches, checkpoints, WebSocket pings.
    await systemClock.sleep(Math.max(0, frozenAtMs + LONGEST_REPEAT_MS - systemClock.monotonicMs()));
    expect(raw.isOpen, "the raw socket to the frozen node").toBe(true);
    const chunksBefore = raw.received.length;
    const epochBefore = (await cluster.room(player.roomId)).epoch;
    owner.thaw();
    expect(await owner.exited).toBe(FENCED);
    await raw.closed;
    const late = raw.received.slice(chunksBefore).map(({ bytes }) => bytes.toString("hex"));
    expect(late, `round ${round}: bytes from the old activation after the thaw`).toEqual([]);

    // Something newer has been written, so what the old one might have written would be there as well.
    const seq = await cluster.newestSeq(player.roomId);
    await until("two more checkpoints", async () => (await cluster.newestSeq(player.roomId)) > seq + 1);
    const writes = await cluster.sql<Write>("SELECT id, writer, what, epoch FROM write_log WHERE id > $1", [
      newest?.id,
    ]);
    expect(writes.filter(({ writer }) => writer.startsWith(`ringside ${name} `))).toEqual([]);
    expect(writes.length, "what others wrote meanwhile").toBeGreaterThan(0);
    expect(epochBefore).toBe(2);
    await expectOneOwner(cluster, player, 2);
    await expectOneOwner(cluster, alone, 2);

    const seen = cluster.nodes.map((node) =>
      cluster.events.next("view:changed", ({ nodes }, from) => from === node.nodeId && nodes.length === 3),
    );
    await cluster.add(name); // the same name comes back as another incarnation
    await Promise.all(seen);
    await player.room.leave();
    await alone.room.leave();
  }
  bystander.expectUndisturbed();
  expect(await expectOneOwner(cluster, bystander, 1)).toBe(cluster.node("node-c"));
});

test("[GATE1] [SEAT2] a connection that comes while its room's owner is frozen waits, and is let in elsewhere", async () => {
  await using cluster = await startCluster({
    game: GAME,
    env: { LEASE_MS: "1500", LEASE_RENEW_MS: "150", LEASE_MARGIN_MS: "100", CHECKPOINT_MS: "100" },
  });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway });
  const raw = await RawSocket.join(owner, player.roomId, { name: "raw" });
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === player.roomId);
  owner.freeze();
  // One try, of somebody who would not try again, long before anybody knows that the owner is gone.
  const returned = raw.rejoin(gateway);
  expect(cluster.events.of("node:lost")).toEqual([]);
  await restored;
  expect((await returned).isOpen).toBe(true);
  const seen = await player.inSync();
  expect(seen.calls[raw.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
});

test("[OWN4] [OWN6] a pause shorter than the lease moves nothing and rolls nothing back", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "600000" } });
  const owner = cluster.node("node-a");
  const player = await cluster.place({ owner, gateway: owner });
  const remote = await cluster.joinTo(player, cluster.node("node-b"), { name: "bob" });
  await player.ask("add", 3);
  const before = (await player.inSync()).tick;

  const answer = new Promise<number>((resolve, reject) => {
    owner.freeze();
    player.ask<number>("add", 4).then(resolve, reject); // waits in the socket
  });
  await systemClock.sleep(700); // this is the fault itself: shorter than the lease, and than what a load balancer allows
  owner.thaw();
  expect(await answer).toBe(7);
  await player.untilTicking();
  const after = await player.inSync();
  expect(after.tick).toBeGreaterThan(before);
  expect(after.players[player.sessionId]?.score).toBe(7);
  player.expectUndisturbed();
  remote.expectUndisturbed();
  expect(await expectOneOwner(cluster, player, 1)).toBe(owner);
  for (const name of ["node:lost", "lease:lapsed", "room:restored", "checkpoint:refused"] as const) {
    expect(cluster.events.of(name), name).toEqual([]);
  }
});

test("[OWN4] [OWN3] a pause past the lease that nobody noticed ends without rollback, at the same epoch", async () => {
  // One node alone: nobody is there to judge it.
  await using cluster = await startCluster({
    game: GAME,
    nodes: 1,
    env: { LEASE_MS: "1000", LEASE_RENEW_MS: "100", LEASE_MARGIN_MS: "100", CHECKPOINT_MS: "600000" },
  });
  const owner = cluster.node("node-a");
  // Straight to the node: a load balancer would cut the player off.
  const player = await Player.create(cluster.client(owner), "probe", { name: "ada" });
  await player.ask("add", 8);
  const before = (await player.inSync()).tick;
  const regained = cluster.events.next("lease:regained");
  owner.freeze();
  await systemClock.sleep(1_600); // this is the fault itself: longer than the lease
  owner.thaw();
  await regained;
  await player.untilTicking();
  const after = await player.inSync();
  expect(after.tick).toBeGreaterThan(before);
  expect(after.players[player.sessionId]?.score).toBe(8);
  player.expectUndisturbed();
  expect(await expectOneOwner(cluster, player, 1)).toBe(owner);
});
