// A Postgres or Redis that the user named: tried once before anything starts, so that a wrong address is told
// in one line here, and not by three nodes at once. Never repeats a password.

import { Redis } from "ioredis";
import { Client } from "pg";
import { messageOf } from "../errors.ts";
import { EXIT, StartError } from "./start-error.ts";

const TRY_MS = 5_000;

/** @throws StartError when it does not answer, or not to this user */
export async function tryDatabase(url: string): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: TRY_MS,
    query_timeout: TRY_MS,
  });
  client.on("error", () => undefined); // the failed call below tells it
  try {
    await client.connect();
    await client.query("SELECT 1");
  } catch (error) {
    throw cannotUse("DATABASE_URL", "Postgres", url, 5_432, error);
  } finally {
    await client.end().catch(() => undefined); // it was only tried
  }
}

/** @throws StartError when it does not answer, or not to this user */
export async function tryRedis(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TRY_MS,
    commandTimeout: TRY_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let cause: unknown;
  client.on("error", (error: unknown) => (cause ??= error)); // connect() only says "Connection is closed."
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    throw cannotUse("REDIS_URL", "Redis", url, 6_379, cause ?? error);
  } finally {
    client.disconnect();
  }
}

function cannotUse(name: string, what: string, url: string, port: number, error: unknown): StartError {
  const { hostname, port: given, password } = new URL(url); // parsed before, by settings.ts
  const why = messageOf(error) || String((error as NodeJS.ErrnoException).code ?? "no answer");
  const safe = password === "" ? why : why.replaceAll(password, "***");
  const at = `${hostname === "" ? "localhost" : hostname}:${given === "" ? port : given}`;
  return new StartError(
    EXIT.unreachable,
    `${name}: ${what} at ${at} cannot be used (${safe.split("\n")[0] ?? ""}); ` +
      `correct it, start that server, or unset ${name} to use a private one`,
  );
}
