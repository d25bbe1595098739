// What operators' commands have in common: settings from the environment, a connection to the cluster's Postgres that never
// waits for ever, and one line on standard error when something is wrong.

import pg from "pg";
import { NUMBERS, TEXTS } from "../src/config.ts";
import { messageOf } from "../src/errors.ts";
import { timelineOption } from "../src/postgres/pool.ts";

/** After sysexits.h where it has one. 1: refused, and nothing has changed. */
export const EXIT = { refused: 1, notOpened: 2, usage: 64, unreachable: 69, badConfig: 78 } as const;

const CONNECT_MS = 5_000;
const STATEMENT_MS = 30_000;

export function fail(code: number, text: string): never {
  process.stderr.write(`ringside: ${text}\n`);
  process.exit(code);
}

function setting(row: { readonly env: readonly string[]; readonly fallback: string | undefined }): string {
  const [name = ""] = row.env;
  const value = process.env[name]?.trim() || row.fallback;
  return value ?? fail(EXIT.badConfig, `${name} is not set`);
}

/** A whole number, as config.ts has its row. */
export function numberSetting({ env, fallback, min, max }: (typeof NUMBERS)[keyof typeof NUMBERS]): number {
  const value = Number(process.env[env]?.trim() || fallback);
  if (!Number.isInteger(value) || value < min || value > max) {
    fail(EXIT.badConfig, `${env} must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** @param what the command, as Postgres is told */
export function connect(what: string): pg.Client {
  const connectionString = setting(TEXTS.databaseUrl);
  const schemaName = setting(TEXTS.schemaName);
  if (!/^postgres(ql)?:\/\//.test(connectionString) || !URL.canParse(connectionString)) {
    fail(EXIT.badConfig, "DATABASE_URL must be a URL that begins with postgres://");
  }
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schemaName)) {
    fail(EXIT.badConfig, `DATABASE_SCHEMA=${schemaName} must be a plain lower-case Postgres name`);
  }
  const postgresTimeline = numberSetting(NUMBERS.postgresTimeline);
  const client = new pg.Client({
    connectionString,
    application_name: `ringside ${what}`,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    options:
      `-c search_path=${schemaName} -c statement_timeout=${STATEMENT_MS} -c synchronous_commit=on` +
      timelineOption({ postgresTimeline }),
  });
  client.on("error", () => {}); // told by the statement that was running
  return client;
}

/** What a failure of Postgres means, in one line. Never the URL: it may hold a password. */
export function explain(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === "42P01" || code === "42703") {
    return `there are no tables of this version of Ringside in schema ${setting(TEXTS.schemaName)}: check DATABASE_URL and DATABASE_SCHEMA`;
  }
  return `Postgres cannot be reached, or fails: ${messageOf(error).split("\n")[0]}`;
}
