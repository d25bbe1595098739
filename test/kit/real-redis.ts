// Real servers of Redis for one test: alone, with a replica and Sentinels, or as a Redis Cluster. They keep nothing on disk
// but what a Sentinel or a member of a Redis Cluster must remember.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { until } from "./until.ts";

export const PASSWORD = "a:pass@word/of%ours";

/** Why a real Redis cannot be used here; undefined when it can. */
export function whyNoRedisServer(): string | undefined {
  const { error } = spawnSync("redis-server", ["--version"], { stdio: "ignore" });
  return error === undefined
    ? undefined
    : "there is no `redis-server` on this machine (Debian: apt-get install redis-server)";
}

export class RealRedis implements AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  readonly #options: readonly string[];
  #process: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #client: Redis | undefined;
  #output = "";

  private constructor(port: number, options: readonly string[]) {
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), "ringside-redis-"));
    this.#options = options;
  }

  /** @param options of `redis-server`, each as on its command line; a file of settings says the port as well */
  static async start(options: readonly string[] = [], port?: number): Promise<RealRedis> {
    const redis = new RealRedis(port ?? (await freePort()), options);
    await redis.restart();
    return redis;
  }

  get url(): string {
    return `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts it again at its port, and waits until it answers. What it held is gone. */
  async restart(): Promise<void> {
    const child = spawn("redis-server", [...this.#base(), ...this.#options], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.#exited = new Promise((resolve) => void child.once("exit", resolve));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text: Buffer) => (this.#output = (this.#output + text.toString()).slice(-4_000)));
    }
    await until("redis-server answers", async () => (await this.ask("PING")) === "PONG", {
      seen: () => this.#output,
    });
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#client?.disconnect();
    this.#client = undefined;
    this.#process?.kill("SIGKILL");
    await this.#exited;
  }

  /** SIGSTOP: connections stay and are accepted, and nothing is answered. */
  hang(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** SIGCONT. */
  wake(): void {
    this.#process?.kill("SIGCONT");
  }

  /** A command on a connection of the test's own. */
  async ask(command: string, ...values: (string | number)[]): Promise<unknown> {
    this.#client ??= this.#connect();
    return this.#client.call(command, ...values);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wake(); // a test may have failed in the middle
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #base(): string[] {
    if (this.#options[0]?.endsWith(".conf") === true) return []; // a Sentinel's file says all
    return [
      "--port",
      String(this.port),
      "--bind",
      "127.0.0.1",
      "--dir",
      this.folder,
      "--save",
      "",
      "--requirepass",
      PASSWORD,
      "--masterauth",
      PASSWORD,
    ];
  }

  #connect(): Redis {
    const isSentinel = this.#options.includes("--sentinel");
    const client = new Redis({
      port: this.port,
      host: "127.0.0.1",
      ...(isSentinel ? {} : { password: PASSWORD }),
      enableReadyCheck: false,
      maxRetriesPerRequest: 1,
      retryStrategy: () => 50,
      commandTimeout: 10_000,
    });
    client.on("error", () => {}); // told by the command
    return client;
  }
}

/** A primary, a replica of it, and three Sentinels that watch them. */
export class SentinelSet implements AsyncDisposable {
  readonly servers: readonly [RealRedis, RealRedis];
  readonly sentinels: readonly RealRedis[];

  private constructor(servers: readonly [RealRedis, RealRedis], sentinels: readonly RealRedis[]) {
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /** @param downAfterMs how long a primary may be silent */
  static async start(downAfterMs: number): Promise<SentinelSet> {
    const primary = await RealRedis.start();
    const replica = await RealRedis.start(["--replicaof", "127.0.0.1", String(primary.port)]);
    const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(primary, downAfterMs)));
    const all = new SentinelSet([primary, replica], sentinels);
    await until("each Sentinel knows the others and the replica", async () => {
      const known = await Promise.all(
        sentinels.map((sentinel) => sentinel.ask("SENTINEL", "MASTER", "ours") as Promise<string[]>),
      );
      const field = (row: string[], name: string): string | undefined => row[row.indexOf(name) + 1];
      return known.every(
        (row) => field(row, "num-slaves") === "1" && field(row, "num-other-sentinels") === "2",
      );
    });
    await until("the replica is in step", async () =>
      String(await replica.ask("INFO", "replication")).includes("master_link_status:up"),
    );
    return all;
  }

  get url(): string {
    const hosts = this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",");
    return `redis+sentinel://:${encodeURIComponent(PASSWORD)}@${hosts}/ours`;
  }

  /** The server that the Sentinels name. */
  async primary(): Promise<RealRedis> {
    const [sentinel] = this.sentinels;
    const named = (await sentinel?.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ours")) as
      string[] | undefined;
    const found = this.servers.find((server) => server.port === Number(named?.[1]));
    if (found === undefined) throw new Error(`the Sentinels name ${named?.join(":")}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [...this.sentinels, ...this.servers]) await each[Symbol.asyncDispose]();
  }
}

/** A port for the members of a Redis Cluster to speak to each other. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo; // it listens on a port
      server.close(() => resolve(port));
    });
  });
}

/** Three masters that share the slots. */
export class RealRedisCluster implements AsyncDisposable {
  readonly masters: readonly RealRedis[];

  private constructor(masters: readonly RealRedis[]) {
    this.masters = masters;
  }

  static async start(): Promise<RealRedisCluster> {
    const masters = await Promise.all(
      [1, 2, 3].map(async () =>
        RealRedis.start([
          "--cluster-enabled",
          "yes",
          "--cluster-node-timeout",
          "1000",
          "--cluster-port",
          String(await freePort()),
        ]),
      ),
    );
    const addresses = masters.map(({ port }) => `127.0.0.1:${port}`);
    const { status, stdout, stderr } = spawnSync(
      "redis-cli",
      ["-a", PASSWORD, "--cluster", "create", ...addresses, "--cluster-yes"],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`redis-cli made no cluster: ${stdout}${stderr}`);
    const cluster = new RealRedisCluster(masters);
    await until("every master sees all slots", async () => {
      const states = await Promise.all(masters.map((master) => master.ask("CLUSTER", "INFO")));
      return states.every((state) => String(state).includes("cluster_state:ok"));
    });
    return cluster;
  }

  get url(): string {
    const hosts = this.masters.map(({ port }) => `127.0.0.1:${port}`).join(",");
    return `redis+cluster://:${encodeURIComponent(PASSWORD)}@${hosts}`;
  }

  /** The master whose slots hold `key`. */
  async holderOf(key: string): Promise<RealRedis> {
    for (const master of this.masters) {
      if (await isHeldBy(master, key)) return master;
    }
    throw new Error(`no master holds ${key}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const master of this.masters) await master[Symbol.asyncDispose]();
  }
}

async function isHeldBy(master: RealRedis, key: string): Promise<boolean> {
  try {
    await master.ask("EXISTS", key);
    return true;
  } catch {
    return false; // MOVED
  }
}

async function startSentinel(
  { port: primaryPort, folder }: RealRedis,
  downAfterMs: number,
): Promise<RealRedis> {
  const port = await freePort();
  const file = join(folder, `sentinel-${port}.conf`);
  writeFileSync(
    file,
    [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${folder}`, // it writes into its file what it must remember
      `sentinel monitor ours 127.0.0.1 ${primaryPort} 2`,
      `sentinel auth-pass ours ${PASSWORD}`,
      `sentinel down-after-milliseconds ours ${downAfterMs}`,
      "sentinel failover-timeout ours 3000",
      "sentinel parallel-syncs ours 1",
    ].join("\n"),
  );
  return RealRedis.start([file, "--sentinel"], port);
}
