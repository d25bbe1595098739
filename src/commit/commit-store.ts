// Commits in Postgres: the authors' statements and their rooms' checkpoints in one transaction, fenced by epoch.
//
// Commits of different rooms that come at the same time share a transaction, and so its round trips and its flush to disk.
// A transaction is sent whole, without waiting for answers in between; then, if all of them are right, COMMIT. If one of
// them fails the others go on without it, and it is tried by itself: nobody's commit fails by somebody else's. A statement
// that is slow, or waits for a lock, counts as failed much sooner in company than alone, where it holds up nobody.

import type { Pool, PoolClient } from "pg";

import { CheckpointStore } from "../checkpoint/store.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import { Database, type Statements } from "../postgres/query.ts";
import { Batcher, type BatchLimits } from "../runtime/batcher.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Outcome } from "./outcome.ts";
import { PostgresTransaction, type Attempt, type Query } from "./postgres-transaction.ts";
import { asRefusal, isSomebodysFault, isTooSlow } from "./refusal.ts";
import { Slots } from "./slots.ts";
import type { Statement } from "./statement.ts";
import type { Unit } from "./transaction.ts";

/** Rooms that share a transaction at most, and those that may wait for the next one. Many large ones would take too long. */
const LIMITS: BatchLimits<Unit> = {
  batchMax: 128,
  waitingMax: 20_000,
  size: { of: ({ checkpoint }) => checkpoint.bytes.length, max: 2 * 1024 * 1024 },
};
/** How often a shared transaction goes on without those who made it fail, before each of its rooms is tried by itself. */
const ROUNDS_MAX = 8;
/** As long as a lock is waited for in company, after whatever number of rounds. */
const LOCK_MS_MIN = 10;
/**
 * Commits' connections write nothing outside of a transaction that says so (pool.ts): were this one to fail, what was sent
 * after it would otherwise stand, each statement by itself.
 */
const BEGIN = "BEGIN READ WRITE";
/** Statements that are prepared once a connection. What authors build from strings is unbounded, and is not. */
const PREPARED_MAX = 200;

export interface CommitStoreParts {
  readonly clock: Clock;
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
  /** Of these, for what was too slow in company: who asks in between does not wait for that. */
  readonly #slotsAlone: Slots;
  readonly #prepared = new Map<string, string>();

  constructor(parts: CommitStoreParts) {
    this.#parts = parts;
    this.#together = new Batcher(LIMITS, (units) => this.#commitTogether(units));
    const max = parts.pool.options.max ?? 10;
    this.#slots = new Slots(Math.max(1, max - 1));
    this.#slotsAlone = new Slots(Math.max(1, max - 2));
  }

  /** Never rejects but with TOO_MANY. */
  async commit(unit: Unit): Promise<Outcome> {
    if (unit.statements.some(({ leavesTraces }) => leavesTraces)) return await this.#tryAlone(unit);
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
      return await this.#begin(BEGIN, () => this.#slots.giveBack());
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
      await client.query(BEGIN);
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
    let round = 1;
    for (; rest.length > 1 && round <= ROUNDS_MAX; round++) {
      const { outcome, culprits } = await this.#tryTogether(rest, round);
      if (!isSomebodysFault(outcome, culprits)) {
        for (const unit of rest) outcomes.set(unit, outcome);
        break;
      }
      const out = culprits.size === 0 ? new Set(rest) : culprits;
      for (const unit of out) {
        // What fails in company may be right alone: the one that it met there may have failed as well.
        const isTrueAlone = outcome.kind === "stale" || outcome.kind === "baseless";
        outcomes.set(unit, isTrueAlone && culprits.has(unit) ? outcome : this.#tryAlone(unit));
      }
      rest = rest.filter((unit) => !out.has(unit));
    }
    // One after the other, with as little patience as in company: those that nothing holds up do not wait for the others.
    for (const unit of units) {
      if (outcomes.has(unit)) continue;
      const { outcome } = await this.#tryTogether([unit], round);
      outcomes.set(unit, isTooSlow(outcome) ? this.#tryAlone(unit) : outcome);
    }
    // Each has got one.
    return units.map((unit) => outcomes.get(unit) as Outcome | Promise<Outcome>);
  }

  /** All of them or none. */
  async #tryTogether(units: readonly Unit[], round: number): Promise<Attempt> {
    try {
      const shared = await this.#begin(`${BEGIN}${this.#limitsInCompany(round)}`, ignore);
      return await shared.commitAll(units);
    } catch (error) {
      return { outcome: { kind: "refused", error: asRefusal(error) }, culprits: new Set() };
    }
  }

  #tryAlone(unit: Unit): Promise<Outcome> {
    const trying = this.#openAndCommit(unit).catch((error: unknown): Outcome => ({
      kind: "refused",
      error: asRefusal(error),
    }));
    this.#alone.add(trying);
    void trying.finally(() => this.#alone.delete(trying));
    return trying;
  }

  async #openAndCommit(unit: Unit): Promise<Outcome> {
    await this.#slotsAlone.take();
    try {
      return await (await this.open()).commit(unit);
    } finally {
      this.#slotsAlone.giveBack();
    }
  }

  /**
   * So that what is slow can be told from Postgres being away, which all would fail by. Less with each round: whoever is in
   * company with many slow ones must not wait as long for each of them.
   */
  #limitsInCompany(round: number): string {
    const storeMs = this.#parts.pool.options.query_timeout;
    if (storeMs === undefined) return "";
    const waitMs = Math.max(LOCK_MS_MIN, Math.ceil(storeMs / 4 / 2 ** round));
    const runMs = Math.ceil(storeMs / 2 / round);
    return `; SET LOCAL lock_timeout = ${waitMs}; SET LOCAL statement_timeout = ${runMs}`;
  }

  async #begin(begin: string, onEnd: () => void): Promise<PostgresTransaction> {
    let client: PoolClient;
    try {
      client = await this.#parts.pool.connect();
    } catch (error) {
      throw new RingsideError("POSTGRES_UNREACHABLE", { why: messageOf(error) }, error);
    }
    const { clock, statements, self, generations } = this.#parts;
    const checkpoints = new CheckpointStore(new Database(client, statements), self, generations);
    const named = (statement: Statement): Query => this.#named(statement);
    return new PostgresTransaction({ clock, client, begin, checkpoints, named, onEnd });
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

function ignore(): void {}
