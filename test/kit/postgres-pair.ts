// A primary and a streaming standby, as real servers. Clients come through a switch, which is on the primary until it is
// moved; so does what the standby streams, until it is cut off.

import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { postgresAccount, type Account } from "../../src/local/account.ts";
import { identify } from "../../src/local/identity.ts";
import { findPostgresBinaries } from "../../src/local/postgres-binaries.ts";
import { endPostgres } from "../../src/local/postgres-leftover.ts";
import { startPostgres } from "../../src/local/postgres.ts";
import { TcpSwitch } from "./tcp-switch.ts";
import { until } from "./until.ts";

/** What src/local/postgres.ts starts with is for a server without standbys. */
const SETTINGS = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "shared_buffers=32MB",
  "wal_level=replica",
  "max_wal_senders=4",
  "wal_keep_size=256MB",
  "wal_receiver_status_interval=1s",
  "wal_retrieve_retry_interval=100ms",
  "io_method=sync",
];

class Server {
  readonly url: string;
  readonly port: number;
  readonly #folder: string;
  readonly #account: Account | undefined;
  readonly #lines: string[] = [];
  #child: ChildProcess;

  constructor(url: string, folder: string, account: Account | undefined) {
    this.url = url;
    this.port = Number(new URL(url).port);
    this.#folder = folder;
    this.#account = account;
    this.#child = this.#spawn();
  }

  #spawn(): ChildProcess {
    const settings = [...SETTINGS, `port=${this.port}`].flatMap((setting) => ["-c", setting]);
    const child = spawn(findPostgresBinaries(this.#account).postgres, ["-D", this.#folder, ...settings], {
      cwd: this.#folder,
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      stdio: ["ignore", "ignore", "pipe"],
      ...(this.#account === undefined ? {} : { uid: this.#account.uid, gid: this.#account.gid }),
    });
    // stderr is a pipe: see `stdio` above.
    child.stderr!.setEncoding("utf8").on("data", (text: string) => this.#lines.push(text));
    return child;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** One statement on a connection of its own. */
  async sql<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    url = this.url,
  ): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {}); // told by the statement that was running
    await client.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end().catch(() => {}); // the server may have been ended meanwhile
    }
  }

  async untilUp(): Promise<void> {
    await until("Postgres answers", async () => (await this.sql("SELECT 1")).length === 1, {
      ms: 30_000,
      seen: () => this.#lines.slice(-10),
    });
  }

  /** As by a power cut: nothing is written or said any more. */
  async kill(): Promise<void> {
    const exited = this.#exited();
    process.kill(this.pid, "SIGKILL"); // its own processes end themselves when they find it gone
    await exited;
  }

  /** After a kill: over the same data, at the same port. Those of its processes that are not gone yet must go first. */
  async restart(): Promise<void> {
    await until(
      "Postgres starts again",
      async () => {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) this.#child = this.#spawn();
        return (await this.sql("SELECT 1")).length === 1;
      },
      { ms: 30_000, seen: () => this.#lines.slice(-10) },
    );
  }

  async stop(): Promise<void> {
    const id = identify(this.pid);
    const exited = this.#exited();
    if (id !== undefined) await endPostgres(id);
    await exited;
  }

  #exited(): Promise<unknown> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => void this.#child.once("exit", resolve));
  }
}

export class PostgresPair implements AsyncDisposable {
  readonly primary: Server;
  readonly standby: Server;
  /** In front of whichever of them clients are to use. */
  readonly front: TcpSwitch;
  readonly #replication: TcpSwitch;
  readonly #folders: readonly string[];

  private constructor(
    primary: Server,
    standby: Server,
    front: TcpSwitch,
    replication: TcpSwitch,
    folders: readonly string[],
  ) {
    this.primary = primary;
    this.standby = standby;
    this.front = front;
    this.#replication = replication;
    this.#folders = folders;
  }

  static async start(): Promise<PostgresPair> {
    const dataDir = mkdtempSync(join(tmpdir(), "ringside-pair-"));
    const account = postgresAccount();
    const made = await startPostgres({ dataDir });
    await made.stop();
    const [first, second] = [join(made.home, "cluster"), join(made.home, "standby")];
    const url = at(made.url, await freePort());
    // A standby goes on only from what was written with standbys in mind: once up and down with these settings.
    const before = new Server(url, first, account);
    try {
      await before.untilUp();
    } finally {
      await before.stop();
    }
    cpSync(first, second, { recursive: true });
    const primary = new Server(url, first, account);
    const replication = await TcpSwitch.open(primary.port);
    const { username, password } = new URL(made.url);
    writeFileSync(
      join(second, "postgresql.auto.conf"),
      `primary_conninfo = 'host=127.0.0.1 port=${replication.port} user=${username} password=${password}'\n`,
    );
    writeFileSync(join(second, "standby.signal"), "");
    give(second, account);
    const standby = new Server(at(made.url, await freePort()), second, account);
    const pair = new PostgresPair(primary, standby, await TcpSwitch.open(primary.port), replication, [
      made.home,
      dataDir,
    ]);
    try {
      await primary.untilUp();
      await standby.untilUp();
      await pair.untilCaughtUp();
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
    return pair;
  }

  /** Through the switch. */
  get url(): string {
    return at(this.primary.url, this.front.port);
  }

  /** The standby has all that the primary had when this was called. */
  async untilCaughtUp(): Promise<void> {
    const [end] = await this.primary.sql<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::text AS lsn");
    await until("the standby has caught up", async () => {
      const [row] = await this.standby.sql<{ has: boolean }>(
        "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS has",
        [end?.lsn],
      );
      return row?.has === true;
    });
  }

  /** From now on the standby misses everything. Resolves when it has noticed: it has replayed all that had come. */
  async cutReplication(): Promise<void> {
    this.#replication.moveTo(undefined);
    await until("the standby receives nothing", async () => {
      return (
        (await this.standby.sql("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")).length === 0
      );
    });
  }

  /** The standby becomes a primary. Clients still go where the switch is. */
  async promote(): Promise<void> {
    const [row] = await this.standby.sql<{ done: boolean }>("SELECT pg_promote(true, 60) AS done");
    if (row?.done !== true) throw new Error("the standby was not promoted within 60 s");
  }

  /** The primary is lost, the standby promoted, and clients are led there. */
  async failOver(): Promise<void> {
    await this.primary.kill();
    await this.promote();
    this.front.moveTo(this.standby.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.standby.stop();
    await this.primary.stop();
    await this.front[Symbol.asyncDispose]();
    await this.#replication[Symbol.asyncDispose]();
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }
}

function at(url: string, port: number): string {
  const moved = new URL(url);
  moved.port = String(port);
  return moved.href;
}

/** Postgres's own user must own what it runs on. */
function give(path: string, account: Account | undefined): void {
  chmodSync(path, 0o700);
  if (account === undefined) return;
  chownSync(path, account.uid, account.gid);
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    chownSync(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export const startPostgresPair = (): Promise<PostgresPair> => PostgresPair.start();
