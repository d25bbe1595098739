// kill -9 of the owner of a room in which each player sees something else.

import type { Client } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import type { Player } from "../kit/player.ts";
import { comeback } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/views-game.ts", env: { CHECKPOINT_MS: "150" } };

interface Cards {
  readonly turn: number;
  readonly seats: Record<string, { name: string; plan?: string; hand?: { face: string; marks: string[] }[] }>;
  readonly table?: Record<string, { face: string; marks: string[] }>;
}

/** A player, and everything that their mirror has ever held. */
class Watcher {
  readonly player: Player;
  /** Each different text of the mirror. */
  readonly glimpses = new Set<string>();

  constructor(player: Player) {
    this.player = player;
    const { room } = player;
    room.onStateChange((state) => void this.glimpses.add(JSON.stringify(state)));
  }

  get mirror(): Cards {
    return JSON.parse(JSON.stringify(this.player.room.state)) as Cards;
  }

  get hand(): string[] | undefined {
    return this.mirror.seats[this.player.sessionId]?.hand?.map(({ face }) => face);
  }

  hasGlimpsed(word: string): boolean {
    return [...this.glimpses].some((glimpse) => glimpse.includes(word));
  }

  async untilMirror(expected: Cards): Promise<void> {
    await until(
      `${this.player.sessionId} sees what it may`,
      () => {
        expect(this.mirror).toEqual(expected);
        return true;
      },
      { seen: () => this.mirror },
    );
  }
}

async function untilSavedAfter(cluster: TestCluster, roomId: string, seq: number): Promise<void> {
  await until("the next checkpoint", async () => (await cluster.newestSeq(roomId)) > seq);
}

/** The newest checkpoint of a room that has nothing more to save. */
async function settledSeq(cluster: TestCluster, roomId: string): Promise<number> {
  await cluster.untilSaved(roomId);
  return cluster.newestSeq(roomId);
}

async function sitDown(cluster: TestCluster, owner: TestNode, room: string): Promise<[Watcher, Watcher]> {
  const ann = await cluster.place({ owner, room, options: { name: "ann" } });
  const bob = await cluster.joinTo(ann, undefined, { name: "bob" });
  return [new Watcher(ann), new Watcher(bob)];
}

test("[CKP1] after kill -9 each player sees exactly what it may, and what is hidden stays so", async () => {
  await using cluster = await startCluster(GAME);
  const owner = cluster.node("node-a");
  const [ann, bob] = await sitDown(cluster, owner, "views");
  const { roomId } = ann.player;
  ann.player.send("draw", "ann-ace");
  ann.player.send("draw", "ann-ten");
  bob.player.send("draw", "bob-king");
  bob.player.send("plan", "bob-rushes");
  for (const face of ["table-1", "table-2", "table-3"]) ann.player.send("lay", face);
  await ann.player.ask("peek", "table-1");
  await bob.player.ask("peek", "table-2");
  await until(
    "both have peeked",
    () => ann.mirror.table?.["table-1"] && bob.mirror.table?.["table-2"] && true,
  );

  // A change of a view alone is saved too.
  const seq = await settledSeq(cluster, roomId);
  await ann.player.ask("peek", "table-2");
  await ann.player.ask("unpeek", "table-1");
  await untilSavedAfter(cluster, roomId, seq);
  await cluster.untilSaved(roomId);

  const anns = (turn: number, marks: string[] = [], more: string[] = []): Cards => ({
    turn,
    seats: {
      [ann.player.sessionId]: {
        name: "ann",
        plan: "ann's plan",
        hand: ["ann-ace", "ann-ten", ...more].map((face) => ({ face, marks: [`${face} mark`] })),
      },
      [bob.player.sessionId]: { name: "bob" },
    },
    table: { "table-2": { face: "table-2", marks } },
  });
  const bobs = (turn: number, marks: string[] = [], plan = "bob-rushes"): Cards => ({
    turn,
    seats: {
      [ann.player.sessionId]: { name: "ann" },
      [bob.player.sessionId]: { name: "bob", plan, hand: [{ face: "bob-king", marks: ["bob-king mark"] }] },
    },
    table: { "table-2": { face: "table-2", marks } },
  });
  await ann.untilMirror(anns(7));
  await bob.untilMirror(bobs(7));

  const back = comeback(cluster, ann.player);
  await owner.kill();
  expect(await back).toMatchObject({ epoch: 2, seats: 2, back: 2 });
  await ann.untilMirror(anns(7));
  await bob.untilMirror(bobs(7));

  // It goes on: what changes reaches whom it may.
  ann.player.send("mark", ["table-2", "both-see"]);
  ann.player.send("mark", ["table-1", "nobody-sees"]);
  ann.player.send("mark", ["table-3", "nobody-sees"]);
  ann.player.send("draw", "ann-five");
  bob.player.send("plan", "bob-waits");
  await ann.untilMirror(anns(12, ["both-see"], ["ann-five"]));
  await bob.untilMirror(bobs(12, ["both-see"], "bob-waits"));
  await bob.player.ask("unpeek", "table-2");
  await bob.player.ask("peek", "table-3");
  await until("bob sees another card", () => bob.mirror.table?.["table-3"]?.marks[0] === "nobody-sees");
  expect(Object.keys(bob.mirror.table ?? {})).toEqual(["table-3"]);

  // A second crash, with one of them away while the checkpoint from which the room comes back is made.
  const second = await cluster.ownerOf(roomId);
  bob.player.room.reconnection.enabled = false;
  const settledSecond = await settledSeq(cluster, roomId);
  expect(settledSecond).toBeGreaterThan(seq);
  const restored = cluster.events.next("room:restored", (facts) => facts.roomId === roomId);
  await second.kill();
  await restored;
  await until("ann is back", () => ann.player.returns === 2);
  ann.player.send("draw", "ann-six");
  await until("ann draws", () => ann.hand?.includes("ann-six"));
  await cluster.untilSaved(roomId);
  const last = comeback(cluster, ann.player);
  const token = bob.player.room.reconnectionToken;
  await cluster.add("node-d");
  await (await cluster.ownerOf(roomId)).kill();
  const client: Client = cluster.client();
  const returned = await until("bob's room takes him back", () => client.reconnect(token), { ms: 30_000 });
  expect(await last).toMatchObject({ epoch: 4, seats: 2, back: 2 });
  await until("bob sees his card again", () => {
    const { table } = JSON.parse(JSON.stringify(returned.state)) as Cards;
    expect(table).toEqual({ "table-3": { face: "table-3", marks: ["nobody-sees"] } });
    return true;
  });
  expect(JSON.stringify(returned.state)).not.toContain("ann-");

  for (const secret of ["bob-rushes", "bob-waits", "bob-king", "table-3", "nobody-sees"]) {
    expect(ann.hasGlimpsed(secret), `ann saw ${secret}`).toBe(false);
  }
  for (const secret of ["ann-", "ann's plan", "table-1"]) {
    expect(bob.hasGlimpsed(secret), `bob saw ${secret}`).toBe(false);
  }
  await returned.leave();
});

test("[CKP1] a room that sets its views anew in onReconnect is shown by those, and by nothing older", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const owner = cluster.node("node-a");
  const [ann, bob] = await sitDown(cluster, owner, "anew");
  ann.player.send("draw", "ann-ace");
  ann.player.send("lay", "table-1");
  await until("there is a card", () => bob.mirror.turn === 2);
  await ann.player.ask("peek", "table-1");
  await until("ann has peeked", () => ann.mirror.table?.["table-1"] !== undefined);
  await settledSeq(cluster, ann.player.roomId);
  const back = comeback(cluster, ann.player);
  await owner.kill();
  expect(await back).toMatchObject({ epoch: 2, seats: 2, back: 2 });
  await until("ann's view is the new one", () => Object.keys(ann.mirror.table ?? {}).length === 0);
  expect(ann.hand).toEqual(["ann-ace"]);
  ann.player.send("mark", ["table-1", "nobody-sees"]);
  ann.player.send("draw", "ann-two");
  await until("ann draws", () => ann.hand?.includes("ann-two"));
  await until("bob hears of it", () => bob.mirror.turn === 4);
  for (const watcher of [ann, bob]) expect(watcher.hasGlimpsed("nobody-sees")).toBe(false);
  expect(bob.hasGlimpsed("ann-")).toBe(false);
});
