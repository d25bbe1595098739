// What an error of pg, or of a transaction, means for the commits in it.

import pg from "pg";

import { messageOf, RingsideError } from "../errors.ts";
import type { Outcome } from "./outcome.ts";

/** query_canceled: also what the statement timeout does. */
const CANCELLED = "57014";
const LOCK_NOT_AVAILABLE = "55P03";
/** protocol_violation: also what a wrong number of values is called. */
const PROTOCOL_VIOLATION = "08P01";
/** Of the classes that tell of broken connections and servers that go away, those that statements can make by themselves. */
const OF_STATEMENTS = new Set([CANCELLED, PROTOCOL_VIOLATION]);

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

/**
 * Whether Postgres itself said no, as opposed to a connection that broke or a server that went away in mid sentence.
 *
 * @param isAnswering whether it has answered on the same connection since: what it said then was of the statement only,
 *   whatever code that had. A trigger of the author's can say anything
 */
export function isRefusedByPostgres(error: unknown, isAnswering = false): error is pg.DatabaseError {
  if (!(error instanceof pg.DatabaseError)) return false;
  const code = error.code ?? "";
  return isAnswering || OF_STATEMENTS.has(code) || !/^(?:08|57)/u.test(code);
}

/** COMMIT_REFUSED when Postgres said no, POSTGRES_UNREACHABLE when it said nothing. */
export function asRefusal(error: unknown, isAnswering = false): RingsideError {
  if (error instanceof RingsideError) return error;
  if (!isRefusedByPostgres(error, isAnswering)) {
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
