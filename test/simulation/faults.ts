// What goes wrong in a run: which faults there are, when they begin and how long they last, drawn from the run's seed. They
// overlap. Their lengths lie about the time-outs that they race with, just below and just above. What each one does is in
// fault-kinds.ts.

import { config, type Cluster } from "./cluster.ts";
import { FaultKinds, type FaultName } from "./fault-kinds.ts";
import type { SimNode } from "./sim-node.ts";

/** How often each fault is drawn, against the others. */
type Mixture = Partial<Record<FaultName, number>>;

const MIXTURES: Readonly<Record<string, Mixture>> = {
  processes: {
    suspend: 4,
    doubt: 1,
    kill: 3,
    freeze: 4,
    ambush: 6,
    hold: 2,
    freezeAll: 1,
    drain: 1,
    join: 1,
    take: 2,
    cutPostgres: 1,
  },
  network: {
    doubt: 1,
    hold: 4,
    cutPeers: 2,
    isolate: 3,
    cutPostgres: 5,
    weather: 2,
    reset: 2,
    freeze: 1,
    kill: 1,
    take: 2,
    ambush: 2,
  },
  postgres: {
    suspend: 3,
    setClock: 2,
    doubt: 2,
    mire: 1,
    stranded: 1,
    hold: 3,
    away: 2,
    hang: 3,
    cutAllPostgres: 3,
    slow: 2,
    cutPeers: 1,
    ambush: 3,
    freeze: 1,
    kill: 1,
    take: 1,
  },
  /** Few, so that nodes are left that can go on. */
  failsafe: {
    mire: 4,
    stranded: 3,
    setClock: 0.5,
    strangers: 5,
    cutAllPostgres: 2,
    slow: 1,
    hang: 1,
    kill: 1,
    freeze: 0.5,
    cutPeers: 0.5,
  },
  moves: {
    doubt: 2,
    hold: 2,
    drain: 3,
    join: 3,
    take: 3,
    kill: 1,
    ambush: 3,
    slow: 1,
    weather: 1,
    cutPostgres: 1,
  },
  everything: {
    suspend: 3,
    doubt: 1,
    kill: 2,
    freeze: 2,
    freezeAll: 0.5,
    ambush: 4,
    hold: 3,
    drain: 1,
    join: 1,
    take: 2,
    cutPeers: 1,
    isolate: 1,
    cutPostgres: 2,
    cutAllPostgres: 1,
    strangers: 2,
    mire: 1,
    away: 1,
    hang: 1,
    slow: 1,
    setClock: 1,
    stranded: 1,
    weather: 1,
    reset: 1,
  },
  /** Nothing is wrong; nodes come and go on purpose. */
  quiet: { drain: 1, join: 1 },
};

/** Which mixture a run has, as often as it is here. */
const CHOICES = [
  "processes",
  "processes",
  "network",
  "network",
  "postgres",
  "postgres",
  "failsafe",
  "failsafe",
  "failsafe",
  "failsafe",
  "failsafe",
  "failsafe",
  "moves",
  "everything",
  "everything",
  "everything",
  "quiet",
] as const;

/** What a run may begin with. */
const OPENINGS = [
  "strangers",
  "strangers",
  "mire",
  "mire",
  "stranded",
  "stranded",
  "setClock",
  "suspend",
  "suspend",
  "zombie",
  "zombie",
  "none",
  "none",
  "none",
] as const;

/** These need a lease to end, and another one to be judged. */
const SLOW_TO_BITE = new Set<FaultName>(["strangers", "stranded", "mire", "suspend", "zombie"]);

export class Faults {
  readonly #cluster: Cluster;
  readonly #kinds: FaultKinds;
  readonly #brokenForGood = new Set<string>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#kinds = new FaultKinds(cluster);
  }

  /** What was done, in words. */
  get schedule(): readonly string[] {
    return this.#kinds.schedule;
  }

  /** Draws the run's faults: one that is left alone for a while, in most runs, and then many. @returns when they are over */
  draw(fromMs: number): number {
    const { chance } = this.#cluster.world;
    const opening = chance.pick(OPENINGS);
    const opensMs = opening === "none" ? 0 : config.leaseMs * chance.between(2, 3);
    if (opening !== "none") this.#at(fromMs, opening, opensMs);
    const mixture = chance.pick(CHOICES);
    const lastsMs = chance.between(6_000, 15_000);
    const count = chance.whole(...numberOf(mixture, lastsMs));
    this.#say(`${opening}; ${mixture}: ${count} faults in ${lastsMs.toFixed(0)} ms`);
    const weighted = Object.entries(MIXTURES[mixture] ?? {}) as [FaultName, number][];
    const thenMs = fromMs + opensMs;
    for (let drawn = 0; drawn < count; drawn++) {
      const fault = pickWeighted(weighted, chance.next());
      // The first one early, so that it has its time.
      const atMs = thenMs + chance.between(0, drawn === 0 ? 1_000 : lastsMs);
      this.#at(atMs, fault, this.#lengthMs() + (SLOW_TO_BITE.has(fault) ? config.leaseMs * 2 : 0));
    }
    return thenMs + lastsMs;
  }

  #at(atMs: number, fault: FaultName, lengthMs: number): void {
    this.#cluster.world.after(undefined, atMs, "message", () => this.#kinds.begin(fault, lengthMs));
  }

  /** Ends everything that is wrong, but for a minority of nodes, which stay broken for good. */
  heal(): void {
    const { chance, nowMs } = this.#cluster.world;
    const nodes = chance.shuffle([...this.#cluster.nodes.values()]);
    const most = Math.floor((nodes.length - 1) / 2);
    const broken = chance.is(0.5) ? nodes.slice(0, chance.whole(0, most)) : [];
    this.#say(
      `${nowMs.toFixed(0)} healed but for ${broken.map(({ nodeId }) => nodeId).join(", ") || "nobody"}`,
    );
    for (const node of broken) this.#brokenForGood.add(node.nodeId);
    this.#kinds.heal(new Set(broken));
  }

  isBrokenForGood(node: SimNode): boolean {
    return this.#brokenForGood.has(node.nodeId) || node.process.state !== "running";
  }

  /** A length that lies about one of the times that somebody waits. */
  #lengthMs(): number {
    const { chance } = this.#cluster.world;
    const waitedMs = chance.pick([
      config.leaseRenewMs,
      config.leaseMs / 2,
      config.leaseMs,
      config.leaseMs,
      config.leaseMs * 1.5,
      config.leaseMs * 2,
      config.commitMs,
      config.failsafeMs,
    ]);
    return waitedMs * chance.between(0.7, 1.3);
  }

  #say(words: string): void {
    this.#kinds.schedule.push(words);
  }
}

/** The least and the most faults of a run. */
function numberOf(name: (typeof CHOICES)[number], lastsMs: number): [number, number] {
  if (name === "quiet") return [0, 3];
  return name === "failsafe" ? [1, Math.round(lastsMs / 5_000)] : [4, Math.round(lastsMs / 800)];
}

function pickWeighted(weighted: readonly [FaultName, number][], random: number): FaultName {
  let left = random * weighted.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of weighted) {
    left -= weight;
    if (left < 0) return name;
  }
  throw new Error("there is no fault to choose");
}
