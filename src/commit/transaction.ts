// What a room's author does inside a commit: SQL of their own, and what is to happen once its outcome is known.
//
// Statements added with `run` are only collected: many rooms' commits then travel together, as one transaction. The first
// `query` opens a transaction of its own, because its answer is needed before the rest can be known.

import type { QueryResult, QueryResultRow } from "pg";

import type { Checkpoint } from "../checkpoint/store.ts";
import { RingsideError } from "../errors.ts";
import type { Outcome } from "./outcome.ts";
import { toStatement, type Statement } from "./statement.ts";

/** One room's commit. */
export interface Unit {
  readonly statements: readonly Statement[];
  readonly checkpoint: Checkpoint;
}

/** Given to the callback of `commit`; of no use once that has ended. */
export interface CommitTx {
  /**
   * Adds a statement, which runs when the callback has ended. `$1` … are the values, as they are now.
   *
   * @param expect.rows how many rows it must touch, or nothing is committed (COMMIT_REFUSED): an
   *   `UPDATE … WHERE coins >= $2` with `{ rows: 1 }` checks and pays in one step
   *
   * The commits of several rooms may be one transaction. One in which a statement calls `set_config`, takes an advisory lock
   * of the session, makes a temporary table, or is a `DO` or a `CALL`, has its own, and a connection that is closed after it;
   * what functions of yours do inside is not seen: they must leave the session as it was.
   */
  run(text: string, values?: readonly unknown[], expect?: { readonly rows: number }): void;
  /**
   * Runs a statement now, after those added before it, and gives its result. Needs an async callback, and costs a
   * transaction of its own: where the answer is not needed, `run` is several times as fast.
   *
   * @throws RingsideError COMMIT_REFUSED or POSTGRES_UNREACHABLE: nothing will be committed, also if you catch it
   */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  /**
   * Takes back in the room's memory what the callback did there. Called, last one first, if nothing was committed.
   *
   * In an async callback give it before the change: past `COMMIT_MS` it throws, when it is too late to take back anything.
   */
  undo(step: () => void): void;
  /** What others may see only when it can no longer be lost: called, in order, after the commit. */
  after(step: () => void): void;
}

/** A transaction of its own, opened by the first `query`. */
export interface OwnTransaction {
  query(statement: Statement): Promise<QueryResult>;
  /** Runs what remains, saves the room and commits. Never rejects. */
  commit(unit: Unit): Promise<Outcome>;
  /** Gives it up; nothing of it stands. */
  abandon(): void;
}

export class Transaction implements CommitTx {
  readonly #open: () => Promise<OwnTransaction>;
  readonly #undos: (() => void)[] = [];
  readonly #afters: (() => void)[] = [];
  #statements: Statement[] = [];
  #own: Promise<OwnTransaction> | undefined;
  #isOver = false;

  constructor(open: () => Promise<OwnTransaction>) {
    this.#open = open;
  }

  run(text: string, values: readonly unknown[] = [], expect?: { readonly rows: number }): void {
    this.#refuseWhenOver();
    this.#statements.push(toStatement(text, values, expect?.rows));
  }

  query<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<QueryResult<Row>> {
    this.#refuseWhenOver();
    const asked = toStatement(text, values, undefined);
    const added = this.#statements;
    this.#statements = [];
    const result = this.#send([...added, asked]);
    result.catch(() => {}); // the commit fails by it, whether or not it was awaited
    return result as Promise<QueryResult<Row>>; // the type that the caller gave the row
  }

  undo(step: () => void): void {
    this.#refuseWhenOver();
    this.#undos.push(step);
  }

  after(step: () => void): void {
    this.#refuseWhenOver();
    this.#afters.push(step);
  }

  // ---- the committer's side ----

  /** Whether the callback has ended, or is no longer waited for. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The callback has ended: what remains to be run, and the transaction that has begun, if one has. */
  async close(): Promise<{
    readonly statements: readonly Statement[];
    readonly own: OwnTransaction | undefined;
  }> {
    this.#isOver = true;
    return { statements: this.#statements, own: await this.#own };
  }

  /** Nothing was committed. @returns what the author's steps threw */
  takeBack(): unknown[] {
    this.#isOver = true;
    this.#own?.then((own) => own.abandon()).catch(() => {}); // it never opened
    return callAll(this.#undos.reverse());
  }

  /** It is committed. @returns what the author's steps threw */
  finish(): unknown[] {
    return callAll(this.#afters);
  }

  /** @returns the last one's result */
  async #send(statements: readonly Statement[]): Promise<QueryResult> {
    this.#own ??= this.#open();
    const own = await this.#own;
    // Sent one after the other without waiting: the connection keeps their order.
    const results = await Promise.all(statements.map((statement) => own.query(statement)));
    return results.at(-1) as QueryResult; // there is one at least
  }

  #refuseWhenOver(): void {
    if (!this.#isOver) return;
    throw new RingsideError("COMMIT_REFUSED", {
      why: "this commit is over: await everything inside its callback",
    });
  }
}

function callAll(steps: readonly (() => void)[]): unknown[] {
  const thrown: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      thrown.push(error);
    }
  }
  return thrown;
}
