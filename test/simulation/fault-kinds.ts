// The faults by their names, and the healing of them all. What each does is in the files for processes, the network, Postgres
// and ambushes.

import { Ambushes } from "./ambushes.ts";
import { config, type Cluster } from "./cluster.ts";
import { FaultBench } from "./fault-bench.ts";
import { NetworkFaults } from "./network-faults.ts";
import { PostgresFaults } from "./postgres-faults.ts";
import { ProcessFaults } from "./process-faults.ts";
import type { SimNode } from "./sim-node.ts";

/** To one node, which is drawn when it begins. */
const OF_ONE = ["kill", "freeze", "drain", "cutPeers", "isolate", "cutPostgres", "reset"] as const;
const OF_ALL = [
  "ambush",
  "away",
  "cutAllPostgres",
  "doubt",
  "freezeAll",
  "hang",
  "hold",
  "join",
  "mire",
  "setClock",
  "slow",
  "stranded",
  "strangers",
  "suspend",
  "take",
  "weather",
  "zombie",
] as const;

type FaultOfOne = (typeof OF_ONE)[number];
type FaultOfAll = (typeof OF_ALL)[number];
export type FaultName = FaultOfOne | FaultOfAll;

export class FaultKinds {
  readonly #bench: FaultBench;
  readonly #processes: ProcessFaults;
  readonly #network: NetworkFaults;
  readonly #postgres: PostgresFaults;
  readonly #ambushes: Ambushes;

  constructor(cluster: Cluster) {
    this.#bench = new FaultBench(cluster);
    this.#processes = new ProcessFaults(this.#bench);
    this.#network = new NetworkFaults(this.#bench);
    this.#postgres = new PostgresFaults(this.#bench);
    this.#ambushes = new Ambushes(this.#bench, this.#processes, this.#network, this.#postgres);
  }

  get schedule(): string[] {
    return this.#bench.schedule;
  }

  begin(name: FaultName, lengthMs: number): void {
    const { cluster, isHealed } = this.#bench;
    if (isHealed) return;
    const endsMs = cluster.world.nowMs + lengthMs;
    if (!isOfOne(name)) this.#beginForAll(name, lengthMs, endsMs);
    else if (cluster.running.length > 0)
      this.#beginForOne(name, cluster.world.chance.pick(cluster.running), endsMs);
  }

  /** Ends it all; `broken` become what they never recover from. */
  heal(broken: ReadonlySet<SimNode>): void {
    const { cluster } = this.#bench;
    this.#bench.isHealed = true;
    this.#ambushes.heal();
    this.#network.heal();
    this.#postgres.heal();
    this.#processes.heal(broken);
    for (const node of broken) {
      const how = cluster.world.chance.pick(["dead", "frozen", "cut off", "without power"]);
      this.#bench.say(`${node.nodeId} ${how} for good`);
      cluster.troubles.add(node.nodeId, Infinity);
      if (how === "frozen") cluster.freeze(node);
      else if (how === "cut off") this.#network.cutOff(node, Infinity);
      else if (node.process.state !== "dead") cluster.kill(node, how === "without power");
    }
  }

  #beginForOne(name: FaultOfOne, node: SimNode, endsMs: number): void {
    switch (name) {
      case "kill":
        return this.#processes.kill(node);
      case "freeze":
        return this.#processes.freeze(node, endsMs);
      case "drain":
        return this.#processes.drain(node);
      case "cutPeers":
        return this.#network.cutPeers(node, endsMs);
      case "isolate":
        return this.#network.isolate(node, endsMs);
      case "cutPostgres":
        return this.#network.cutPostgres(node, endsMs);
      case "reset":
        return this.#network.reset(node);
    }
  }

  #beginForAll(name: FaultOfAll, lengthMs: number, endsMs: number): void {
    switch (name) {
      case "ambush":
        return this.#ambushes.lieInWait(lengthMs);
      case "away":
        return this.#postgres.away(endsMs);
      case "cutAllPostgres":
        return this.#network.cutAllPostgres(endsMs);
      case "doubt":
        return this.#ambushes.doubt();
      case "freezeAll":
        return this.#processes.freezeAll(endsMs - lengthMs / 10, endsMs + lengthMs / 10);
      case "hang":
        return this.#postgres.hang(endsMs);
      case "hold":
        return this.#ambushes.hold(lengthMs);
      case "join":
        this.#processes.join();
        return;
      case "mire":
        return this.#mire(endsMs);
      case "setClock":
        return this.#postgres.setClock();
      case "slow":
        return this.#postgres.slow(endsMs);
      case "stranded":
        return this.#stranded(endsMs);
      case "strangers":
        return this.#strangers(endsMs);
      case "suspend":
        return this.#ambushes.suspend(lengthMs);
      case "take":
        return this.#postgres.take();
      case "weather":
        return this.#network.weather(endsMs);
      case "zombie":
        return this.#ambushes.zombie(lengthMs);
    }
  }

  /** Nobody reaches Postgres but one who comes now, or comes back, and of whom the others have never heard. */
  #strangers(endsMs: number): void {
    const { cluster } = this.#bench;
    const { chance, nowMs } = cluster.world;
    if (chance.is(0.4) || cluster.running.length === 0) {
      this.#network.cutAllPostgres(endsMs, "nobody");
      this.#bench.later(nowMs + chance.between(0, 1_500), () => void this.#processes.join());
      return;
    }
    const node = chance.pick(cluster.running);
    this.#network.cutAllPostgres(endsMs, node);
    this.#processes.restart(node, chance.between(50, 500));
  }

  /** Postgres answers everybody late, and tells of one who comes and whom nobody reaches. */
  #stranded(endsMs: number): void {
    this.#mud(endsMs);
    const node = this.#processes.join();
    if (node !== undefined) this.#network.cutFromPeers(node, endsMs);
  }

  /** Postgres is so slow that each says it does not reach it, and not so slow that a renewal fails. */
  #mud(endsMs: number): void {
    this.#postgres.slowBy(endsMs, config.leaseMs * 0.35, config.leaseMs * 0.48);
  }

  /** Postgres answers everybody late, and one not at all. */
  #mire(endsMs: number): void {
    const { cluster } = this.#bench;
    const { chance, nowMs } = cluster.world;
    this.#mud(endsMs);
    this.#bench.later(nowMs + chance.between(0, config.leaseMs), () => {
      if (cluster.running.length > 0) this.#network.cutPostgres(chance.pick(cluster.running), endsMs);
    });
  }
}

function isOfOne(name: FaultName): name is FaultOfOne {
  return (OF_ONE as readonly string[]).includes(name);
}
