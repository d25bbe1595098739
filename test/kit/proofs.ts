// What must hold after every fault, said once.

import { expect } from "vitest";
import type { TestCluster, TestNode } from "./cluster.ts";
import type { Player } from "./player.ts";
import { until } from "./until.ts";

/**
 * That exactly one process holds the player's room, at this epoch: it is the one that Postgres names, that every live
 * node's report names, and that answers the player.
 *
 * @returns that process
 */
export async function expectOneOwner(cluster: TestCluster, player: Player, epoch: number): Promise<TestNode> {
  const { roomId } = player;
  const { pid } = await player.facts();
  const [row] = await cluster.sql<{ pid: number; node_id: string; epoch: number; state: string }>(
    `SELECT n.pid, n.node_id, n.state, r.epoch::double precision AS epoch
       FROM room r JOIN node n ON n.incarnation = r.owner WHERE r.room_id = $1`,
    [roomId],
  );
  expect(row, "the owner and epoch in Postgres").toMatchObject({ pid, epoch });
  expect(row?.state).not.toBe("down");
  const owner = cluster.node(row?.node_id ?? "");
  expect(owner.pid).toBe(pid);
  for (const node of cluster.nodes.filter((other) => !other.isFrozen)) {
    // Each node's own word on its rooms is asked for with a deadline: on a busy machine it may be missed once.
    await until(`${node.nodeId} reports ${roomId} on ${owner.nodeId} at ${epoch}`, async () => {
      const room = await cluster.room(roomId, node);
      return room.nodeId === owner.nodeId && room.epoch === epoch && room.phase === "active";
    });
  }
  // Nobody was handed the room twice at one epoch.
  const opened = cluster.events.of("room:restored").filter(({ facts }) => facts.roomId === roomId);
  const epochs = opened.map(({ facts }) => facts.epoch as number);
  expect(new Set(epochs).size, `epochs of restores: ${epochs.join()}`).toBe(epochs.length);
  return owner;
}

/** How a room came back, by its owner's own events. */
export interface Comeback {
  readonly nodeId: string;
  readonly epoch: number;
  readonly fromEpoch: number;
  readonly checkpointSeq: number;
  readonly seats: number;
  readonly back: number;
}

/** The next time this player's room is restored and all its players are back, or given up. Arm it before the fault. */
export function comeback(cluster: TestCluster, { roomId }: Player): Promise<Comeback> {
  const isIt = (facts: { roomId: string }): boolean => facts.roomId === roomId;
  const restoring = cluster.events.next("room:restored", isIt, 40_000);
  const settling = cluster.events.next("room:settled", isIt, 40_000);
  const both = Promise.all([restoring, settling]).then(([restored, settled]): Comeback => {
    const { epoch, fromEpoch, checkpointSeq } = restored.facts;
    const { seats, back } = settled.facts;
    return { nodeId: restored.nodeId, epoch, fromEpoch, checkpointSeq, seats, back };
  });
  both.catch(() => {}); // see EventTap.next
  return both;
}
