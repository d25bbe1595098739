// The Redis of a chaos run: a real server where there is one, else the JavaScript one of the local cluster. That one
// lives in the run's own process, and cannot be stopped in the middle of what it does.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { startRedis, type LocalRedis } from "../../src/local/redis.ts";
import { until } from "../kit/until.ts";

export interface ChaosRedis extends AsyncDisposable {
  readonly url: string;
  readonly isReal: boolean;
  /** Ends it at once. What it held is gone. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** SIGSTOP; undefined where that is not possible. */
  readonly hang: (() => void) | undefined;
  readonly wake: (() => void) | undefined;
  ask(command: string, ...values: string[]): Promise<unknown>;
}

export function hasRedisServer(): boolean {
  return spawnSync("redis-server", ["--version"], { stdio: "ignore" }).error === undefined;
}

export async function startChaosRedis(): Promise<ChaosRedis> {
  return hasRedisServer() ? startReal() : startOurs();
}

async function startReal(): Promise<ChaosRedis> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-chaos-redis-"));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess;
  let exited: Promise<unknown> = Promise.resolve();
  const restart = async (): Promise<void> => {
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
    child = spawn("redis-server", options, { stdio: "ignore" });
    exited = new Promise((resolve) => void child.once("exit", resolve));
    await until("redis-server answers", async () => (await ask(url, "PING")) === "PONG");
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  await restart();
  return {
    url,
    isReal: true,
    kill,
    restart,
    hang: () => void child.kill("SIGSTOP"),
    wake: () => void child.kill("SIGCONT"),
    ask: (command, ...values) => ask(url, command, ...values),
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startOurs(): Promise<ChaosRedis> {
  let redis: LocalRedis = await startRedis();
  const { url, port } = redis;
  const password = decodeURIComponent(new URL(url).password);
  return {
    url,
    isReal: false,
    kill: () => redis.stop(),
    restart: async () => {
      redis = await startRedis({ port, password });
    },
    hang: undefined,
    wake: undefined,
    ask: (command, ...values) => ask(url, command, ...values),
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

/** On a connection of its own: it may be there to find out that nobody answers. */
async function ask(url: string, command: string, ...values: string[]): Promise<unknown> {
  const client = new Redis(url, {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    commandTimeout: 1_000,
  });
  client.on("error", () => {}); // told by the command
  try {
    return await client.call(command, ...values);
  } finally {
    client.disconnect();
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo; // it listens on a port
      server.close(() => resolve(port));
    });
  });
}
