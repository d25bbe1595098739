// One connection's side in the server: takes what arrives, in order, and answers in order. What has arrived is carried out even
// when the client does not wait for it any more; a transaction that was not committed ends with its connection.

import type { Process, World } from "../world.ts";
import { postgresError } from "./postgres-error.ts";
import type { Row } from "./statement.ts";
import { Transaction } from "./transaction.ts";
import type { SimPostgres } from "./sim-postgres.ts";

export interface Message {
  /** The statement's name, or its text. */
  readonly name: string;
  readonly values: readonly unknown[];
  readonly answer: (answer: Answer) => void;
}

export type Answer =
  | { readonly kind: "rows"; readonly command: string; readonly rows: Row[] }
  | { readonly kind: "error"; readonly error: Error };

export interface SessionSettings {
  readonly statementMs: number;
  readonly idleInTransactionMs: number;
}

export class Session {
  readonly #server: SimPostgres;
  readonly #world: World;
  readonly #process: Process;
  readonly #settings: SessionSettings;
  readonly client: Process;
  readonly #inbox: (Message | "close")[] = [];
  #isBusy = false;
  isOver = false;
  /** The transaction that BEGIN has opened; `failed` until ROLLBACK when one of its statements was refused. */
  #open: Transaction | "failed" | undefined;
  /** One whose COMMIT is on its way to disk: a crash leaves it done or undone. */
  flushing: Transaction | undefined;
  #cancelIdle = (): void => {};

  constructor(
    server: SimPostgres,
    world: World,
    process: Process,
    client: Process,
    settings: SessionSettings,
  ) {
    this.#server = server;
    this.#world = world;
    this.#process = process;
    this.client = client;
    this.#settings = settings;
  }

  receive(message: Message | "close"): void {
    if (this.isOver) return;
    this.#inbox.push(message);
    this.#next();
  }

  #next(): void {
    if (this.#isBusy || this.isOver) return;
    const message = this.#inbox.shift();
    if (message === undefined) {
      this.#watchIdle();
      return;
    }
    this.#cancelIdle();
    if (message === "close") {
      this.end();
      return;
    }
    this.#isBusy = true;
    void this.#run(message).then(({ answer, early }) => {
      this.#isBusy = false;
      if (this.isOver) return;
      if (!early) message.answer(answer);
      this.#next();
    });
  }

  async #run(message: Message): Promise<{ answer: Answer; early: boolean }> {
    const { name } = message;
    this.#server.onPhase(this.client, name, "arrived");
    try {
      if (name.startsWith("BEGIN")) return done("BEGIN", this.#begin(name));
      if (name === "ROLLBACK") return done("ROLLBACK", this.#rollBack());
      if (name === "COMMIT") return await this.#commit(message);
      if (this.#open === "failed") throw postgresError("25P02", "current transaction is aborted");
      if (this.#open !== undefined) return done("SELECT", await this.#server.execute(this.#open, message));
      return await this.#alone(message);
    } catch (error) {
      if (this.#open !== undefined) {
        if (this.#open !== "failed") this.#open.rollBack();
        this.#open = "failed";
      }
      return { answer: { kind: "error", error: error as Error }, early: false };
    }
  }

  #begin(text: string): Row[] {
    const waitMs = /lock_timeout = (\d+)/.exec(text)?.[1];
    this.#open = this.#server.begin(Math.min(Number(waitMs ?? Infinity), this.#settings.statementMs));
    return [];
  }

  #rollBack(): Row[] {
    if (this.#open !== "failed") this.#open?.rollBack();
    this.#open = undefined;
    return [];
  }

  async #commit(message: Message): Promise<{ answer: Answer; early: boolean }> {
    const open = this.#open;
    if (open === undefined || open === "failed") return done("ROLLBACK", this.#rollBack());
    return this.#toDisk(open, message, { kind: "rows", command: "COMMIT", rows: [] });
  }

  /** A statement by itself is a transaction. */
  async #alone(message: Message): Promise<{ answer: Answer; early: boolean }> {
    const tx = this.#server.begin(this.#settings.statementMs);
    try {
      const rows = await this.#server.execute(tx, message);
      const answer: Answer = { kind: "rows", command: "SELECT", rows };
      if (!tx.hasWritten) {
        tx.commit();
        return { answer, early: false };
      }
      return await this.#toDisk(tx, message, answer);
    } catch (error) {
      tx.rollBack();
      throw error;
    }
  }

  /** Until it is there others do not see it, and its rows stay locked. */
  async #toDisk(
    tx: Transaction,
    message: Message,
    answer: Answer,
  ): Promise<{ answer: Answer; early: boolean }> {
    const early = this.#server.sabotage.answersBeforeCommit === true;
    if (early) message.answer(answer);
    this.flushing = tx;
    this.#server.onPhase(this.client, message.name, "executed");
    await this.#pause(this.#server.flushMs());
    if (this.flushing === tx) {
      this.flushing = undefined;
      this.#open = undefined;
      this.#server.commit(tx, this.client, message.name);
      this.#server.onPhase(this.client, message.name, "committed");
    }
    return { answer, early };
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.after(this.#process, ms, "message", resolve));
  }

  /** A transaction whose client says nothing more holds its rows so long at most. */
  #watchIdle(): void {
    if (this.#open === undefined) return;
    const ms = this.#settings.idleInTransactionMs;
    this.#cancelIdle = this.#world.after(this.#process, ms, "timer", () => this.end());
  }

  /** The connection is gone, or the server. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#cancelIdle();
    if (this.#open !== "failed" && this.#open !== this.flushing) this.#open?.rollBack();
    this.#server.forget(this);
  }
}

function done(command: string, rows: Row[]): { answer: Answer; early: boolean } {
  return { answer: { kind: "rows", command, rows }, early: false };
}
