// Postgres, as far as a cluster can tell it from the real one: statements run whole or not at all, at a moment of their own;
// rows are locked until a transaction is on disk; what is on disk survives everything; notifications are only hints.
//
// It can be away (clients are refused, what was under way ends one way or the other), and it can hang (a frozen process:
// what has arrived is carried out when it wakes).

import { Process, type World } from "../world.ts";
import { Locks } from "./locks.ts";
import { Session, type Message, type SessionSettings } from "./session.ts";
import type { Row } from "./statement.ts";
import { MODEL, type ModelStatements } from "./statements.ts";
import { NO_ROWS, type Tables } from "./tables.ts";
import { Transaction, type Committed } from "./transaction.ts";

/** Where a statement is: sent by its client, arrived, run but not on disk, on disk, its answer heard. */
export type Phase = "sent" | "arrived" | "executed" | "committed" | "answered";

/** What a broken build has wrong in Postgres's part. */
export interface PostgresSabotage {
  readonly statements?: ModelStatements;
  readonly answersBeforeCommit?: boolean;
}

export const WALL_MS = 1_800_000_000_000;

export class SimPostgres {
  readonly #world: World;
  readonly sabotage: PostgresSabotage;
  readonly #statements: ModelStatements;
  readonly #committed: Committed = { tables: NO_ROWS };
  /** As `last_value` has it; nextval gives 1 first. */
  readonly #viewVersion = { value: 1, isCalled: false };
  readonly #sessions = new Set<Session>();
  #locks: Locks;
  process: Process;
  /** How far its clock was set from what it began with, in ms. */
  clockSetMs = 0;
  /** How long a transaction takes to be on disk. */
  flushMs: () => number;
  /** What a plan may do one way or the other. */
  either: () => boolean;
  onPhase: (client: Process, name: string, phase: Phase) => void = () => {};
  /** A transaction has taken effect. */
  onCommit: (before: Tables, after: Tables, by: Process, name: string) => void = () => {};
  onNotification: (payload: string) => void = () => {};
  /** Clients' connections break, when the server goes away. */
  onCrash: () => void = () => {};

  constructor(world: World, sabotage: PostgresSabotage) {
    this.#world = world;
    this.sabotage = sabotage;
    this.#statements = { ...MODEL, ...sabotage.statements };
    this.process = new Process("postgres");
    this.#locks = this.#newLocks();
    this.either = () => world.chance.is(0.5);
    this.flushMs = () => world.chance.between(0.2, 3);
  }

  get tables(): Tables {
    return this.#committed.tables;
  }

  get isUp(): boolean {
    return this.process.state !== "dead";
  }

  get isAnswering(): boolean {
    return this.process.state === "running";
  }

  connect(client: Process, settings: SessionSettings): Session {
    const session = new Session(this, this.#world, this.process, client, settings);
    this.#sessions.add(session);
    return session;
  }

  forget(session: Session): void {
    this.#sessions.delete(session);
  }

  begin(lockWaitMs: number): Transaction {
    return new Transaction(this.#committed, this.#locks, lockWaitMs);
  }

  execute(tx: Transaction, { name, values }: Message): Promise<Row[]> {
    const statement = this.#statements[name];
    if (statement === undefined) throw new Error(`the model has no statement ${name}`);
    const now = (): number => WALL_MS + this.#world.nowMs + this.clockSetMs;
    return statement(
      { tx, seen: tx.tables, now, viewVersion: this.#viewVersion, either: this.either },
      values,
    );
  }

  commit(tx: Transaction, by: Process, name: string): void {
    const before = this.tables;
    for (const payload of tx.commit()) this.onNotification(payload);
    this.onCommit(before, this.tables, by, name);
  }

  /** All of its processes end; what was on its way to disk has got there or has not. */
  crash(): void {
    this.#world.kill(this.process);
    for (const session of this.#sessions) {
      const { flushing } = session;
      session.flushing = undefined;
      if (flushing === undefined) continue;
      // What was answered is on disk: so Postgres promises. What was not may be.
      const isThere = this.#world.chance.is(0.5) && this.sabotage.answersBeforeCommit !== true;
      if (isThere) this.commit(flushing, session.client, "crash");
    }
    for (const session of this.#sessions) session.end();
    this.#locks.clear();
    this.#locks = this.#newLocks();
    this.onCrash();
  }

  restart(): void {
    this.process = new Process("postgres");
  }

  #newLocks(): Locks {
    return new Locks((ms, work) => this.#world.after(this.process, ms, "timer", work));
  }
}
