// What chance would hardly ever bring together, in the same simulated cluster, with the same invariants: each once showed a fault.

import { expect, test } from "vitest";
import type { NodeId, RoomId } from "../../src/ids.ts";
import { Cluster } from "./cluster.ts";
import { withGlobals } from "./microtasks.ts";
import { NO_SABOTAGE } from "./sabotages.ts";
import { World } from "./world.ts";

interface Scene {
  readonly cluster: Cluster;
  readonly world: World;
  /** Whether every room has been spoken for in the last second, by whoever owns it. */
  areAllSpokenFor(): boolean;
}

/** Nodes that know each other, with rooms that run, and then `play`; in a macrotask of its own, as simulate.ts has it. */
function stage(seed: number, nodes: number, play: (scene: Scene) => void): Promise<void> {
  const next = setImmediate;
  return new Promise((resolve, reject) => {
    next(() => {
      const world = new World(seed);
      const nextTurn = (work: () => void): void => void world.after(world.current, 0, "message", work);
      const run = (): void => {
        const cluster = new Cluster(world, NO_SABOTAGE);
        for (let count = 1; count <= nodes; count++) cluster.start(`n${count}` as NodeId);
        for (let count = 1; count <= 3 * nodes; count++)
          world.after(undefined, 500, "message", () => cluster.create(`r${count}` as RoomId));
        world.runUntil(8_000);
        const areAllSpokenFor = (): boolean =>
          [...cluster.server.tables.rooms.values()].every(({ epoch, room_id: roomId }) => {
            const spoke = cluster.referee.spoke.get(roomId as RoomId);
            return spoke?.epoch === epoch && world.nowMs - spoke.atMs < 1_000;
          });
        play({ cluster, world, areAllSpokenFor });
        if (world.breach !== undefined) throw new Error(`${world.breach.id}: ${world.breach.what}`);
      };
      try {
        withGlobals(() => world.chance.next(), nextTurn, run);
        resolve();
      } catch (error) {
        reject(error as Error);
      }
    });
  });
}

const SEEDS = [1, 2, 3, 4, 5];

test.each(SEEDS)(
  "[OWN6] three of seven lose power while Postgres is slow: the others' rooms go on (%i)",
  (seed) =>
    stage(seed, 7, ({ cluster, world, areAllSpokenFor }) => {
      cluster.troubles.add("postgres", Infinity);
      cluster.server.flushMs = () => world.chance.between(600, 700);
      world.runUntil(world.nowMs + 2_000);
      const [first, second, third, ...others] = [...cluster.nodes.values()];
      const lost = [first, second, third].filter((node) => node !== undefined);
      for (const node of lost) cluster.kill(node, true);
      const endMs = world.nowMs + 20_000;
      while (world.nowMs < endMs) {
        world.runUntil(world.nowMs + 50);
        for (const node of others) expect(node.lease.isHeld, `${node.nodeId} at ${world.nowMs}`).toBe(true);
      }
      const down = [...cluster.server.tables.nodes.values()].filter(({ state }) => state === "down");
      expect(down.map(({ node_id: nodeId }) => nodeId).sort()).toEqual(["n1", "n2", "n3"]);
      expect(areAllSpokenFor()).toBe(true);
    }),
);

test.each(SEEDS)(
  "[REC1] [OWN6] a node loses power, and Postgres's clock is set back by an hour: its rooms do not wait for that (%i)",
  (seed) =>
    stage(seed, 3, ({ cluster, world, areAllSpokenFor }) => {
      const [lost] = cluster.nodes.values();
      if (lost === undefined) throw new Error("there is no node");
      cluster.kill(lost, true);
      cluster.take([...cluster.server.tables.rooms.keys()][0] as RoomId); // that is, for a second
      world.runUntil(world.nowMs + 200);
      cluster.server.clockSetMs = -3_600_000;
      world.runUntil(world.nowMs + 12_000);
      const down = [...cluster.server.tables.nodes.values()].filter(({ state }) => state === "down");
      expect(down.map(({ node_id: nodeId }) => nodeId)).toEqual([lost.nodeId]);
      expect(areAllSpokenFor()).toBe(true);
    }),
);

test.each(SEEDS)(
  "[OWN5] [OWN6] Postgres's clock is set by an hour, either way: nobody is called silent (%i)",
  (seed) =>
    stage(seed, 4, ({ cluster, world, areAllSpokenFor }) => {
      for (const setMs of [3_600_000, 0, -3_600_000, 0]) {
        cluster.server.clockSetMs = setMs;
        world.runUntil(world.nowMs + 10_000);
      }
      expect([...cluster.server.tables.nodes.values()].map(({ state }) => state)).toEqual(
        Array(4).fill("up"),
      );
      expect([...cluster.server.tables.rooms.values()].map(({ epoch }) => epoch)).toEqual(Array(12).fill(1));
      expect(areAllSpokenFor()).toBe(true);
    }),
);
