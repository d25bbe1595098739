// What a node that cannot start says of Postgres: which server, what is wrong with it, and what to do.

import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";

/** What is wrong with DATABASE_URL, in words that tell what to do. Never repeats the URL: it may hold a password. */
export function explainConnectFailure(error: unknown, databaseUrl: string): RingsideError {
  const { pathname, username } = new URL(databaseUrl);
  const where = whereIs(databaseUrl);
  const code = codeOf(error);
  if (code === "28P01" || code === "28000") {
    const hint = `Postgres at ${where} refuses user ${username || "(none)"}: check the user and password in DATABASE_URL`;
    return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
  }
  if (code === "3D000") {
    const hint = `there is no database ${pathname.slice(1)} at ${where}: create it, or name another in DATABASE_URL`;
    return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
  }
  const hint = `no Postgres answers at ${where} (${messageOf(error)}): start it, or correct DATABASE_URL`;
  return new RingsideError("POSTGRES_UNREACHABLE", { hint }, error);
}

/** What pg 8 says of a connection that broke, or that took too long, as did the answer. */
const DRIVER_GAVE_UP =
  /^(?:Connection terminated|timeout |Query read timeout|Client has encountered a connection)/u;

/** Gives the result of `work`, a part of the start that asks Postgres. @throws as explainLoss has it */
export async function whileStarting<Result>(
  { databaseUrl }: Pick<Config, "databaseUrl">,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw explainLoss(error, databaseUrl);
  }
}

/**
 * What an error means that a statement met while the node starts: that Postgres went away, in words that tell what to do, or
 * itself when it is about something else.
 */
export function explainLoss(error: unknown, databaseUrl: string): unknown {
  const code = codeOf(error);
  // 08: the connection; 57: the server is going down; E…: the network. None: the driver itself, which has only words.
  const isAway =
    error instanceof Error &&
    (typeof code === "string" ? /^(?:08|57|E[A-Z])/u.test(code) : DRIVER_GAVE_UP.test(error.message));
  if (isAway && !(error instanceof RingsideError)) return explainConnectFailure(error, databaseUrl);
  return isReadOnly(error) ? explainReadOnly(error, databaseUrl) : error;
}

function explainReadOnly(error: unknown, databaseUrl: string): RingsideError {
  const hint =
    `Postgres at ${whereIs(databaseUrl)} takes no writes (${messageOf(error)}): is it a standby? ` +
    "Let DATABASE_URL lead to the primary, or switch default_transaction_read_only off";
  return new RingsideError("POSTGRES_UNREACHABLE", { hint }, error);
}

/** Epochs begin anew with each timeline (migrations/0003), and not every Postgres lets everybody ask for it. */
export function explainNoEpoch(error: unknown, databaseUrl: string): RingsideError {
  const code = codeOf(error);
  // 08: the connection; 57: the server is going down. No code: the connection broke.
  if (typeof code !== "string" || /^(?:08|57)/u.test(code)) return explainConnectFailure(error, databaseUrl);
  const { username } = new URL(databaseUrl);
  const grant =
    code === "42501"
      ? "GRANT EXECUTE ON FUNCTION pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_walfile_name(pg_lsn) " +
        `TO "${decodeURIComponent(username)}", or `
      : "";
  const hint =
    `Postgres at ${whereIs(databaseUrl)} does not tell its timeline (${messageOf(error)}), without which a promoted ` +
    `standby could hand out an epoch twice: ${grant}set POSTGRES_TIMELINE=1 for all nodes, and one more whenever this ` +
    "Postgres was replaced by one that may lack what it had acknowledged";
  return new RingsideError("BAD_CONFIG", { wrong: [hint] }, error);
}

/** read_only_sql_transaction: a standby, or a server that was told so. */
function isReadOnly(error: unknown): boolean {
  return codeOf(error) === "25006";
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function whereIs(databaseUrl: string): string {
  const { hostname, port } = new URL(databaseUrl);
  return `${hostname}:${port === "" ? "5432" : port}`;
}
