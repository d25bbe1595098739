// Commits in Postgres: the authors' statements and their rooms' checkpoints in one transaction, fenced by epoch.
//
// Commits of different rooms that come at the same time share a transaction, and so its round trips and its flush to disk.
// A transaction is sent whole, without waiting for answers in between; then, if all of them are right, COMMIT. If one of
// them fails the others go on without it, and it is tried by itself: nobody's commit fails by somebody else's. A statement
// that is slow, or waits for a lock, counts as failed much sooner in company than alone, where it holds up nobody.

import type { Pool, PoolClient, QueryResult } from "pg";
import pg from "pg";

import { CheckpointStore } from "../checkpoint/store.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import { Database, type Statements } from "../postgres/query.ts";
import { Batcher } from "../runtime/batcher.ts";
import type { Outcome } from "./outcome.ts";
import { Slots } from "./slots.ts";
import type { Statement } from "./statement.ts";
import type { OwnTransaction, Unit } from "./transaction.ts";

/** Rooms that share a transaction at most, and those that may wait for the next one. */
const LIMITS = { batchMax: 128, waitingMax: 20_000 };
/** How often a shared transaction goes on without those who made it fail, before each of its rooms is tried alone. */
const ROUNDS_MAX = 8;
/** Statements that are prepared once a connection. What authors build from strings is unbounded, and is not. */
const PREPARED_MAX = 200;

export interface CommitStoreParts {
  /**
   * Connections of its own: an author's slow statement must not hold up anything else. In pipeline mode, with a
   * `query_timeout`. One is kept for what rooms do together, if there are two or more.
   */
  readonly pool: Pool;
  readonly statements: Statements;
  readonly self: Incarnation;
  readonly generations: number;
}

export class CommitStore {
  readonly #parts: CommitStoreParts;
  readonly #together: Batcher<Unit, Outcome | Promise<Outcome>>;
  readonly #alone = new Set<Promise<Outcome>>();
  /** For transactions of one room: the others' need a connection at all times. */
  readonly #slots: Slots;
  readonly #prepared = new Map<string, string>();

  constructor(parts: CommitStoreParts) {
    this.#parts = parts;
    this.#together = new Batcher(LIMITS, (units) => this.#commitTogether(units));
    this.#slots = new Slots(Math.max(1, (parts.pool.options.max ?? 10) - 1));
  }

  /** Never rejects but with TOO_MANY. */
  async commit(unit: Unit): Promise<Outcome> {
    return await this.#together.add(unit);
  }

  /**
   * Opens a transaction for one room alone, as soon as a connection is free; it must be committed or abandoned.
   *
   * @throws RingsideError POSTGRES_UNREACHABLE when there is no connection
   */
  async open(): Promise<PostgresTransaction> {
    await this.#slots.take();
    try {
      return await this.#begin("BEGIN", () => this.#slots.giveBack());
    } catch (error) {
      this.#slots.giveBack();
      throw error;
    }
  }

  /**
   * What became of a transaction whose answer to COMMIT was lost.
   *
   * @returns undefined when the room has been taken by another activation since: nobody here is to know any more
   * @throws when Postgres cannot be reached
   */
  async find(roomId: RoomId, epoch: Epoch, seq: number): Promise<boolean | undefined> {
    const client = await this.#parts.pool.connect();
    client.on("error", ignore); // told by the statement that was running
    let isWhole = false;
    try {
      const database = new Database(client, this.#parts.statements);
      await client.query("BEGIN");
      // Two statements: this one waits until the lost transaction is over, and only what begins after that sees its end.
      const [owned] = await database.run("lock-room", [roomId, epoch, this.#parts.self]);
      const [found] = await database.run("find-checkpoint", [roomId, epoch, seq]);
      await client.query("ROLLBACK");
      isWhole = true;
      if (found !== undefined) return true;
      return owned === undefined ? undefined : false;
    } finally {
      client.off("error", ignore);
      client.release(!isWhole);
    }
  }

  async idle(): Promise<void> {
    await this.#together.idle();
    await Promise.allSettled(this.#alone);
  }

  async #commitTogether(units: readonly Unit[]): Promise<readonly (Outcome | Promise<Outcome>)[]> {
    const outcomes = new Map<Unit, Outcome | Promise<Outcome>>();
    let rest = units;
    for (let round = 1; rest.length > 0; round++) {
      const { outcome, culprits } = await this.#tryTogether(rest);
      if (rest.length === 1 || !isSomebodysFault(outcome)) {
        // A single one has failed under the limits that it has in company.
        for (const unit of rest) outcomes.set(unit, isTooSlow(outcome) ? this.#tryAlone(unit) : outcome);
        break;
      }
      const out = culprits.size === 0 || round === ROUNDS_MAX ? new Set(rest) : culprits;
      for (const unit of out) {
        // What fails in company may be right alone: the one that it met there may have failed as well.
        outcomes.set(unit, outcome.kind === "stale" && culprits.has(unit) ? outcome : this.#tryAlone(unit));
      }
      rest = rest.filter((unit) => !out.has(unit));
    }
    // Each has got one.
    return units.map((unit) => outcomes.get(unit) as Outcome | Promise<Outcome>);
  }

  /** All of them or none. */
  async #tryTogether(units: readonly Unit[]): Promise<Attempt> {
    try {
      const shared = await this.#begin(`BEGIN${this.#limitsInCompany()}`, ignore);
      return await shared.commitAll(units);
    } catch (error) {
      return { outcome: { kind: "refused", error: asRefusal(error) }, culprits: new Set() };
    }
  }

  #tryAlone(unit: Unit): Promise<Outcome> {
    const trying = this.open().then(
      (own) => own.commit(unit),
      (error: unknown): Outcome => ({ kind: "refused", error: asRefusal(error) }),
    );
    this.#alone.add(trying);
    void trying.finally(() => this.#alone.delete(trying));
    return trying;
  }

  /** So that what is slow can be told from Postgres being away, which all would fail by. */
  #limitsInCompany(): string {
    const storeMs = this.#parts.pool.options.query_timeout;
    if (storeMs === undefined) return "";
    const [waitMs, runMs] = [Math.ceil(storeMs / 8), Math.ceil(storeMs / 2)];
    return `; SET LOCAL lock_timeout = ${waitMs}; SET LOCAL statement_timeout = ${runMs}`;
  }

  async #begin(begin: string, onEnd: () => void): Promise<PostgresTransaction> {
    let client: PoolClient;
    try {
      client = await this.#parts.pool.connect();
    } catch (error) {
      throw new RingsideError("POSTGRES_UNREACHABLE", { why: messageOf(error) }, error);
    }
    const { statements, self, generations } = this.#parts;
    const checkpoints = new CheckpointStore(new Database(client, statements), self, generations);
    const named = (statement: Statement): Query => this.#named(statement);
    return new PostgresTransaction({ client, begin, checkpoints, named, onEnd });
  }

  #named({ text, values }: Statement): Query {
    let name = this.#prepared.get(text);
    if (name === undefined && this.#prepared.size < PREPARED_MAX) {
      name = `commit ${this.#prepared.size}`;
      this.#prepared.set(text, name);
    }
    // Extended: one statement is one, also without values.
    return { ...(name === undefined ? {} : { name }), text, values: [...values], queryMode: "extended" };
  }
}

interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
  readonly queryMode: "extended";
}

/** What became of a transaction, and who in it made it fail; nobody when that cannot be told. */
interface Attempt {
  readonly outcome: Outcome;
  readonly culprits: ReadonlySet<Unit>;
}

interface TransactionParts {
  readonly client: PoolClient;
  readonly begin: string;
  readonly checkpoints: CheckpointStore;
  readonly named: (statement: Statement) => Query;
  /** The connection has been given back. */
  readonly onEnd: () => void;
}

/** A transaction on a connection of its own, until it ends one way or the other. */
export class PostgresTransaction implements OwnTransaction {
  readonly #parts: TransactionParts;
  readonly #sent: { readonly running: Promise<unknown>; readonly unit: Unit | undefined }[] = [];
  #isOver = false;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
    parts.client.on("error", ignore); // told by the statement that was running
    void this.#send(parts.client.query(parts.begin));
  }

  /** @throws RingsideError COMMIT_REFUSED or POSTGRES_UNREACHABLE */
  query(statement: Statement): Promise<QueryResult> {
    return this.#query(statement, undefined);
  }

  abandon(): void {
    this.#end(true); // Postgres rolls back when the connection is gone
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
      const unit = this.#sent[index]?.unit;
      await this.#rollBack(isOutdated(reason));
      const culprits = new Set(unit === undefined ? [] : [unit]);
      return { outcome: { kind: "refused", error: asRefusal(reason) }, culprits };
    }
    const saved = await saving;
    const stale = units.filter(({ checkpoint }) => !saved.has(checkpoint.roomId));
    if (stale.length > 0) {
      await this.#rollBack(false);
      return { outcome: { kind: "stale" }, culprits: new Set(stale) };
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
      // One that was cancelled, or failed inside Postgres, may have been so with all of it done.
      const isDefinite = isRefusedByPostgres(error) && !/^(?:57014|XX)/u.test(error.code ?? "");
      this.#end(!isDefinite);
      return isDefinite ? { kind: "refused", error: asRefusal(error) } : { kind: "unknown", error };
    }
  }

  #query(statement: Statement, unit: Unit | undefined): Promise<QueryResult> {
    // The connection may be somebody else's already.
    if (this.#isOver) return Promise.reject(new RingsideError("COMMIT_REFUSED", { why: "it is over" }));
    const running = this.#parts.client.query(this.#parts.named(statement)).then(
      (result) => {
        checkRows(statement, result);
        return result;
      },
      (error: unknown) => {
        throw asRefusal(error);
      },
    );
    return this.#send(running, unit);
  }

  #send<Result>(running: Promise<Result>, unit?: Unit): Promise<Result> {
    running.catch(ignore); // looked at in commitAll(), or by whoever awaits it
    this.#sent.push({ running, unit });
    return running;
  }

  /** @param isBroken whether the connection is of no more use */
  async #rollBack(isBroken: boolean): Promise<void> {
    const isBack = await this.#parts.client.query("ROLLBACK").then(
      () => true,
      () => false,
    );
    this.#end(isBroken || !isBack);
  }

  #end(isBroken: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.client.off("error", ignore);
    this.#parts.client.release(isBroken);
    this.#parts.onEnd();
  }
}

/** query_canceled: also what the statement timeout does. */
const CANCELLED = "57014";
const LOCK_NOT_AVAILABLE = "55P03";

/** Whether one of them may have failed all; Postgres being away is nobody's. */
function isSomebodysFault(outcome: Outcome): boolean {
  return outcome.kind === "stale" || (outcome.kind === "refused" && outcome.error.code === "COMMIT_REFUSED");
}

function isTooSlow(outcome: Outcome): boolean {
  if (outcome.kind !== "refused") return false;
  const { sqlState } = outcome.error.facts;
  return sqlState === CANCELLED || sqlState === LOCK_NOT_AVAILABLE;
}

/** Whether a prepared statement no longer fits this connection, because a table was altered meanwhile; a new one will do. */
function isOutdated(error: unknown): boolean {
  const { sqlState } = asRefusal(error).facts;
  return sqlState === "0A000" || sqlState === "26000";
}

function ignore(): void {}

function checkRows({ text, rows }: Statement, result: QueryResult): void {
  if (rows === undefined || result.rowCount === rows) return;
  throw new RingsideError("COMMIT_REFUSED", {
    why: `a statement touched ${String(result.rowCount)} rows, not ${rows}`,
    statement: text.slice(0, 80),
  });
}

/** Whether Postgres itself said no, as opposed to a connection that broke or a server that went away in mid sentence. */
function isRefusedByPostgres(error: unknown): error is pg.DatabaseError {
  if (!(error instanceof pg.DatabaseError)) return false;
  const code = error.code ?? "";
  return code === CANCELLED || !(code.startsWith("08") || code.startsWith("57"));
}

function asRefusal(error: unknown): RingsideError {
  if (error instanceof RingsideError) return error;
  if (!isRefusedByPostgres(error)) {
    return new RingsideError("POSTGRES_UNREACHABLE", { why: messageOf(error) }, error);
  }
  const { code, constraint } = error;
  const facts = {
    why: messageOf(error),
    sqlState: code,
    ...(constraint === undefined ? {} : { constraint }),
  };
  return new RingsideError("COMMIT_REFUSED", facts, error);
}
