// Virtual time, and the processes that live in it. One event happens at a time, and everything that it makes runnable
// happens with it, before time moves on: between two events lies what in a real process is an `await` of the outside.
//
// A process can be killed between any two events: what was meant for it never arrives. It can be frozen (SIGSTOP): time
// goes on, what is meant for it piles up, and when it is thawed that comes in any order.

import { Chance } from "./chance.ts";
import type { Breach, InvariantId } from "./invariants.ts";
import { runMicrotasks } from "./microtasks.ts";
import { Queue, type Scheduled } from "./queue.ts";
import { Trace } from "./trace.ts";

/** What an event is to a process that wakes: after a freeze, timers and answers race. */
export type Kind = "timer" | "tick" | "message";

export class Process {
  readonly name: string;
  state: "running" | "frozen" | "dead" = "running";
  readonly backlog: Scheduled[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

export class World {
  readonly chance: Chance;
  readonly trace = new Trace();
  readonly #queue = new Queue();
  #nowMs = 0;
  #current: Process | undefined;
  events = 0;
  /** The first thing that does not hold; nothing happens after it. */
  breach: Breach | undefined;

  constructor(seed: number) {
    this.chance = new Chance(seed);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Whose event is happening; undefined for the surroundings. */
  get current(): Process | undefined {
    return this.#current;
  }

  fail(id: InvariantId, what: string): void {
    this.note(`BREACH of ${id}`, "referee", what);
    this.breach ??= { id, what };
  }

  note(what: string, who: string, facts?: unknown): void {
    this.trace.note(this.#nowMs, what, who, facts);
  }

  /** Has something happen to `process`, or to nobody, after `delayMs`. @returns takes it back */
  after(process: Process | undefined, delayMs: number, kind: Kind, work: () => void): () => void {
    if (process?.state === "dead") return () => {};
    const event = this.#queue.add(this.#nowMs + Math.max(0, delayMs), process, kind, work);
    return () => {
      event.work = undefined;
    };
  }

  kill(process: Process): void {
    process.state = "dead";
    process.backlog.length = 0;
  }

  freeze(process: Process): void {
    if (process.state === "running") process.state = "frozen";
  }

  /** Wakes it. What piled up comes in any order; as often as not, rooms' ticks come first. */
  thaw(process: Process): void {
    if (process.state !== "frozen") return;
    process.state = "running";
    let events = this.chance.shuffle(process.backlog.splice(0));
    if (this.chance.is(0.5)) {
      events = [
        ...events.filter(({ kind }) => kind === "tick"),
        ...events.filter(({ kind }) => kind !== "tick"),
      ];
    }
    for (const event of events) {
      event.atMs = this.#nowMs;
      this.#queue.put(event);
    }
  }

  /** Lets everything happen that falls due until then. */
  runUntil(endMs: number): void {
    while (this.breach === undefined) {
      const event = this.#queue.takeUntil(endMs);
      if (event === undefined) break;
      const { process, work } = event;
      if (work === undefined || process?.state === "dead") continue;
      this.#nowMs = event.atMs;
      if (process?.state === "frozen") {
        process.backlog.push(event);
        continue;
      }
      this.#current = process;
      event.work = undefined;
      work();
      runMicrotasks();
      this.events += 1;
    }
    this.#current = undefined;
    if (this.breach === undefined) this.#nowMs = endMs;
  }
}
