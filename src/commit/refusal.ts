// What an error of pg, or of a transaction, means for the commits in it.

import pg from "pg";

import { messageOf, RingsideError } from "../errors.ts";
import type { Outcome } from "./outcome.ts";

/** query_canceled: also what the statement timeout does. */
const CANCELLED = "57014";
const LOCK_NOT_AVAILABLE = "55P03";

/** Whether one of them may have failed all; Postgres being away is nobody's, but for one who took all the time there was. */
export function isSomebodysFault(outcome: Outcome, culprits: ReadonlySet<unknown>): boolean {
  if (outcome.kind !== "refused") return outcome.kind === "stale" || outcome.kind === "baseless";
  return outcome.error.code === "COMMIT_REFUSED" || (isReadTimeout(outcome.error) && culprits.size > 0);
}

/** Whether it took longer, or waited longer for a lock, than it may. */
export function isTooSlow(outcome: Outcome): boolean {
  if (outcome.kind !== "refused") return false;
  const { sqlState } = outcome.error.facts;
  return sqlState === CANCELLED || sqlState === LOCK_NOT_AVAILABLE;
}

/** Whether it is we who stopped waiting: nothing was refused, and nothing broke. pg has no code for it. */
export function isReadTimeout(error: unknown): boolean {
  return asRefusal(error).facts["why"] === "Query read timeout";
}

/** Whether a prepared statement no longer fits this connection, because a table was altered meanwhile; a new one will do. */
export function isOutdated(error: unknown): boolean {
  const { sqlState } = asRefusal(error).facts;
  return sqlState === "0A000" || sqlState === "26000";
}

/** Whether Postgres itself said no, as opposed to a connection that broke or a server that went away in mid sentence. */
export function isRefusedByPostgres(error: unknown): error is pg.DatabaseError {
  if (!(error instanceof pg.DatabaseError)) return false;
  const code = error.code ?? "";
  return code === CANCELLED || !(code.startsWith("08") || code.startsWith("57"));
}

/** COMMIT_REFUSED when Postgres said no, POSTGRES_UNREACHABLE when it said nothing. */
export function asRefusal(error: unknown): RingsideError {
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
