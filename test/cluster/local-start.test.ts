// `npm start` as its user meets it: the real command, three real nodes, one port, and nothing left afterwards.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { goneWithin, identify, isAlive, type ProcessId } from "../../src/local/identity.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  /** Resolves with the first line, old or new, that matches. */
  line(pattern: RegExp): Promise<string>;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

let dataDir: string;
let port: number;
let started: Started[];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "ringside-start-"));
  chmodSync(dataDir, 0o711); // as root, Postgres runs as another user, who must get here
  port = await freePort();
  started = [];
});

afterEach(async () => {
  for (const { child, ended } of started) {
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(dataDir, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const found = (server.address() as AddressInfo).port; // it listens on TCP
    server.close();
    await once(server, "close");
    if (found < 60_000) return found; // the port 1000 above is used too
  }
}

function start(env: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, [join(root, "scripts", "start.js")], {
    // Blank is unset: whatever the tests themselves run against, this is about the private servers.
    env: {
      ...process.env,
      DATABASE_URL: "",
      REDIS_URL: "",
      REDIS_URI: "",
      PORT: String(port),
      RINGSIDE_DATA_DIR: dataDir,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
      for (const look of waiting) look();
    });
  }
  const ended = once(child, "close").then(([code]) => code as number | null); // "close" has the code first
  const one: Started = {
    child,
    lines,
    ended,
    line: async (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((line) => pattern.test(line));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void ended.then((code) =>
          reject(new Error(`ended (${String(code)}) before ${String(pattern)}:\n${lines.join("\n")}`)),
        );
      }),
  };
  started.push(one);
  return one;
}

/** Every process that belongs to the run: read from its own file, and Postgres from its pid file. */
function processes(): ProcessId[] {
  const run = JSON.parse(readFileSync(join(dataDir, "run.json"), "utf8")) as {
    helper: ProcessId;
    nodes: ProcessId[];
  };
  const pidFile = readFileSync(join(dataDir, "postgres", "cluster", "postmaster.pid"), "utf8");
  const postgres = identify(Number(pidFile.split("\n")[0]));
  if (postgres === undefined) throw new Error("Postgres does not run");
  return [run.helper, postgres, ...run.nodes];
}

async function manage(
  method: "GET" | "POST",
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${port + 1_000}${path}`, { method, headers });
  return { status: response.status, body: await response.json() };
}

const ACTION = { "x-ringside-action": "1" };

describe("[LOC1] starting and stopping leaves nothing behind", { timeout: 120_000 }, () => {
  test("[LOC1] it starts in few lines and without warnings, and a stop leaves no process", async () => {
    const one = start();
    await one.line(/is up: 3 nodes/);
    await one.line(/Ctrl-C stops/);
    expect(one.lines.length).toBeLessThan(20);
    expect(one.lines.join("\n")).not.toMatch(/warn/i);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBeLessThan(500);
    const all = processes();
    expect(all.length).toBe(5);
    one.child.kill("SIGINT");
    expect(await one.ended).toBe(0);
    expect(all.filter(isAlive)).toEqual([]);
    expect(existsSync(join(dataDir, "run.json"))).toBe(false);
  });

  test("[LOC1] after kill -9 of the launcher and a frozen node, the next start simply works", async () => {
    const one = start({ NODES: "2" });
    await one.line(/is up/);
    const all = processes();
    const [frozen] = all.slice(-1);
    process.kill(frozen?.pid ?? 0, "SIGSTOP");
    one.child.kill("SIGKILL");
    await one.ended;
    const two = start({ NODES: "2" });
    await two.line(/is up/);
    expect(all.filter(isAlive)).toEqual([]);
  });

  test("[LOC1] after kill -9 of launcher and helper, the next start finds the old Postgres and goes on", async () => {
    const one = start({ NODES: "1" });
    await one.line(/is up/);
    const all = processes();
    const [helper] = all;
    one.child.kill("SIGKILL");
    process.kill(helper?.pid ?? 0, "SIGKILL");
    await one.ended;
    const two = start({ NODES: "1" });
    await two.line(/is up/);
    expect(all.filter(isAlive)).toEqual([]);
  });

  test("[LOC1] after kill -9 of the helper alone, the private servers are there again", async () => {
    const one = start({ NODES: "1" });
    await one.line(/is up/);
    const [helper, postgres] = processes();
    if (helper === undefined || postgres === undefined) throw new Error("incomplete");
    process.kill(helper.pid, "SIGKILL");
    await one.line(/starting them again/);
    expect(await goneWithin(postgres, 30_000)).toBe(true);
    one.child.kill("SIGTERM");
    expect(await one.ended).toBe(0);
    const pidFile = join(dataDir, "postgres", "cluster", "postmaster.pid");
    expect(existsSync(pidFile)).toBe(false); // Postgres removes it when it has shut down
  });

  test("[LOC1] a second start in the same folder, a busy port and a wrong address are one line each", async () => {
    const one = start({ NODES: "1" });
    await one.line(/is up/);
    const again = start();
    expect(await again.ended).toBe(76);
    expect(again.lines).toEqual([
      expect.stringMatching(/already runs in this folder \(pid \d+.*RINGSIDE_DATA_DIR/),
    ]);

    const other = mkdtempSync(join(tmpdir(), "ringside-start-"));
    try {
      const busy = start({ RINGSIDE_DATA_DIR: other });
      expect(await busy.ended).toBe(76);
      expect(busy.lines).toEqual([
        expect.stringMatching(/^ringside: port \d+ is taken by .*PORT=3000 npm start/),
      ]);

      const wrong = start({
        RINGSIDE_DATA_DIR: other,
        PORT: String(await freePort()),
        DATABASE_URL: "postgres://u:hunter2@127.0.0.1:1/x",
      });
      expect(await wrong.ended).toBe(69);
      expect(wrong.lines).toEqual([
        expect.stringMatching(/^ringside: DATABASE_URL: Postgres at 127\.0\.0\.1:1 cannot be used .*unset/),
      ]);
      expect(wrong.lines.join()).not.toContain("hunter2");
      expect(readdirSync(other)).not.toContain("run.json");
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  test("[LOC1] a folder it cannot make is said in one line", async () => {
    const file = join(dataDir, "file");
    writeFileSync(file, "");
    const one = start({ RINGSIDE_DATA_DIR: join(file, "below") });
    expect(await one.ended).not.toBe(0);
    expect(one.lines).toEqual([expect.stringMatching(/^ringside: .*RINGSIDE_DATA_DIR/)]);
  });
});

describe("[LOC3] the story tells what happened", { timeout: 120_000 }, () => {
  test("[LOC3] a node killed over the management port is noticed by the others, and comes back when added", async () => {
    const one = start();
    await one.line(/is up/);
    expect((await manage("POST", "/api/nodes/node-b/kill", ACTION)).status).toBe(200);
    await one.line(/node-b was killed \(kill -9, pid \d+\)/);
    await one.line(/noticed by node-[ac] after \d+ ms/);
    const { body } = await manage("GET", "/api/cluster");
    const nodes = (body as { nodes: { nodeId: string; process: string }[] }).nodes;
    expect(nodes.find((node) => node.nodeId === "node-a")?.process).toBe("running");
    expect(await manage("POST", "/api/nodes", ACTION)).toMatchObject({
      status: 201,
      body: { nodeId: "node-b" },
    });
    await one.line(/node-b is ready/);
  });

  test("[LOC3] actions need the header and the demo's own origin, and say what is wrong", async () => {
    const one = start({ NODES: "1" });
    await one.line(/is up/);
    expect(await manage("POST", "/api/nodes/node-a/kill")).toMatchObject({ status: 403 });
    expect(
      await manage("POST", "/api/nodes/node-a/kill", { ...ACTION, origin: "https://elsewhere.example" }),
    ).toMatchObject({ status: 403 });
    expect(await manage("POST", "/api/nodes/node-z/kill", ACTION)).toEqual({
      status: 409,
      body: { error: "there is no node-z; there are node-a" },
    });
    expect(await manage("POST", "/api/nodes/node-a/thaw", ACTION)).toMatchObject({ status: 409 });
    const own = await fetch(`http://127.0.0.1:${port + 1_000}/api/cluster`, {
      headers: { origin: `http://localhost:${port}` },
    });
    expect(own.headers.get("access-control-allow-origin")).toBe(`http://localhost:${port}`);
    expect(own.status).toBe(200);
  });
});
