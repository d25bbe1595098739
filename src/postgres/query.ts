// The statements: one file each in queries/, headed by what it does, its parameters and what each result means.
// A statement is prepared once a connection, under its file's name.

import { readdirSync, readFileSync } from "node:fs";
import type { ClientBase, Pool, QueryResultRow } from "pg";

export type Statements = ReadonlyMap<string, string>;

/** Reads every statement from disk; done once, when a node starts. */
export function readStatements(): Statements {
  const folder = new URL("queries/", import.meta.url);
  return new Map(
    readdirSync(folder)
      .filter((file) => file.endsWith(".sql"))
      .map((file) => [file.slice(0, -".sql".length), readFileSync(new URL(file, folder), "utf8")]),
  );
}

/** Runs statements by the names of their files. */
export class Database {
  readonly #pool: Pool | ClientBase;
  readonly #statements: Statements;

  constructor(pool: Pool | ClientBase, statements: Statements) {
    this.#pool = pool;
    this.#statements = statements;
  }

  /**
   * Runs the statement `name` and gives its rows. `Row` is the shape that the statement's file promises.
   *
   * @throws the driver's error when Postgres refuses, cannot be reached, or takes longer than `config.storeMs`
   */
  async run<Row extends QueryResultRow>(name: string, values: readonly unknown[]): Promise<Row[]> {
    const text = this.#statements.get(name);
    if (text === undefined) throw new Error(`there is no statement ${name}.sql`);
    const result = await this.#pool.query<Row>({ name, text, values: [...values] });
    return result.rows;
  }
}
