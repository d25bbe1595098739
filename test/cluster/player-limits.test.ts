// Players who do what the SDK never would: each of them loses their own connection, with a code, and nobody else notices.

import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { startCluster, type TestCluster } from "../kit/cluster.ts";
import { STRICT_PER_SECOND } from "../kit/limits-game.ts";
import type { Player } from "../kit/player.ts";
import { RawSeat, reserve } from "../kit/raw-seat.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/limits-game.ts";
const TOO_FAST = 4429;
const JOIN_UNANSWERED = 4408;
const MAY_TRY_AGAIN = 4010;
const JOIN_ACK_MS = 1_500;
/** A message that every probe hears and nobody answers: `secret`, with a number. */
const WORD = Buffer.from([13, 0xa6, ...Buffer.from("secret"), 1]);

/** A raw player in the room of `other`, with the socket in hand. */
async function raw(
  cluster: TestCluster,
  other: Player,
  gateway: string,
): Promise<{ seat: RawSeat; socket: WebSocket }> {
  const port = cluster.node(gateway).publicPort;
  let socket: WebSocket | undefined;
  const reservation = await reserve(port, other.roomId, { name: "raw" });
  const seat = await RawSeat.open(port, reservation, {}, (made) => (socket = made));
  if (socket === undefined) throw new Error("no socket");
  return { seat, socket };
}

async function expectNobodyElseNoticed(cluster: TestCluster, ...others: Player[]): Promise<void> {
  expect(cluster.nodes).toHaveLength(2);
  for (const other of others) {
    await other.untilTicking();
    await other.inSync();
    other.expectUndisturbed();
  }
  expect(cluster.everyOutput.filter((line) => /uncaught|unhandled/.test(line))).toEqual([]);
}

describe.each(["node-a", "node-b"])("whose owner is node-a, at %s", (gateway) => {
  test("[GATE7] who says too much is closed with 4429, whether by messages, pings or pongs", async () => {
    await using cluster = await startCluster({
      game: GAME,
      nodes: 2,
      env: { MESSAGES_PER_SECOND_MAX: "50" },
    });
    const owner = cluster.node("node-a");
    const bystander = await cluster.place({ owner, gateway: cluster.node(gateway) });
    const says: Record<string, (socket: WebSocket) => void> = {
      messages: (socket) => socket.send(WORD),
      pings: (socket) => socket.ping("x".repeat(100)),
      pongs: (socket) => socket.pong("x".repeat(100)),
    };
    for (const [what, say] of Object.entries(says)) {
      const { seat, socket } = await raw(cluster, bystander, gateway);
      await seat.acknowledge();
      const cutOff = cluster.events.next(
        "player:cut-off",
        ({ sessionId }) => sessionId === seat.sessionId,
        30_000,
      );
      for (let i = 0; i < 100; i++) say(socket); // within the burst
      await bystander.untilTicking();
      expect(seat.closedWith, `${what}, within the burst`).toBeUndefined();
      for (let i = 0; i < 5_000; i++) say(socket);
      expect(await seat.closed, what).toBe(TOO_FAST);
      expect((await cutOff).nodeId).toBe(gateway);
    }
    await expectNobodyElseNoticed(cluster, bystander);
  });

  test("[GATE7] who does not acknowledge the join is closed in time, and the seat is free", async () => {
    await using cluster = await startCluster({
      game: GAME,
      nodes: 2,
      env: { JOIN_ACK_MS: String(JOIN_ACK_MS) },
    });
    const owner = cluster.node("node-a");
    const bystander = await cluster.place({
      owner,
      gateway: cluster.node(gateway),
      room: "chatty",
      options: { maxClients: 2 },
    });
    const port = cluster.node(gateway).publicPort;
    const { seat } = await raw(cluster, bystander, gateway);
    const toldAt = performance.now();
    await expect(reserve(port, bystander.roomId), "the room is full").rejects.toThrow();
    expect(await seat.closed).toBe(JOIN_UNANSWERED);
    expect(performance.now() - toldAt).toBeGreaterThan(JOIN_ACK_MS - 200);
    // The room keeps seats of who drops for a minute; this was none.
    await until("the seat is free", async () =>
      cluster
        .sql("SELECT FROM seat WHERE room_id = $1", [bystander.roomId])
        .then(({ length }) => length === 1),
    );
    await expect(seat.again(port)).rejects.toThrow("closed with 4002");
    const next = await cluster.joinTo(bystander, cluster.node(gateway));
    await expectNobodyElseNoticed(cluster, bystander, next);
  });

  test("[GATE7] who does not acknowledge a return keeps the seat, and may try again", async () => {
    await using cluster = await startCluster({
      game: GAME,
      nodes: 2,
      env: { JOIN_ACK_MS: String(JOIN_ACK_MS) },
    });
    const bystander = await cluster.place({ owner: cluster.node("node-a") });
    const port = cluster.node(gateway).publicPort;
    const { seat } = await raw(cluster, bystander, gateway);
    await seat.acknowledge();
    seat.cut();
    const second = await seat.again(port);
    expect(await second.closed).toBe(MAY_TRY_AGAIN);
    const third = await second.again(port);
    await third.acknowledge();
    expect(third.closedWith).toBeUndefined();
    await expectNobodyElseNoticed(cluster, bystander);
  });

  test("[GATE7] messages and fragments that are too large or too many close their sender", async () => {
    await using cluster = await startCluster({ game: GAME, nodes: 2 });
    const owner = cluster.node("node-a");
    const bystander = await cluster.place({ owner, gateway: cluster.node(gateway), room: "moves" });
    const nonsense: [string, number, (socket: WebSocket) => void][] = [
      ["a message that is too large", 1009, (socket) => socket.send(Buffer.alloc(5_000, 13))],
      [
        "a message in very many pieces",
        1008,
        (socket) => {
          for (let i = 0; i < 100; i++) socket.send(i === 0 ? WORD : Buffer.alloc(0), { fin: false });
        },
      ],
      [
        "an input whose slot ends before it begins",
        4002,
        (socket) => socket.send(Buffer.of(20, 0, 0xd0, 0xfe)),
      ],
      [
        "an input of an absurd series",
        4002,
        (socket) => socket.send(Buffer.of(20 | 128, 0xce, 255, 255, 255, 15)),
      ],
      [
        "a type with a payload that is none",
        4002,
        (socket) => socket.send(Buffer.of(13, 0xa3, 97, 100, 100, 0xdd, 255, 255, 255, 255)),
      ],
    ];
    // The room's reason for the close quotes it, and is longer than a close frame.
    const name = Buffer.from("\u20ac".repeat(100));
    const unheard = Buffer.concat([Buffer.of(13, 0xda, name.length & 255, name.length >> 8), name]);
    nonsense.push(["a message of a long type that nobody hears", 4002, (socket) => socket.send(unheard)]);
    for (const [what, code, send] of nonsense) {
      const { seat, socket } = await raw(cluster, bystander, gateway);
      await seat.acknowledge();
      send(socket);
      expect(await seat.closed, what).toBe(code);
    }
    await expectNobodyElseNoticed(cluster, bystander);
  });
});

test("[GATE7] a room's own limit wins, through any gateway, and a move of the room is no reason to be closed", async () => {
  await using cluster = await startCluster({ game: GAME, nodes: 2 });
  const owner = cluster.node("node-a");
  const bystander = await cluster.place({ owner, gateway: cluster.node("node-b"), room: "strict" });
  for (const gateway of ["node-a", "node-b"]) {
    const { seat, socket } = await raw(cluster, bystander, gateway);
    await seat.acknowledge();
    for (let i = 0; i < STRICT_PER_SECOND * 3; i++) socket.send(WORD);
    expect(await seat.closed, gateway).toBe(TOO_FAST);
  }
  // As many as may be said in a second, said while the owner dies, and then as many again: to the next owner they are one.
  for (let i = 0; i < STRICT_PER_SECOND - 2; i++) bystander.send("secret", i);
  const relinked = cluster.events.next("seat:relinked", undefined, 60_000);
  await owner.kill();
  await relinked;
  const tickThen = bystander.tick;
  await until("more than a second has gone by in the room", () => bystander.tick > tickThen + 24);
  for (let i = 0; i < STRICT_PER_SECOND - 2; i++) bystander.send("secret", i);
  await bystander.untilTicking();
  bystander.expectUndisturbed();
});

test("who is gone without a word is noticed, and who speaks need not answer", async () => {
  await using cluster = await startCluster({ game: GAME, nodes: 2 });
  const bystander = await cluster.place({ owner: cluster.node("node-a"), gateway: cluster.node("node-b") });
  const silent = await raw(cluster, bystander, "node-b");
  const speaker = await raw(cluster, bystander, "node-b");
  // Neither answers a ping. Of the speaker's words none is further than a tick from the one before.
  for (const { seat, socket } of [silent, speaker]) {
    socket.pong = () => {};
    await seat.acknowledge();
  }
  speaker.socket.on("message", () => speaker.socket.send(WORD));
  expect(await silent.seat.closed).toBe(1006);
  await bystander.untilTicking();
  expect(speaker.seat.closedWith).toBeUndefined();
  await expectNobodyElseNoticed(cluster, bystander);
});
