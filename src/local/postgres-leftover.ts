// Ending a Postgres server, ours or the one a killed helper left behind.
//
// A left-over server is known by postmaster.pid, but a pid is reused: before it is signalled, the process must prove
// that it serves this very data folder. Anything else is left alone, and Postgres is told not to mind that pid.

import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { goneWithin, identify, signal, type ProcessId } from "./identity.ts";

/**
 * Stops the server that still runs on this data folder, if there is one.
 *
 * @param urlAt how to reach it with our password, for systems without /proc
 * @returns a pid that postmaster.pid names but that is no longer our server; undefined when there is none
 */
export async function stopLeftover(
  cluster: string,
  urlAt: (port: number) => string,
): Promise<number | undefined> {
  const lines = readPidFile(cluster);
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const id = identify(pid);
  if (id === undefined) return undefined;
  const isOurs =
    process.platform === "linux" ? livesIn(pid, cluster) : await serves(urlAt(Number(lines[3])), cluster);
  if (!isOurs) return pid;
  await endPostgres(id);
  return undefined;
}

/** Fast shutdown, which is clean; if that takes too long a harsher one, from which Postgres recovers by itself. */
export async function endPostgres(id: ProcessId): Promise<void> {
  const steps: readonly [NodeJS.Signals, number][] = [
    ["SIGINT", 10_000],
    ["SIGQUIT", 5_000],
    ["SIGKILL", 5_000],
  ];
  for (const [name, ms] of steps) {
    signal(id, "SIGCONT"); // a stopped process would only hear the last step
    if (!signal(id, name) || (await goneWithin(id, ms))) return;
  }
}

function readPidFile(cluster: string): string[] {
  try {
    return readFileSync(join(cluster, "postmaster.pid"), "utf8").split("\n");
  } catch {
    return [];
  }
}

/** A postmaster's working directory is its data folder. */
function livesIn(pid: number, cluster: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(cluster);
  } catch {
    return false; // another user's process
  }
}

async function serves(url: string, cluster: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 2_000 });
  try {
    await client.connect();
    const found = await client.query<{ data_directory: string }>("SHOW data_directory");
    return realpathSync(found.rows[0]?.data_directory ?? "") === realpathSync(cluster);
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined); // it was only asked a question
  }
}
