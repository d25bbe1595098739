// Whether nodes keep to the rules of ownership (S1 to S5, S9 to S12): looks at every transaction of Postgres, every frame and
// every promise, with what no node knows: the true time, and what has happened to whom.

import type { Config } from "../../src/config.ts";
import type { Incarnation, RoomId } from "../../src/ids.ts";
import type { Frame } from "./gateway.ts";
import type { InvariantId } from "./invariants.ts";
import { WALL_MS } from "./postgres/sim-postgres.ts";
import type { NodeRow, RoomRow, Tables } from "./postgres/tables.ts";
import type { SimNode } from "./sim-node.ts";
import type { Troubles } from "./troubles.ts";
import type { Process, World } from "./world.ts";

/** What the referee knows of a node's standing. */
interface Standing {
  readonly rate: number;
  enteredAtMs: number;
  renewalSentMs: number;
  /** When the last answered renewal was sent; none before the first. */
  answeredSentMs: number | undefined;
  /** Who was promised what by this node, and until when. */
  readonly promised: Map<Incarnation, number>;
}

export interface RefereeParts {
  readonly world: World;
  readonly config: Config;
  readonly troubles: Troubles;
  readonly tables: () => Tables;
  /** By how much Postgres's clock was set. */
  readonly clockSetMs: () => number;
  readonly nodes: ReadonlyMap<Incarnation, SimNode>;
}

export class Referee {
  readonly #parts: RefereeParts;
  readonly #standings = new Map<SimNode, Standing>();
  readonly #byProcess = new Map<Process, SimNode>();
  /** Which epochs were handed out, and to whom; null for one that an operator took. */
  readonly #issued = new Map<string, string | null>();
  readonly #seen = new Map<string, number>();
  readonly spoke = new Map<RoomId, { readonly atMs: number; readonly epoch: number }>();
  frames = 0;
  /** Frames that left by promises alone. */
  failsafeFrames = 0;

  constructor(parts: RefereeParts) {
    this.#parts = parts;
  }

  #fail(id: InvariantId, what: string): void {
    this.#parts.world.fail(id, what);
  }

  enter(node: SimNode, rate: number): void {
    const standing = {
      rate,
      enteredAtMs: Infinity,
      renewalSentMs: 0,
      answeredSentMs: undefined,
      promised: new Map(),
    };
    this.#standings.set(node, standing);
    this.#byProcess.set(node.process, node);
  }

  renewal(process: Process, phase: "sent" | "answered"): void {
    const node = this.#byProcess.get(process);
    const standing = node && this.#standings.get(node);
    if (standing === undefined) return;
    if (phase === "sent") standing.renewalSentMs = this.#parts.world.nowMs;
    else standing.answeredSentMs = standing.renewalSentMs;
  }

  promised(node: SimNode, to: Incarnation, forMs: number): void {
    const standing = this.#standings.get(node);
    standing?.promised.set(to, this.#parts.world.nowMs + forMs / standing.rate);
  }

  // ---- frames ----

  spokeFor(node: SimNode, { roomId, epoch }: Frame): void {
    const { nowMs } = this.#parts.world;
    this.frames += 1;
    const who = `${node.nodeId} (${node.incarnation}), for ${roomId} at epoch ${epoch},`;
    const why = this.#whyNot(node);
    if (why !== undefined) this.#fail("S3", `${who} spoke ${why}`);
    const tables = this.#parts.tables();
    const room = tables.rooms.get(roomId);
    const isTaken = this.#issued.get(`${roomId} ${epoch + 1}`) === null;
    if (!isTaken && (room?.owner !== node.incarnation || room.epoch !== epoch)) {
      this.#fail("S5", `${who} spoke, and the room is ${room?.owner ?? "nobody"}'s at ${room?.epoch ?? 0}`);
    }
    if (tables.nodes.get(node.incarnation)?.state === "down")
      this.#fail("S5", `${who} spoke after it was marked down`);
    this.spoke.set(roomId, { atMs: nowMs, epoch });
  }

  #whyNot(node: SimNode): string | undefined {
    const { config, world } = this.#parts;
    const standing = this.#standings.get(node);
    if (standing?.answeredSentMs === undefined) return "without a lease";
    const sinceMs = (world.nowMs - standing.answeredSentMs) * standing.rate;
    if (sinceMs <= config.leaseMs - config.leaseMarginMs) return undefined;
    this.failsafeFrames += 1;
    if (sinceMs > config.failsafeMs) return `${sinceMs.toFixed(0)} ms after Postgres's last answer`;
    for (const [other, { enteredAtMs, promised }] of this.#standings) {
      if (other === node || other.process.state === "dead" || enteredAtMs >= standing.answeredSentMs)
        continue;
      if (this.#parts.tables().nodes.get(other.incarnation)?.state === "down") continue;
      const untilMs = promised.get(node.incarnation);
      if (untilMs === undefined || untilMs < world.nowMs) {
        return `${sinceMs.toFixed(0)} ms after Postgres's last answer, without a promise of ${other.nodeId}`;
      }
    }
    return undefined;
  }

  seen(gateway: string, { roomId, epoch }: Frame): void {
    const key = `${gateway} ${roomId}`;
    const newest = this.#seen.get(key) ?? 0;
    if (epoch < newest) this.#fail("S4", `${gateway} showed epoch ${epoch} of ${roomId} after ${newest}`);
    this.#seen.set(key, epoch);
  }

  // ---- transactions ----

  committed(before: Tables, after: Tables, by: Process): void {
    if (before.nodes !== after.nodes) this.#nodesChanged(before, after);
    if (before.rooms !== after.rooms) {
      for (const [roomId, row] of after.rooms) {
        const former = before.rooms.get(roomId);
        if (former !== row) this.#roomChanged(roomId, former, row, after);
      }
    }
    if (before.checkpoints !== after.checkpoints) this.#checkpointsChanged(before, after, by);
  }

  #nodesChanged(before: Tables, after: Tables): void {
    for (const [incarnation, row] of after.nodes) {
      const former = before.nodes.get(incarnation);
      const node = this.#parts.nodes.get(incarnation as Incarnation);
      if (node === undefined) continue;
      const standing = this.#standings.get(node);
      if (former === undefined && standing !== undefined) standing.enteredAtMs = this.#parts.world.nowMs;
      if (former?.state === "down" && row.state !== "down")
        this.#fail("S9", `${row.node_id} came back from down`);
      if (former?.state !== "down" && row.state === "down") this.#markedDown(node, row);
    }
  }

  #markedDown(node: SimNode, row: NodeRow): void {
    const { clockSetMs, troubles, world } = this.#parts;
    const { down_at: downAt, down_reason: reason } = row;
    world.note("marked down", node.nodeId, { reason, incarnation: node.incarnation });
    if (node.process.state === "dead") return;
    if (node.lease.isHeld) {
      this.#fail(
        "S9",
        `${node.nodeId} was marked down (${reason ?? ""}) with ${node.lease.leftMs.toFixed(0)} ms of its lease left`,
      );
    }
    if (reason !== "lapsed") return;
    if (troubles.isUntouched(node.nodeId)) this.#fail("S11", `${node.nodeId} was called silent, and is well`);
    if (troubles.isPostgresJustBack((downAt ?? 0) - WALL_MS - clockSetMs())) {
      this.#fail("S12", `${node.nodeId} was called silent as soon as Postgres was back`);
    }
  }

  #roomChanged(roomId: string, former: RoomRow | undefined, row: RoomRow, after: Tables): void {
    const epoch = former?.epoch ?? 0;
    if (row.epoch === epoch) {
      if (row.owner !== former?.owner && row.owner !== null) {
        this.#fail("S2", `${roomId} changed hands without a new epoch`);
      }
      return;
    }
    const key = `${roomId} ${row.epoch}`;
    if (row.epoch < epoch || this.#issued.has(key)) {
      this.#fail("S2", `${roomId} went from epoch ${epoch} to ${row.epoch}`);
    }
    this.#issued.set(key, row.owner);
    this.#parts.world.note("epoch", roomId, {
      epoch: row.epoch,
      owner: row.owner_node,
      taken: row.owner === null,
    });
    if (former?.owner == null || row.owner === null || former.owner === row.owner) return;
    if (after.nodes.get(former.owner)?.state !== "down") {
      this.#fail("S10", `${roomId} was taken from ${former.owner_node ?? ""}, which counts`);
    }
  }

  #checkpointsChanged(before: Tables, after: Tables, by: Process): void {
    for (const [roomId, rows] of after.checkpoints) {
      const former = before.checkpoints.get(roomId);
      if (former === rows) continue;
      for (const { epoch, seq } of rows) {
        if (former?.some((row) => row.seq === seq && row.epoch === epoch) === true) continue;
        const owner = this.#issued.get(`${roomId} ${epoch}`);
        const writer = this.#byProcess.get(by)?.incarnation;
        const current = after.rooms.get(roomId)?.epoch;
        if (owner !== writer || epoch !== current) {
          this.#fail(
            "S1",
            `${by.name} wrote checkpoint ${seq} of ${roomId} at epoch ${epoch}; it is at ${current ?? 0}`,
          );
        }
      }
    }
  }
}
