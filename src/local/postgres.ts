// A private Postgres server from an npm package: real, durable, listening on loopback only, behind a random password.
//
// Promises: data survives stop, crash and kill -9; a folder is never left half made; a server left behind by a killed
// helper is stopped first, and no other process is ever signalled. Restarting one that crashes is left to the caller.

import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { systemClock } from "../runtime/clock.ts";
import { postgresAccount, reachableDataDir, type Account } from "./account.ts";
import { identify, type ProcessId } from "./identity.ts";
import { findPostgresBinaries, type PostgresBinaries } from "./postgres-binaries.ts";
import { endPostgres, stopLeftover } from "./postgres-leftover.ts";
import { EXIT, StartError } from "./start-error.ts";

export interface LocalPostgres {
  /** postgres://… with the password in it. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Where its data really is. */
  readonly home: string;
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Clean shutdown; open connections are closed. May be called twice. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Where data and password are kept; made when missing. As root, possibly only the name for a place elsewhere. */
  readonly dataDir: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** Hears each line Postgres writes. */
  readonly log?: (line: string) => void;
}

const SETTINGS = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "max_connections=100",
  // Durable: what is acknowledged survives a power cut.
  "fsync=on",
  "synchronous_commit=on",
  "full_page_writes=on",
  // Small and quiet: one machine, no replicas, log lines only for what went wrong with the server itself.
  "shared_buffers=32MB",
  "wal_level=minimal",
  "max_wal_senders=0",
  "max_wal_size=256MB",
  "io_method=sync",
  "jit=off",
  "log_checkpoints=off",
  "log_min_messages=log",
  "log_timezone=UTC",
  "timezone=UTC",
];

/** How long a start may take, with the recovery after a crash and the end of the crashed server's own children. */
const START_MS = 60_000;

/** @throws StartError with a line for the user */
export async function startPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const account = postgresAccount();
  const binaries = findPostgresBinaries(account);
  const home = reachableDataDir(options.dataDir, account);
  const cluster = join(home, "cluster");
  const passwordFile = join(home, "password");
  const log = options.log ?? (() => undefined);

  if (!existsSync(cluster)) await makeCluster(binaries, home, account, log);
  const password = readOwn(passwordFile, home);
  const major = readOwn(join(cluster, "PG_VERSION"), home);
  if (major !== binaries.major) {
    throw new StartError(
      EXIT.badConfig,
      `${home} was made by Postgres ${major} and this is ${binaries.major}; move it away, or set RINGSIDE_DATA_DIR`,
    );
  }

  const urlAt = (port: number): string => `postgres://ringside:${password}@127.0.0.1:${port}/postgres`;
  const stalePid = await stopLeftover(cluster, urlAt);
  const until = systemClock.monotonicMs() + START_MS;
  for (;;) {
    const port = options.port === undefined || options.port === 0 ? await freePort() : options.port;
    const args = ["-D", cluster, ...[...SETTINGS, `port=${port}`].flatMap((setting) => ["-c", setting])];
    // Postgres takes a live pid in postmaster.pid for a running server unless it is that of its own grandparent.
    const env = stalePid === undefined ? {} : { PG_GRANDPARENT_PID: String(stalePid) };
    const child = run(binaries.postgres, args, home, account, env);
    const outcome = await readiness(child, log);
    if (outcome === "ready") return serving(child, port, urlAt(port), home);
    const mayPass = /pre-existing shared memory|could not create any TCP\/IP sockets|is being used by/.test(
      outcome,
    );
    if (!mayPass || systemClock.monotonicMs() > until) {
      throw new StartError(EXIT.failed, `the private Postgres in ${home} did not start: ${outcome}`);
    }
    await systemClock.sleep(200);
  }
}

function serving(child: ChildProcess, port: number, url: string, home: string): LocalPostgres {
  const pid = child.pid ?? 0; // it answered, so it has one
  const id: ProcessId | undefined = identify(pid);
  const exited = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
  return {
    url,
    port,
    pid,
    home,
    exited,
    stop: async () => {
      if (id !== undefined) await endPostgres(id);
      await exited;
    },
  };
}

/** Made beside its place and renamed, so that an interrupted start leaves nothing that looks like a data folder. */
async function makeCluster(
  binaries: PostgresBinaries,
  home: string,
  account: Account | undefined,
  log: (line: string) => void,
): Promise<void> {
  const half = join(home, "cluster.new");
  const passwordFile = join(home, "password");
  rmSync(half, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(half, { mode: 0o700 });
  writeFileSync(passwordFile, randomBytes(24).toString("hex"), { mode: 0o600, flag: "wx" });
  chmodSync(passwordFile, 0o600);
  if (account !== undefined) {
    chownSync(half, account.uid, account.gid);
    chownSync(passwordFile, account.uid, account.gid);
  }
  const args = ["-D", half, "--username=ringside", `--pwfile=${passwordFile}`, "--auth=scram-sha-256"];
  const child = run(
    binaries.initdb,
    [...args, "--encoding=UTF8", "--locale=C", "--no-instructions"],
    home,
    account,
    {},
  );
  const lines = collect(child, log);
  const code = await exitOf(child);
  if (code !== 0) {
    const why = lastOf(lines);
    // As in a container that runs under a bare number.
    const hint = /user does not exist/.test(why)
      ? "; run as a user that /etc/passwd knows, or set DATABASE_URL"
      : "";
    throw new StartError(EXIT.failed, `initdb could not make ${home} (${code}): ${why}${hint}`);
  }
  renameSync(half, join(home, "cluster"));
}

function run(
  file: string,
  args: readonly string[],
  cwd: string,
  account: Account | undefined,
  env: Readonly<Record<string, string>>,
): ChildProcess {
  return spawn(file, args, {
    cwd, // initdb and postgres must be able to stand where they are started
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", ...env }, // nothing of the user's: PGDATA and the like would count
    stdio: ["ignore", "pipe", "pipe"],
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  });
}

/** "ready", or the line that tells why not. */
async function readiness(child: ChildProcess, log: (line: string) => void): Promise<string> {
  const exit = exitOf(child);
  return new Promise((resolve) => {
    const lines = collect(child, (line) => {
      log(line);
      if (line.includes("database system is ready to accept connections")) resolve("ready");
    });
    void exit.then((code) => resolve(`${lastOf(lines)} (exit ${code})`));
  });
}

const LINES_KEPT = 40;

function collect(child: ChildProcess, log: (line: string) => void): string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = (parts.pop() ?? "").slice(-4_096);
      for (const line of parts) {
        lines.push(line);
        if (lines.length > LINES_KEPT) lines.shift();
        log(line);
      }
    });
  }
  return lines;
}

/** The line that says it best: the first fatal one with its hint, else the last. */
function lastOf(lines: readonly string[]): string {
  const fatal = lines.filter((line) => /FATAL|PANIC|ERROR|error:|HINT/.test(line));
  return (fatal.length > 0 ? fatal.slice(0, 2).join(" ") : (lines.at(-1) ?? "it said nothing")).trim();
}

async function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    // "close" comes after the last output; an "error" means that there was never a process.
    child.once("close", (code, name) => resolve(code ?? name ?? "unknown"));
    child.once("error", (error) => resolve(error.message));
  });
}

function readOwn(path: string, home: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new StartError(
      EXIT.failed,
      `${path} cannot be read (${why}): was it made by another user? Remove ${home}, or set RINGSIDE_DATA_DIR`,
    );
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
