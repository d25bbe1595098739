// Faults of processes: they are killed, lose power, are frozen, leave, join, and are sent away. And the restarts after them.

import type { NodeId } from "../../src/ids.ts";
import type { FaultBench } from "./fault-bench.ts";
import type { SimNode } from "./sim-node.ts";

/** Nodes that join in one run at most. */
const JOINS_MAX = 3;

export class ProcessFaults {
  readonly #bench: FaultBench;
  /** Whoever does not come back. */
  brokenForGood: ReadonlySet<SimNode> = new Set();
  #joined = 0;

  constructor(bench: FaultBench) {
    this.#bench = bench;
    const { cluster } = bench;
    cluster.onEnded = (node) => this.startAgain(node, cluster.world.chance.between(100, 600));
  }

  kill(node: SimNode): void {
    const { cluster } = this.#bench;
    const { chance, nowMs } = cluster.world;
    const isPowerCut = chance.is(0.3);
    const againMs = chance.is(0.2) ? undefined : chance.between(100, chance.pick([500, 4_000]));
    const back = againMs === undefined ? "for now" : `back in ${againMs.toFixed(0)} ms`;
    this.#bench.say(`${node.nodeId} ${isPowerCut ? "loses power" : "killed"}, ${back}`);
    cluster.troubles.add(node.nodeId, nowMs);
    cluster.kill(node, isPowerCut);
    if (againMs !== undefined) this.startAgain(node, againMs);
  }

  /** Killed, and soon back at the same port, before anybody else hears of it. */
  restart(node: SimNode, inMs: number): void {
    const { cluster } = this.#bench;
    this.#bench.say(`${node.nodeId} killed, back at its port in ${inMs.toFixed(0)} ms`);
    cluster.troubles.add(node.nodeId, cluster.world.nowMs);
    cluster.kill(node, false);
    this.startAgain(node, inMs, node.port);
  }

  /** A new incarnation under its name: at the port that the former one had, or at another. */
  startAgain(node: SimNode, inMs: number, port?: number): void {
    const { cluster } = this.#bench;
    const { world } = cluster;
    world.after(undefined, inMs, "message", () => {
      if (this.brokenForGood.has(node) || cluster.nodes.get(node.nodeId) !== node) return;
      cluster.start(node.nodeId, port ?? (world.chance.is(0.5) ? node.port : undefined));
    });
  }

  freeze(node: SimNode, endsMs: number): void {
    const { cluster } = this.#bench;
    this.#bench.say(`${node.nodeId} frozen until ${endsMs.toFixed(0)}`);
    cluster.troubles.add(node.nodeId, endsMs);
    cluster.freeze(node);
    this.#bench.later(endsMs, () => cluster.thaw(node));
  }

  /** @param first who wakes before the others, if anybody is to */
  freezeAll(fromMs: number, toMs: number, first?: SimNode): void {
    const { chance } = this.#bench.cluster.world;
    for (const node of this.#bench.cluster.running)
      this.freeze(node, node === first ? fromMs : chance.between(fromMs, toMs));
  }

  drain(node: SimNode): void {
    if (!node.isReady || node.isLeaving) return;
    this.#bench.say(`${node.nodeId} leaves`);
    const { cluster } = this.#bench;
    const { world } = cluster;
    world.after(node.process, 0, "message", () => {
      void node.leave().then(() => {
        world.note("left", node.nodeId);
        cluster.kill(node, false);
        this.startAgain(node, world.chance.between(200, 3_000));
      });
    });
  }

  /** @returns who joins, if there are not too many */
  join(): SimNode | undefined {
    if (this.#joined >= JOINS_MAX) return undefined;
    const nodeId = `m${++this.#joined}` as NodeId;
    this.#bench.say(`${nodeId} joins`);
    return this.#bench.cluster.start(nodeId);
  }

  heal(broken: ReadonlySet<SimNode>): void {
    const { cluster } = this.#bench;
    this.brokenForGood = broken;
    for (const node of cluster.nodes.values()) {
      if (broken.has(node)) continue;
      if (node.process.state === "frozen") cluster.thaw(node);
      if (node.process.state === "dead") this.startAgain(node, cluster.world.chance.between(0, 300));
    }
  }
}
