// The private Postgres: what a stop, a crash and a killed helper leave behind, and what the next start makes of it.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { postgresAccount, reachableDataDir } from "../../src/local/account.ts";
import { identify, isAlive, type ProcessId } from "../../src/local/identity.ts";
import { startPostgres, type LocalPostgres } from "../../src/local/postgres.ts";

const account = postgresAccount();
let dataDir: string;
let opened: LocalPostgres[];
let children: ChildProcess[];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "ringside-pg-"));
  chmodSync(dataDir, 0o711); // as root, Postgres runs as another user, who must get here
  opened = [];
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const server of opened) await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(dir = dataDir): Promise<LocalPostgres> {
  const server = await startPostgres({ dataDir: dir });
  opened.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

function idOf(pid: number): ProcessId {
  const id = identify(pid);
  if (id === undefined) throw new Error(`no process ${pid}`);
  return id;
}

describe("[LOC1] starting and stopping leaves nothing behind", { timeout: 90_000 }, () => {
  test("[LOC1] data survives a stop, and a stop leaves no process", async () => {
    const first = await start();
    const id = idOf(first.pid);
    await query(first.url, "CREATE TABLE kept AS SELECT 7 AS seven");
    await first.stop();
    await first.stop();
    expect(isAlive(id)).toBe(false);
    const second = await start();
    expect(await query(second.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
  });

  test("[LOC1] what was committed survives kill -9 of the server", async () => {
    const first = await start();
    await query(first.url, "CREATE TABLE kept AS SELECT 7 AS seven");
    process.kill(first.pid, "SIGKILL");
    await first.exited;
    const second = await start();
    expect(await query(second.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
  });

  test("[LOC1] it listens on loopback only, and lets nobody in without the password", async () => {
    const { url } = await start();
    expect(await query(url, "SHOW listen_addresses")).toEqual([{ listen_addresses: "127.0.0.1" }]);
    const wrong = new URL(url);
    wrong.password = "wrong";
    await expect(query(wrong.href, "SELECT 1")).rejects.toThrow(/password authentication failed/);
    expect(await query(url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")).toEqual([
      { auth_method: "scram-sha-256" },
    ]);
    expect(
      await query(url, "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"),
    ).toEqual([
      { name: "fsync", setting: "on" },
      { name: "synchronous_commit", setting: "on" },
    ]);
  });

  test("[LOC1] a server that a killed process left behind is stopped, and its data kept", async () => {
    const program = `
      const { startPostgres } = await import(${JSON.stringify(new URL("../../src/local/postgres.ts", import.meta.url).href)});
      const { pid, url } = await startPostgres({ dataDir: ${JSON.stringify(dataDir)} });
      console.log(JSON.stringify({ pid, url }));
      process.on("SIGTERM", () => {});`;
    const holder = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(holder);
    const [line] = (await once(holder.stdout, "data")) as [Buffer];
    const left = JSON.parse(line.toString()) as { pid: number; url: string };
    const id = idOf(left.pid);
    await query(left.url, "CREATE TABLE kept AS SELECT 7 AS seven");
    holder.kill("SIGKILL");
    await once(holder, "exit");
    expect(isAlive(id)).toBe(true);

    const second = await start();
    expect(isAlive(id)).toBe(false);
    expect(await query(second.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
  });

  test("[LOC1] a stale pid file does not get an unrelated process signalled, nor stop the start", async () => {
    const first = await start();
    const pidFile = join(dataDir, "cluster", "postmaster.pid");
    const lines = readFileSync(pidFile, "utf8").split("\n");
    process.kill(first.pid, "SIGKILL");
    await first.exited;
    // Of the same OS user, which is the case in which Postgres itself would refuse to start.
    const owner = account === undefined ? {} : { uid: account.uid, gid: account.gid };
    const stranger = spawn("sleep", ["600"], { stdio: "ignore", cwd: "/", ...owner });
    children.push(stranger);
    await once(stranger, "spawn");
    const id = idOf(stranger.pid ?? 0);
    writeFileSync(pidFile, [String(stranger.pid), ...lines.slice(1)].join("\n"));

    const second = await start();
    expect(await query(second.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(isAlive(id)).toBe(true);
  });

  test("[LOC1] an interrupted initdb leaves nothing that the next start trips over", async () => {
    mkdirSync(join(dataDir, "cluster.new"), { recursive: true });
    writeFileSync(join(dataDir, "cluster.new", "PG_VERSION"), "1\n");
    writeFileSync(join(dataDir, "password"), "half");
    const server = await start();
    expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(existsSync(join(dataDir, "cluster.new"))).toBe(false);
  });

  test("[LOC1] data of another major version is named, and left as it is", async () => {
    const server = await start();
    await server.stop();
    const version = join(dataDir, "cluster", "PG_VERSION");
    writeFileSync(version, "17\n");
    await expect(start()).rejects.toThrow(/made by Postgres 17 and this is 18.*RINGSIDE_DATA_DIR/);
    expect(readFileSync(version, "utf8")).toBe("17\n");
  });

  test.skipIf(account === undefined)(
    "[LOC1] as root, a folder that Postgres's user cannot reach is no obstacle",
    async () => {
      const closed = join(dataDir, "home");
      mkdirSync(closed, { mode: 0o700 });
      const wanted = join(closed, "data");
      const outside = reachableDataDir(wanted, account);
      try {
        expect(outside.startsWith(dataDir)).toBe(false);
        const first = await start(wanted);
        await query(first.url, "CREATE TABLE kept AS SELECT 7 AS seven");
        await first.stop();
        const second = await start(wanted);
        expect(await query(second.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
        await second.stop();
      } finally {
        rmSync(outside, { recursive: true, force: true });
      }
    },
  );
});
