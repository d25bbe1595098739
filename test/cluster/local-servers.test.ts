// The processes behind `npm start`: the helper that holds the stores, and the front before the nodes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Backend, Health } from "../../src/local/backends.ts";
import { openFront } from "../../src/local/front.ts";
import { goneWithin, identify, isAlive, type ProcessId } from "../../src/local/identity.ts";
import { claimFolder } from "../../src/local/run-file.ts";
import { startRedis } from "../../src/local/redis.ts";
import { systemClock } from "../../src/runtime/clock.ts";

function idOf(pid: number): ProcessId {
  const id = identify(pid);
  if (id === undefined) throw new Error(`no process ${pid}`);
  return id;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "ringside-run-"));
  chmodSync(path, 0o711);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A process that starts the helper as the launcher does, with a node to watch that hears no signal but SIGKILL's. */
async function launch(
  dataDir: string,
): Promise<{ holder: ProcessId; helper: ProcessId; node: ProcessId; databaseUrl: string }> {
  const at = (path: string): string =>
    JSON.stringify(new URL(`../../src/local/${path}`, import.meta.url).href);
  const program = `
    const { startServers } = await import(${at("servers.ts")});
    const { identify } = await import(${at("identity.ts")});
    const { spawn } = await import("node:child_process");
    const servers = startServers({
      postgresDir: ${JSON.stringify(join(dataDir, "postgres"))}, redis: true, execArgv: [],
      logFile: ${JSON.stringify(join(dataDir, "servers.log"))}, say: () => {}, onLost: () => {},
    });
    const { databaseUrl } = await servers.ready;
    const node = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
    await new Promise((resolve) => node.once("spawn", resolve));
    process.kill(node.pid, "SIGSTOP");
    servers.watch(identify(node.pid));
    console.log(JSON.stringify({ helper: servers.id, node: identify(node.pid), databaseUrl }));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const told = JSON.parse(line.toString()) as { helper: ProcessId; node: ProcessId; databaseUrl: string };
  return { holder: idOf(child.pid ?? 0), ...told };
}

async function listenOn(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer(onSocket);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port }; // it listens on TCP
}

async function allFrom(port: number, send = "hi"): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(send);
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => undefined);
  await once(socket, "close");
  return text;
}

describe("[LOC1] starting and stopping leaves nothing behind", { timeout: 90_000 }, () => {
  test("[LOC1] a launcher that was killed leaves no node, no helper and no Postgres", async () => {
    const { holder, helper, node } = await launch(folder());
    process.kill(holder.pid, "SIGKILL");
    expect(await goneWithin(helper, 60_000)).toBe(true);
    expect([holder, helper, node].filter(isAlive)).toEqual([]);
  });

  test("[LOC1] one folder holds one cluster, and a dead one's claim is void", async () => {
    const dataDir = folder();
    const run = await claimFolder(dataDir, 2_567, () => undefined);
    await expect(claimFolder(dataDir, 3_000, () => undefined)).rejects.toThrow(
      /already runs in this folder \(pid \d+/,
    );
    run.remove();
    const next = await claimFolder(dataDir, 3_000, () => undefined);
    next.remove();
  });

  test("[LOC1] the private Redis answers to its password only, and stops with connections open", async () => {
    const redis = await startRedis();
    const client = new Redis(redis.url, { retryStrategy: () => null });
    const stranger = new Redis(redis.port, "127.0.0.1", {
      retryStrategy: () => null,
      enableReadyCheck: false,
    });
    client.on("error", () => undefined);
    stranger.on("error", () => undefined);
    expect(await client.multi().set("a", "1").get("a").exec()).toEqual([
      [null, "OK"],
      [null, "1"],
    ]);
    await expect(stranger.get("a")).rejects.toThrow(/NOAUTH/);
    const ended = once(client, "end");
    await redis.stop();
    await ended;
    stranger.disconnect();
  });
});

describe("[LOC2] the local front sends nobody to a dead node", () => {
  test("[LOC2] a node that refuses is passed over, a dead one's sessions are cut, and without nodes there is a 503", async () => {
    const held = new Set<Socket>();
    const one = await listenOn((socket) => held.add(socket).size > 0 && socket.write("one"));
    const gone = await listenOn(() => undefined);
    gone.server.close();
    await once(gone.server, "close");
    const health = new Map<number, Health>();
    const backends: Backend[] = [
      { nodeId: "gone", pid: 1, publicPort: gone.port, managementPort: 0, isDraining: false },
      { nodeId: "one", pid: 2, publicPort: one.port, managementPort: 0, isDraining: false },
    ];
    const front = await openFront({
      port: 0,
      hosts: ["127.0.0.1"],
      clock: systemClock,
      backends: () => backends,
      healthOf: ({ pid }) => health.get(pid) ?? "live",
    });
    onTestFinished(async () => front.stop());

    const session = connect(front.port, "127.0.0.1");
    session.write("hi");
    expect(String(((await once(session, "data")) as [Buffer])[0])).toBe("one");
    const closed = once(session, "close");
    front.cut(2);
    await closed;

    health.set(1, "dead").set(2, "frozen");
    expect(await allFrom(front.port, "GET / HTTP/1.1\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 .*no node is up/s);
    await front.stop();
    await expect(once(connect(front.port, "127.0.0.1"), "connect")).rejects.toThrow(/ECONNREFUSED/);
  });
});
