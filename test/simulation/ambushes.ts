// Faults that wait for a statement: something happens to its node when it has come so far, or it is held up on its way. So
// the moments are met that a fault at any time would hardly ever meet: between a COMMIT and its answer, say.

import type { FaultBench } from "./fault-bench.ts";
import type { NetworkFaults } from "./network-faults.ts";
import type { PostgresFaults } from "./postgres-faults.ts";
import type { ProcessFaults } from "./process-faults.ts";
import type { SimNode } from "./sim-node.ts";

/** The more often it is here, the more often it is chosen. */
const STATEMENTS = [
  "renew-lease",
  "renew-lease",
  "renew-lease",
  "claim-rooms",
  "claim-rooms",
  "read-rooms",
  "save-checkpoints",
  "save-checkpoints",
  "mark-down",
  "release-room",
  "COMMIT",
  "COMMIT",
];
const PHASES = ["sent", "arrived", "executed", "committed", "answered"];
/** Commits that are thrown into doubt, one after the other. */
const DOUBTS = 3;

type Blow = "kill" | "freeze" | "reset" | "suspend";

interface Ambush {
  readonly statement: string;
  readonly phase: string;
  readonly blow: Blow;
  readonly lengthMs: number;
}

export class Ambushes {
  readonly #bench: FaultBench;
  readonly #processes: ProcessFaults;
  readonly #network: NetworkFaults;
  readonly #postgres: PostgresFaults;
  readonly #ambushes: Ambush[] = [];
  readonly #holds: { readonly statement: string; readonly ms: number }[] = [];

  constructor(bench: FaultBench, processes: ProcessFaults, network: NetworkFaults, postgres: PostgresFaults) {
    this.#bench = bench;
    this.#postgres = postgres;
    this.#processes = processes;
    this.#network = network;
    bench.cluster.onPhase = (node, statement, phase) => this.#spring(node, statement, phase);
    bench.cluster.wire.heldMs = (from, statement) => this.#heldMs(from, statement);
  }

  lieInWait(lengthMs: number): void {
    const { chance } = this.#bench.cluster.world;
    const [statement, phase] = [chance.pick(STATEMENTS), chance.pick(PHASES)];
    const blow: Blow = chance.pick(["kill", "freeze", "freeze", "reset", "reset"]);
    this.#bench.say(`lies in wait for ${statement} ${phase}, to ${blow}`);
    this.#ambushes.push({ statement, phase, blow, lengthMs });
  }

  /** A host is suspended with all that runs on it, Postgres too, while somebody waits for a renewal. */
  suspend(lengthMs: number): void {
    this.#ambushes.push({ statement: "renew-lease", phase: "sent", blow: "suspend", lengthMs });
  }

  /** Commits are on disk, and nobody is told. */
  doubt(): void {
    this.#bench.say(`the answers to the next ${DOUBTS} COMMITs get lost`);
    const ambush: Ambush = { statement: "COMMIT", phase: "committed", blow: "reset", lengthMs: 0 };
    for (let count = 0; count < DOUBTS; count++) this.#ambushes.push(ambush);
  }

  /** The next statement of a kind is held up on its way, and nothing else is; who sent it may not live to see it arrive. */
  hold(lengthMs: number): void {
    const { chance } = this.#bench.cluster.world;
    const statement = chance.pick(STATEMENTS);
    const blow: Blow | "nothing else" = chance.pick(["nothing else", "kill", "freeze"]);
    this.#bench.say(`the next ${statement} is held up for ${lengthMs.toFixed(0)} ms; ${blow}`);
    this.#holds.push({ statement, ms: lengthMs });
    if (blow !== "nothing else") this.#ambushes.push({ statement, phase: "sent", blow, lengthMs });
  }

  /** Rooms' writes of somebody who is gone or frozen arrive long after, when their rooms are somebody else's. */
  zombie(lengthMs: number): void {
    const { chance } = this.#bench.cluster.world;
    const statement = chance.pick(["save-checkpoints", "COMMIT"]);
    const blow: Blow = chance.pick(["kill", "kill", "freeze"]);
    this.#bench.say(`the next ${statement} is held up for ${lengthMs.toFixed(0)} ms; ${blow}`);
    this.#holds.push({ statement, ms: lengthMs });
    this.#ambushes.push({ statement, phase: "sent", blow, lengthMs });
  }

  heal(): void {
    this.#ambushes.length = 0;
    this.#holds.length = 0;
  }

  #spring(node: SimNode, statement: string, phase: string): void {
    const index = this.#ambushes.findIndex((each) => each.statement === statement && each.phase === phase);
    const [ambush] = index < 0 ? [] : this.#ambushes.splice(index, 1);
    if (ambush === undefined) return;
    const { world } = this.#bench.cluster;
    // Not in the middle of what just happens, but before anything else does.
    world.after(undefined, 0, "message", () => {
      if (this.#bench.isHealed || node.process.state !== "running") return;
      if (ambush.blow === "kill") this.#processes.kill(node);
      else if (ambush.blow === "reset") this.#network.reset(node);
      else if (ambush.blow === "suspend") this.#suspendAll(world.nowMs + ambush.lengthMs, node);
      else this.#processes.freeze(node, world.nowMs + ambush.lengthMs);
    });
  }

  /** @param first who wakes before the others: it had just asked */
  #suspendAll(endsMs: number, first: SimNode): void {
    this.#postgres.hang(endsMs);
    // Postgres has answered by then; later, the time-out of the question would have its turn first.
    this.#processes.freezeAll(endsMs + 20, endsMs + 400, first);
  }

  #heldMs(from: string, statement: string): number {
    const index = this.#holds.findIndex((each) => each.statement === statement);
    const [held] = index < 0 ? [] : this.#holds.splice(index, 1);
    if (held === undefined) return 0;
    const { troubles, world } = this.#bench.cluster;
    world.note(`${statement} is held up`, from);
    troubles.add(from, world.nowMs + held.ms);
    return held.ms;
  }
}
