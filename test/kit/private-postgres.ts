// A Postgres of one test's own, to be taken away and brought back over the same data, at the same port.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startPostgres, type LocalPostgres } from "../../src/local/postgres.ts";

export interface PrivatePostgres extends AsyncDisposable {
  readonly url: string;
  readonly crash: () => Promise<void>;
  /** As an operator stops it: "fast" ends sessions and saves all, "immediate" ends at once and recovers at the next start. */
  readonly stop: (how: "fast" | "immediate") => Promise<void>;
  readonly restart: () => Promise<void>;
  /** SIGSTOP to all its processes: connections stay, and nothing is answered. */
  readonly hang: () => Promise<void>;
  readonly wake: () => Promise<void>;
  /** Whether it takes writes; of sessions that are open as well. */
  readonly takeWrites: (does: boolean) => Promise<void>;
}

export async function privatePostgres(): Promise<PrivatePostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), "ringside-away-"));
  let server: LocalPostgres = await startPostgres({ dataDir });
  const { port, url } = server;
  const children = (): number[] => {
    const { pid } = server;
    try {
      const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      return pids
        .split(" ")
        .map(Number)
        .filter((child) => child > 0); // 0 would be this process's own group
    } catch {
      return []; // it has ended
    }
  };
  const signal = (pid: number, name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it was quicker
    }
  };
  /** The postmaster first: then nobody is born while the others are told. */
  const signalAll = (name: NodeJS.Signals): void => {
    const before = children();
    signal(server.pid, name);
    for (const pid of new Set([...before, ...children()])) signal(pid, name);
  };
  return {
    url,
    crash: async () => {
      // All of them: those who find their parent gone would end themselves, but on a busy machine still commit something.
      signalAll("SIGKILL");
      await server.exited;
    },
    stop: async (how) => {
      process.kill(server.pid, how === "fast" ? "SIGINT" : "SIGQUIT");
      await server.exited;
    },
    restart: async () => {
      server = await startPostgres({ dataDir, port });
    },
    hang: () => Promise.resolve(signalAll("SIGSTOP")),
    wake: () => Promise.resolve(signalAll("SIGCONT")),
    takeWrites: async (does) => {
      const sql = new pg.Client({ connectionString: url });
      await sql.connect();
      try {
        await sql.query(`ALTER SYSTEM SET default_transaction_read_only = ${does ? "off" : "on"}`);
        await sql.query("SELECT pg_reload_conf()");
      } finally {
        await sql.end();
      }
    },
    async [Symbol.asyncDispose]() {
      signalAll("SIGCONT"); // a test may have failed in the middle
      await server.stop();
      for (const folder of [server.home, dataDir]) rmSync(folder, { recursive: true, force: true });
    },
  };
}
