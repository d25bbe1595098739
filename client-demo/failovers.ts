// The story of a failover as this page lived it.
//
// The cluster tells which node died, who took the room and how many are back. How long the game stood still and how
// far it jumped back are measured here, between the last patch before and the first patch after: it is what a player
// notices, and no server can know it.

import { TICK_MS } from "../rooms/arena/arena-field.ts";
import type { Cluster, ClusterFailover } from "./cluster.ts";

/** A pause between two patches. */
interface Gap {
  readonly endedMs: number;
  readonly lengthMs: number;
  readonly ticksBack: number;
}

export interface Failover {
  readonly roomId: string;
  readonly fromNodeId: string;
  readonly toNodeId: string;
  readonly epoch: number;
  readonly why: ClusterFailover["why"];
  readonly did: "died" | "froze" | "left" | "was cut off";
  /** Between the last patch before and the first after, on this page; null when the page was not watching. */
  readonly downMs: number | null;
  /** How much play was undone, on this page. */
  readonly rolledBackMs: number;
  readonly checkpointAgeMs: number;
  readonly seats: number;
  readonly back: number;
  readonly atMs: number;
}

/** A failover that the cluster has told of, while the game does not run again yet. */
interface Pending {
  readonly entry: ClusterFailover;
  readonly did: Failover["did"];
  /** When the epoch before was last confirmed. */
  readonly seenMs: number;
  readonly toldMs: number;
}

/** A pause that cannot be jitter. */
const GAP_MS_MIN = 140;
/** So long after the cluster told of a failover the pause is over, or there was none to notice. */
const GAP_AWAITED_MS = 400;
/** A drain takes 20 s at most; after that the name may be another start of the node. */
const DRAIN_MS_MAX = 25_000;
const GAPS_KEPT = 64;

export class FailoverWatch {
  readonly #gaps: Gap[] = [];
  #lastPatchMs: number | undefined;
  #lastTick = 0;
  #resumedTick = 0;
  /** Nodes seen on their way out: what takes their rooms is no death. */
  readonly #leftAtMs = new Map<string, number>();
  #roomId = "";
  #epoch = 0;
  /** When the old epoch was last confirmed: what came before has nothing to do with the next failover. */
  #epochSeenMs = 0;
  #pending: Pending | undefined;
  #last: Failover | undefined;

  onPatch({ tick, resumedTick }: { tick: number; resumedTick: number }, nowMs: number): void {
    // By the time a player is back the restored room has run on, so its tick alone would tell of too little.
    const isRestored = resumedTick !== this.#resumedTick || tick < this.#lastTick;
    const ticksBack = isRestored ? Math.max(0, this.#lastTick - resumedTick) : 0;
    this.#resumedTick = resumedTick;
    if (this.#lastPatchMs !== undefined) {
      const lengthMs = nowMs - this.#lastPatchMs;
      this.#gaps.push({ endedMs: nowMs, lengthMs, ticksBack });
      if (this.#gaps.length > GAPS_KEPT) {
        // The short ones are of no interest; the long ones are what is asked for later.
        const shortest = this.#gaps.reduce((least, gap, index, all) => {
          return gap.lengthMs < (all[least]?.lengthMs ?? 0) ? index : least;
        }, 0);
        this.#gaps.splice(shortest, 1);
      }
    }
    this.#lastPatchMs = nowMs;
    this.#lastTick = tick;
  }

  /** The page asked this node to leave: it may be gone before it is seen leaving. */
  onDrain(nodeId: string, nowMs: number): void {
    this.#leftAtMs.set(nodeId, nowMs);
  }

  /** Another room, or the page was hidden: what comes next is not a pause of this room. */
  forget(): void {
    this.#lastPatchMs = undefined;
  }

  /** Takes the cluster's word; gives the newest failover of this room when there is one, or when it has changed. */
  onCluster(cluster: Cluster, roomId: string, nowMs: number): Failover | undefined {
    for (const { nodeId, state } of cluster.nodes) {
      if (state === "draining") this.#leftAtMs.set(nodeId, nowMs);
    }
    const room = cluster.rooms.find((one) => one.roomId === roomId);
    if (roomId !== this.#roomId) {
      this.#roomId = roomId;
      this.#epoch = room?.epoch ?? 0;
      this.#epochSeenMs = nowMs;
      this.#pending = undefined;
      return undefined;
    }
    const entry = cluster.failovers.find((one) => one.roomId === roomId);
    if (entry !== undefined && entry.epoch > this.#epoch && this.#epoch > 0) {
      this.#pending = {
        entry,
        did: this.#whatItDid(cluster, entry, nowMs),
        seenMs: this.#epochSeenMs,
        toldMs: nowMs,
      };
      this.#epoch = entry.epoch;
    } else if (room !== undefined && room.epoch >= this.#epoch) {
      // A room may be seen at its new epoch before its failover is listed; only the listing moves the mark on.
      if (this.#epoch === 0) this.#epoch = room.epoch;
      if (room.epoch === this.#epoch && room.phase === "active") this.#epochSeenMs = nowMs;
    }

    if (this.#pending !== undefined) return this.#tell(this.#pending, cluster, nowMs);
    const last = this.#last;
    if (last !== undefined && entry?.epoch === last.epoch) {
      // Nobody who has been back is counted out again for leaving later.
      const back = Math.max(last.back, backOf(cluster, entry));
      if (back === last.back) return undefined;
      this.#last = { ...last, back };
      return this.#last;
    }
    return undefined;
  }

  #whatItDid(cluster: Cluster, entry: ClusterFailover, nowMs: number): Failover["did"] {
    const leftAtMs = this.#leftAtMs.get(entry.fromNodeId ?? "") ?? -Infinity;
    if (entry.why === "move" || nowMs - leftAtMs < DRAIN_MS_MAX) return "left";
    const node = cluster.nodes.find((one) => one.nodeId === entry.fromNodeId);
    if (node?.process === "frozen") return "froze";
    return node?.process === "running" && node.state === "silent" ? "was cut off" : "died";
  }

  #tell(pending: Pending, cluster: Cluster, nowMs: number): Failover | undefined {
    // Not before the game runs again: until then nobody knows how long it stood still.
    if (this.#lastPatchMs === undefined || nowMs - this.#lastPatchMs > 6 * TICK_MS) return undefined;
    const { entry, did, seenMs, toldMs } = pending;
    const gaps = this.#gaps.filter((one) => one.endedMs >= seenMs - 1_000);
    const downMs = gaps.length === 0 ? null : Math.round(Math.max(...gaps.map((one) => one.lengthMs)));
    // The cluster may tell of it before the last patch of the old owner is even missed.
    if ((downMs ?? 0) < GAP_MS_MIN && nowMs - toldMs < GAP_AWAITED_MS) return undefined;
    const ticksBack = gaps.reduce((sum, one) => sum + one.ticksBack, 0);
    this.#pending = undefined;
    this.#epochSeenMs = nowMs;
    this.#last = {
      roomId: entry.roomId,
      fromNodeId: entry.fromNodeId ?? "its node",
      toNodeId: entry.toNodeId,
      epoch: entry.epoch,
      why: entry.why,
      did,
      downMs,
      rolledBackMs: ticksBack * TICK_MS,
      checkpointAgeMs: entry.checkpointAgeMs,
      seats: entry.seats,
      back: backOf(cluster, entry),
      atMs: Date.now(),
    };
    return this.#last;
  }
}

/** How many are back; before the room has settled, who is connected now. */
function backOf(cluster: Cluster, entry: ClusterFailover): number {
  const room = cluster.rooms.find((one) => one.roomId === entry.roomId && one.epoch === entry.epoch);
  return Math.min(entry.seats, entry.back ?? room?.players ?? 0);
}

/** `node-b died - back on node-c, epoch 4 · down for 312 ms · rolled back 0.8 s · 3 of 3 players back` */
export function tell(failover: Failover): { readonly title: string; readonly facts: readonly string[] } {
  const { fromNodeId, did, toNodeId, epoch, downMs, rolledBackMs, seats, back } = failover;
  return {
    title: `${fromNodeId} ${did} - ${did === "left" ? "moved to" : "back on"} ${toNodeId}, epoch ${epoch}`,
    facts: [
      downMs === null ? "not seen by this page" : `down for ${span(downMs)}`,
      rolledBackMs === 0 ? "nothing lost" : `rolled back ${(rolledBackMs / 1_000).toFixed(1)} s`,
      `${back} of ${seats} ${seats === 1 ? "player" : "players"} back`,
    ],
  };
}

export function span(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
