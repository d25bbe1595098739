// Faults of the network: directions that are cut, between nodes and between nodes and Postgres; slow and lossy weather;
// connections that break.

import { config } from "./cluster.ts";
import type { FaultBench } from "./fault-bench.ts";
import type { SimNode } from "./sim-node.ts";
import { FAIR } from "./wire.ts";

export class NetworkFaults {
  readonly #bench: FaultBench;

  constructor(bench: FaultBench) {
    this.#bench = bench;
  }

  cutPeers(node: SimNode, endsMs: number): void {
    const { cluster } = this.#bench;
    const other = cluster.world.chance.pick([...cluster.nodes.values()]);
    if (other === node) return;
    this.#bench.say(`${node.nodeId} cut from ${other.nodeId} until ${endsMs.toFixed(0)}`);
    this.#cut(node.nodeId, other.nodeId, endsMs);
  }

  isolate(node: SimNode, endsMs: number): void {
    this.#bench.say(`${node.nodeId} isolated until ${endsMs.toFixed(0)}`);
    this.#bench.cluster.troubles.add(node.nodeId, endsMs);
    this.cutOff(node, endsMs);
  }

  /** From everybody, in both directions. */
  cutOff(node: SimNode, endsMs: number): void {
    this.cutFromPeers(node, endsMs);
    for (const other of ["postgres", "east", "west"]) this.#cutBoth(node.nodeId, other, endsMs);
  }

  cutFromPeers(node: SimNode, endsMs: number): void {
    for (const other of this.#bench.cluster.nodes.keys()) {
      if (other !== node.nodeId) this.#cutBoth(node.nodeId, other, endsMs);
    }
  }

  cutPostgres(node: SimNode, endsMs: number): void {
    this.#bench.say(`${node.nodeId} cut from Postgres until ${endsMs.toFixed(0)}`);
    this.#bench.cluster.troubles.add(node.nodeId, endsMs);
    this.#cut(node.nodeId, "postgres", endsMs);
  }

  /** For everyone, or, as the failsafe must notice, for all but one: `chosen`, if given. */
  cutAllPostgres(drawnMs: number, chosen?: SimNode | "nobody"): void {
    const { cluster } = this.#bench;
    const { chance, nowMs } = cluster.world;
    const endsMs = chance.is(0.3) ? nowMs + config.failsafeMs * chance.between(0.9, 1.2) : drawnMs;
    const nodes = [...cluster.nodes.values()];
    const drawn = chance.is(0.4) ? chance.pick(nodes) : undefined;
    const spared = chosen === "nobody" ? undefined : (chosen ?? drawn);
    const who = spared === undefined ? "everybody" : `all but ${spared.nodeId}`;
    this.#bench.say(`${who} cut from Postgres until about ${endsMs.toFixed(0)}`);
    let lastMs = endsMs;
    for (const node of nodes) {
      if (node === spared) continue;
      const untilMs = endsMs + chance.between(-500, 500) * chance.pick([1, 4]);
      lastMs = Math.max(lastMs, untilMs);
      cluster.troubles.add(node.nodeId, untilMs);
      this.#cut(node.nodeId, "postgres", untilMs);
    }
    if (spared === undefined) cluster.troubles.add("postgres", lastMs);
  }

  weather(endsMs: number): void {
    const { chance } = this.#bench.cluster.world;
    const { troubles, wire } = this.#bench.cluster;
    const delayMs = chance.pick([30, 200, 700]);
    this.#bench.say(`bad weather until ${endsMs.toFixed(0)}: up to ${delayMs} ms`);
    troubles.add("everything", endsMs);
    wire.weather = { delayMs, loss: chance.between(0, 0.3), duplication: chance.between(0, 0.3) };
    this.#bench.later(endsMs, () => (wire.weather = FAIR));
  }

  /** Its connections to Postgres break, whatever was under way. */
  reset(node: SimNode): void {
    const { troubles, world } = this.#bench.cluster;
    this.#bench.say(`${node.nodeId}'s connections to Postgres break`);
    troubles.add(node.nodeId, world.nowMs);
    for (const pool of node.pools) pool.reset();
  }

  heal(): void {
    const { wire } = this.#bench.cluster;
    wire.heal();
    wire.weather = FAIR;
  }

  #cutBoth(here: string, there: string, endsMs: number): void {
    const { wire } = this.#bench.cluster;
    wire.cut(here, there, endsMs);
    wire.cut(there, here, endsMs);
  }

  #cut(here: string, there: string, endsMs: number): void {
    const { wire, world } = this.#bench.cluster;
    const which = world.chance.pick(["there", "back", "both"]);
    if (which !== "back") wire.cut(here, there, endsMs);
    if (which !== "there") wire.cut(there, here, endsMs);
  }
}
