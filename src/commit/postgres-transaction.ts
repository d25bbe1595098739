// One transaction on one connection: what it was given, in order, then the rooms, then COMMIT.
//
// Everything but COMMIT is sent without waiting for answers, and COMMIT only when all of them are right. Until then a failure
// of whatever kind means that nothing was written; after that, only Postgres's own answer is an outcome.

import type { PoolClient, QueryResult } from "pg";

import type { CheckpointStore } from "../checkpoint/store.ts";
import { RingsideError } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Outcome } from "./outcome.ts";
import { asRefusal, isOutdated, isReadTimeout, isRefusedByPostgres } from "./refusal.ts";
import type { Statement } from "./statement.ts";
import type { OwnTransaction, Unit } from "./transaction.ts";

export interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
  readonly queryMode: "extended";
}

/** What became of a transaction, and who in it made it fail; nobody when that cannot be told. */
export interface Attempt {
  readonly outcome: Outcome;
  readonly culprits: ReadonlySet<Unit>;
}

interface TransactionParts {
  readonly clock: Clock;
  readonly client: PoolClient;
  readonly begin: string;
  readonly checkpoints: CheckpointStore;
  readonly named: (statement: Statement) => Query;
  /** The connection has been given back. */
  readonly onEnd: () => void;
}

interface Sent {
  readonly running: Promise<unknown>;
  readonly unit: Unit | undefined;
  /** When it was answered, by the monotonic clock. */
  answeredMs?: number;
}

/** A transaction on a connection of its own, until it ends one way or the other. */
export class PostgresTransaction implements OwnTransaction {
  readonly #parts: TransactionParts;
  readonly #sent: Sent[] = [];
  #isOver = false;
  #isReleased = false;
  /** Whether the connection may not be what it was. */
  #hasTraces = false;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
    parts.client.on("error", ignore); // told by the statement that was running
    void this.#send(parts.client.query(parts.begin));
  }

  /** @throws RingsideError COMMIT_REFUSED or POSTGRES_UNREACHABLE */
  async query(statement: Statement): Promise<QueryResult> {
    try {
      return await this.#query(statement, undefined);
    } catch (error) {
      throw asRefusal(error);
    }
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.#rollBack(false); // after what is still running; so long the connection is in use
  }

  async commit(unit: Unit): Promise<Outcome> {
    const { outcome } = await this.commitAll([unit]);
    return outcome;
  }

  /** Runs what remains, saves the rooms and commits. Never rejects. */
  async commitAll(units: readonly Unit[]): Promise<Attempt> {
    for (const unit of units) {
      for (const statement of unit.statements) void this.#query(statement, unit);
    }
    const saving = this.#send(this.#parts.checkpoints.save(units.map(({ checkpoint }) => checkpoint)));
    const results = await Promise.allSettled(this.#sent.map(({ running }) => running));
    const index = results.findIndex(({ status }) => status === "rejected");
    if (index >= 0) {
      const { reason } = results[index] as PromiseRejectedResult; // it was found as one
      // Each waits for those before it, so the one that was not answered in time need not be the one that took it.
      const unit = isReadTimeout(reason) ? this.#slowest() : this.#sent[index]?.unit;
      const isAnswering = await this.#rollBack(isOutdated(reason));
      const culprits = new Set(unit === undefined ? [] : [unit]);
      return { outcome: { kind: "refused", error: asRefusal(reason, isAnswering) }, culprits };
    }
    const saved = await saving;
    const stale = units.filter(({ checkpoint }) => !saved.has(checkpoint));
    if (stale.length > 0) {
      await this.#rollBack(false);
      const baseless = stale.filter(({ checkpoint }) => saved.baseless.has(checkpoint));
      if (baseless.length === 0) return { outcome: { kind: "stale" }, culprits: new Set(stale) };
      return { outcome: { kind: "baseless" }, culprits: new Set(baseless) };
    }
    return { outcome: await this.#commit(), culprits: new Set() };
  }

  async #commit(): Promise<Outcome> {
    try {
      const { command } = await this.#parts.client.query("COMMIT");
      this.#end(false);
      if (command === "COMMIT") return { kind: "committed" };
      return { kind: "refused", error: new RingsideError("COMMIT_REFUSED", { why: "rolled back" }) };
    } catch (error) {
      // One that was cancelled, or failed inside Postgres, may have been so with all of it done. So may one of which the server
      // itself has died, which says why in the same words: only of one that goes on is it known.
      const saysNo = isRefusedByPostgres(error) && !/^(?:57014|XX)/u.test(error.code ?? "");
      const isAnswering = await this.#rollBack(!saysNo);
      return saysNo && isAnswering
        ? { kind: "refused", error: asRefusal(error) }
        : { kind: "unknown", error };
    }
  }

  #query(statement: Statement, unit: Unit | undefined): Promise<QueryResult> {
    // The connection may be somebody else's already.
    if (this.#isOver) return Promise.reject(new RingsideError("COMMIT_REFUSED", { why: "it is over" }));
    this.#hasTraces ||= statement.leavesTraces;
    const running = this.#parts.client.query(this.#parts.named(statement)).then((result) => {
      checkRows(statement, result);
      return result;
    });
    return this.#send(running, unit);
  }

  #send<Result>(running: Promise<Result>, unit?: Unit): Promise<Result> {
    const sent: Sent = { running, unit };
    // A failure is looked at in commitAll(), or by whoever awaits it.
    running.then(() => (sent.answeredMs = this.#parts.clock.monotonicMs()), ignore);
    this.#sent.push(sent);
    return running;
  }

  /** Whose statements have taken the longest so far; nobody's if Postgres has not answered at all. */
  #slowest(): Unit | undefined {
    const tookMs = new Map<Unit | undefined, number>();
    let sinceMs = this.#sent[0]?.answeredMs; // BEGIN
    if (sinceMs === undefined) return undefined;
    for (const { unit, answeredMs } of this.#sent.slice(1)) {
      const untilMs: number = answeredMs ?? this.#parts.clock.monotonicMs();
      tookMs.set(unit, (tookMs.get(unit) ?? 0) + untilMs - sinceMs);
      if (answeredMs === undefined) break; // and so are those after it
      sinceMs = answeredMs;
    }
    const [slowest] = [...tookMs].sort(([, a], [, b]) => b - a);
    return slowest?.[0];
  }

  /**
   * @param isBroken whether the connection is of no more use
   * @returns whether Postgres answered on it
   */
  async #rollBack(isBroken: boolean): Promise<boolean> {
    const isBack = await this.#parts.client.query("ROLLBACK").then(
      () => true,
      () => false,
    );
    this.#end(isBroken || !isBack);
    return isBack;
  }

  #end(isBroken: boolean): void {
    if (this.#isReleased) return;
    this.#isOver = true;
    this.#isReleased = true;
    this.#parts.client.off("error", ignore);
    this.#parts.client.release(isBroken || this.#hasTraces);
    this.#parts.onEnd();
  }
}

function ignore(): void {}

function checkRows({ text, rows }: Statement, result: QueryResult): void {
  if (rows === undefined || result.rowCount === rows) return;
  throw new RingsideError("COMMIT_REFUSED", {
    why: `a statement touched ${String(result.rowCount)} rows, not ${rows}`,
    statement: text.slice(0, 80),
  });
}
