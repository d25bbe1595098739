// A whole cluster for one test: real node processes behind a load balancer, on a database and a key prefix of their own.
//
//   await using cluster = await startCluster();
//   const restored = cluster.events.next("room:restored");
//   cluster.node("node-a").kill();
//   await restored;

import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { IRoomCache } from "@colyseus/core";
import { Client } from "@colyseus/sdk";
import { Redis } from "ioredis";
import pg from "pg";
import { inject } from "vitest";
import type { EventName, Events } from "../../src/events.ts";
import type { ClusterReport, RoomReport } from "../../src/ops/cluster-report.ts";
import type { Backend, Health } from "../../src/local/backends.ts";
import { openFront, type Front } from "../../src/local/front.ts";
import { watchNodes, type NodeWatch } from "../../src/local/watch-nodes.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { EventTap } from "./event-tap.ts";
import { Player } from "./player.ts";
import type { StoreUrls } from "./stores.ts";
import { until } from "./until.ts";

export interface ClusterOptions {
  /** How many nodes to begin with; 3 if not given. */
  readonly nodes?: number;
  /** The game's module, relative to this folder's parent; the arena and the duel if not given. */
  readonly game?: string;
  /** Settings for every node. */
  readonly env?: Readonly<Record<string, string>>;
  /** Nodes that are for one thing only, by name; the others are for both. */
  readonly roles?: Readonly<Record<string, "gateway" | "rooms">>;
  /** The stores; the ones of the test run if not given. */
  readonly stores?: StoreUrls;
  /** How long a node may take until it serves; 20 s if not given. */
  readonly readyMs?: number;
  /** Where the nodes live; plainly on this machine if not given. See kit/network.ts. */
  readonly network?: { house(nodeId: string, stores: StoreUrls): Promise<Quarters> };
}

/** Where a node's process lives, if not plainly on this machine. */
export interface Quarters {
  /** What its command line begins with. */
  readonly command: readonly string[];
  /** Settings for this node alone. */
  readonly env: Readonly<Record<string, string>>;
  /** Ports of this machine's loopback that lead to the node's. */
  readonly publicPort: number;
  readonly managementPort: number;
}

/** Where a room and its player are to be; any live node where nothing is said. */
export interface Place {
  readonly owner?: TestNode;
  /** The node that ends the player's socket, as long as it lives; then the load balancer takes another. */
  readonly gateway?: TestNode;
  readonly room?: string;
  readonly options?: object;
}

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const TESTS = new URL("../", import.meta.url);

export class TestNode {
  readonly nodeId: string;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<number | string>;
  /** Everything on standard output and error that was not an event. */
  readonly output: string[] = [];
  incarnation = "";
  publicPort = 0;
  internalPort = 0;
  managementPort = 0;
  isDraining = false;
  isFrozen = false;
  hasExited = false;
  readonly #quarters: Quarters | undefined;

  constructor(nodeId: string, process: ChildProcess, quarters?: Quarters) {
    this.nodeId = nodeId;
    this.#quarters = quarters;
    this.process = process;
    this.pid = process.pid ?? -1;
    this.exited = new Promise((resolve) => {
      process.once("exit", (code, signal) => {
        this.hasExited = true;
        resolve(code ?? signal ?? "unknown");
      });
    });
  }

  /** @internal What it says of itself when it has started. */
  introduce(facts: Pick<TestNode, "incarnation" | "publicPort" | "internalPort" | "managementPort">): void {
    Object.assign(this, facts);
    this.publicPort = this.#quarters?.publicPort ?? facts.publicPort;
    this.managementPort = this.#quarters?.managementPort ?? facts.managementPort;
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** SIGSTOP: the process is there and does nothing. */
  freeze(): void {
    this.isFrozen = true;
    this.process.kill("SIGSTOP");
  }

  /** SIGCONT. */
  thaw(): void {
    this.isFrozen = false;
    this.process.kill("SIGCONT");
  }

  /** SIGTERM: leaves on purpose. Resolves with the exit code. */
  async drain(): Promise<number | string> {
    this.isDraining = true;
    this.process.kill("SIGTERM");
    return this.exited;
  }
}

export class TestCluster implements AsyncDisposable {
  readonly events = new EventTap();
  readonly databaseUrl: string;
  readonly #nodes = new Map<string, TestNode>();
  readonly #everyProcess: TestNode[] = [];
  readonly #env: Readonly<Record<string, string>>;
  readonly #roles: NonNullable<ClusterOptions["roles"]>;
  readonly #game: string | undefined;
  #front: Front | undefined;
  /** Load balancers that prefer one node, by its name. */
  readonly #doors = new Map<string, Front>();
  #watch: NodeWatch | undefined;
  readonly #database: string;
  readonly #adminUrl: string;
  readonly #stores: StoreUrls;
  readonly #network: ClusterOptions["network"];
  readonly #readyMs: number | undefined;
  #sql: pg.Client | undefined;

  private constructor(options: ClusterOptions, stores: StoreUrls) {
    const name = `test_${randomBytes(6).toString("hex")}`;
    const url = new URL(stores.databaseUrl);
    url.pathname = `/${name}`;
    this.#adminUrl = stores.databaseUrl;
    this.#stores = stores;
    this.#network = options.network;
    this.#readyMs = options.readyMs;
    this.#database = name;
    this.databaseUrl = url.href;
    this.#game = options.game && fileURLToPath(new URL(options.game, TESTS));
    this.#roles = options.roles ?? {};
    this.#env = {
      PATH: process.env["PATH"] ?? "",
      DATABASE_URL: this.databaseUrl,
      REDIS_URL: stores.redisUrl,
      KEY_PREFIX: `${name}:`,
      CLUSTER_KEY: randomBytes(16).toString("hex"),
      BIND_HOST: "127.0.0.1",
      PORT: "0",
      INTERNAL_PORT: "0",
      MANAGEMENT_PORT: "0",
      LOG_LEVEL: "debug",
      ...options.env,
    };
  }

  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const stores = options.stores ?? { databaseUrl: inject("databaseUrl"), redisUrl: inject("redisUrl") };
    const cluster = new TestCluster(options, stores);
    await cluster.#withAdmin((sql) => sql.query(`CREATE DATABASE ${cluster.#database}`));
    try {
      await cluster.#open(options.nodes ?? 3);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Where players connect: a round-robin load balancer over the live nodes. */
  get port(): number {
    return this.#front?.port ?? 0;
  }

  /** What every node is started with. */
  get settings(): Readonly<Record<string, string>> {
    return this.#env;
  }

  /** The running processes, by name. */
  get nodes(): TestNode[] {
    return [...this.#nodes.values()].filter((node) => !node.hasExited);
  }

  /** What all processes so far have printed beside events. */
  get everyOutput(): string[] {
    return this.#everyProcess.flatMap(({ nodeId, output }) => output.map((line) => `${nodeId}: ${line}`));
  }

  node(nodeId: string): TestNode {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`there is no ${nodeId}`);
    return node;
  }

  /** A stock SDK client, through the load balancer or straight to one node. */
  client(node?: TestNode): Client {
    return new Client(`ws://127.0.0.1:${node?.publicPort ?? this.port}`);
  }

  /**
   * A stock SDK client whose load balancer sends it to `node` as long as that is live, and then to any other: so a test
   * knows, and chooses, which node a player's sockets end at.
   */
  async clientVia(node: TestNode): Promise<Client> {
    // Until it is, its door leads to any other, and the test would not be of what it says.
    await until(
      `${node.nodeId} is seen to serve`,
      () => node.hasExited || node.isFrozen || this.#watch?.healthOf(node) === "live",
    );
    let door = this.#doors.get(node.nodeId);
    if (door === undefined) {
      const isLive = (other: TestNode): boolean => this.#watch?.healthOf(other) === "live";
      const backends = (): TestNode[] => {
        const all = this.#withPorts();
        const first = all.filter((other) => other.nodeId === node.nodeId && isLive(other));
        return first.length > 0 ? first : all;
      };
      const healthOf = (backend: Backend): Health => this.#watch?.healthOf(backend) ?? "starting";
      door = await openFront({ port: 0, hosts: ["127.0.0.1"], clock: systemClock, backends, healthOf });
      this.#doors.set(node.nodeId, door);
    }
    return new Client(`ws://127.0.0.1:${door.port}`);
  }

  /** Creates rooms until one is where it should be, and takes a seat in it. Those elsewhere end when they are left. */
  async place({ owner, gateway, room = "probe", options = {} }: Place): Promise<Player> {
    const client = gateway === undefined ? this.client() : await this.clientVia(gateway);
    // The ring spreads rooms evenly: with three nodes, one in 10^17 tests would give up.
    for (let tries = 0; tries < 100; tries++) {
      const player = await Player.create(client, room, { name: "ada", ...options });
      if (owner === undefined || (await this.ownerOf(player.roomId)) === owner) return player;
      await player.room.leave();
    }
    throw new Error(`none of 100 new rooms is on ${owner?.nodeId}`);
  }

  /** A seat more in the room of `other`. */
  async joinTo(other: Player, gateway: TestNode | undefined, options: object = {}): Promise<Player> {
    return Player.join(
      gateway === undefined ? this.client() : await this.clientVia(gateway),
      other.roomId,
      options,
    );
  }

  /** The nodes that are none of these. */
  others(...not: TestNode[]): TestNode[] {
    return this.nodes.filter((node) => !not.includes(node));
  }

  /**
   * Starts a node and waits until it serves. A name that has exited may be used again.
   *
   * @param game the game's module, as in ClusterOptions; the cluster's if not given
   */
  async add(nodeId: string, game?: string): Promise<TestNode> {
    const module = game === undefined ? this.#game : fileURLToPath(new URL(game, TESTS));
    const stores = { ...this.#stores, databaseUrl: this.databaseUrl };
    const quarters = this.#network === undefined ? undefined : await this.#network.house(nodeId, stores);
    const command = [...(quarters?.command ?? []), process.execPath, MAIN];
    if (module !== undefined) command.push(module);
    const child = spawn(command[0] ?? "", command.slice(1), {
      env: { ...this.#env, ...quarters?.env, RINGSIDE_ROLES: this.#roles[nodeId] ?? "", NODE_ID: nodeId },
      stdio: ["ignore", "pipe", "pipe", "ipc"], // a node leaves when whoever started it is gone
    });
    const node = new TestNode(nodeId, child, quarters);
    this.#nodes.set(nodeId, node);
    this.#everyProcess.push(node);
    child.once("exit", () => {
      this.#watch?.markDead(node.pid);
      this.#cut(node.pid);
    });
    // stdout is a pipe: see `stdio` above.
    createInterface({ input: child.stdout! }).on("line", (line) => this.#hear(node, line));
    createInterface({ input: child.stderr! }).on("line", (line) => node.output.push(line));
    const ready = this.events.next("node:ready", (_facts, from) => from === nodeId, this.#readyMs);
    const failed = node.exited.then((code) => {
      throw new Error(`${nodeId} ended with ${code}:\n${node.output.join("\n")}`);
    });
    await Promise.race([ready, failed]);
    failed.catch(() => {}); // from here on its end is the test's affair
    return node;
  }

  /** Waits until the load balancer has found every running node live: until then it sends nobody to one that was added. */
  async untilLive(within: { readonly ms?: number } = {}): Promise<void> {
    // It finds them by looking, and has no event for that.
    await until(
      "every node is live to the load balancer",
      () => this.nodes.every((node) => this.#watch?.healthOf(node) === "live"),
      within,
    );
  }

  /** What GET /api/cluster says, asked of `node` or of any that runs. */
  async report(
    node: TestNode | undefined = this.nodes.find((other) => !other.isFrozen),
  ): Promise<ClusterReport> {
    if (node === undefined) throw new Error("no node runs");
    const response = await fetch(`http://127.0.0.1:${node.managementPort}/api/cluster`);
    return (await response.json()) as ClusterReport;
  }

  /** A room's row of the report. */
  async room(roomId: string, node?: TestNode): Promise<RoomReport> {
    const row = (await this.report(node)).rooms.find((room) => room.roomId === roomId);
    if (row === undefined) throw new Error(`there is no room ${roomId}`);
    return row;
  }

  /** The process that owns a room now. */
  async ownerOf(roomId: string): Promise<TestNode> {
    const { nodeId } = await this.room(roomId);
    if (nodeId === null) throw new Error(`nobody owns ${roomId}`);
    return this.node(nodeId);
  }

  /** Rows of the cluster's own database. */
  async sql<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    if (this.#sql === undefined) {
      const sql = new pg.Client({ connectionString: this.databaseUrl, options: "-c search_path=ringside" });
      const forget = (): void => void (this.#sql = this.#sql === sql ? undefined : this.#sql);
      sql.on("error", forget); // told by the query that was running
      sql.on("end", forget); // a test that takes Postgres away connects anew
      await sql.connect();
      this.#sql = sql;
    }
    return (await this.#sql.query<Row>(text, [...values])).rows;
  }

  /** A room's row in the listing that Redis holds. */
  async listing(roomId: string): Promise<IRoomCache | undefined> {
    const redis = new Redis(this.#stores.redisUrl, { maxRetriesPerRequest: 0, retryStrategy: () => null });
    redis.on("error", () => {}); // told by the command
    try {
      const row = await redis.hget(`${this.#env["KEY_PREFIX"]}roomcaches`, roomId);
      return row === null ? undefined : (JSON.parse(row) as IRoomCache);
    } finally {
      redis.disconnect();
    }
  }

  /** The number of a room's newest checkpoint that Postgres has; 0 when there is none. */
  async newestSeq(roomId: string): Promise<number> {
    const rows = await this.sql<{ seq: number }>(
      "SELECT coalesce(max(seq), 0)::integer AS seq FROM checkpoint WHERE room_id = $1",
      [roomId],
    );
    return rows[0]?.seq ?? 0;
  }

  /** Waits for a checkpoint that holds everything the room's state holds now. Not for one that is being changed unseen. */
  async untilSaved(roomId: string): Promise<void> {
    // The next one that begins after now: the one under way may have been encoded before.
    const enough = (await this.newestSeq(roomId)) + 2;
    await until(
      `a checkpoint of ${roomId}`,
      async () => (await this.newestSeq(roomId)) >= enough || (await this.room(roomId)).rpoMs === 0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.stop();
    await this.#front?.stop();
    await Promise.all([...this.#doors.values()].map((door) => door.stop()));
    for (const node of this.#everyProcess) if (!node.hasExited) node.process.kill("SIGKILL");
    await Promise.all(this.#everyProcess.map((node) => node.exited));
    await this.#sql?.end().catch(() => {}); // a test may have ended it by force
    await this.#withAdmin((sql) => sql.query(`DROP DATABASE IF EXISTS ${this.#database} WITH (FORCE)`));
  }

  async #open(count: number): Promise<void> {
    const backends = (): TestNode[] => this.#withPorts();
    this.#watch = watchNodes({ clock: systemClock, backends, onGone: (pid) => this.#cut(pid) });
    this.#front = await openFront({
      port: 0,
      hosts: ["127.0.0.1"],
      clock: systemClock,
      backends,
      healthOf: this.#watch.healthOf,
    });
    // The first one migrates; that they wait for each other is tested elsewhere, and costs time here.
    const names = Array.from({ length: count }, (_, index) => `node-${"abcdefghi"[index]}`);
    const views = names.map((nodeId) =>
      this.events.next(
        "view:changed",
        ({ nodes }, from) => from === nodeId && nodes.length === count,
        this.#readyMs,
      ),
    );
    await Promise.all(names.map((nodeId) => this.add(nodeId)));
    await Promise.all(views);
    await this.untilLive(this.#readyMs === undefined ? {} : { ms: this.#readyMs });
  }

  /** A node without ports yet would be found refusing, and so taken for dead. */
  #withPorts(): TestNode[] {
    return this.nodes.filter((node) => node.managementPort !== 0);
  }

  /** The sessions of a process that is gone end, as behind any load balancer. */
  #cut(pid: number): void {
    for (const front of [this.#front, ...this.#doors.values()]) front?.cut(pid);
  }

  #hear(node: TestNode, line: string): void {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(line) as Record<string, unknown>;
    } catch {
      node.output.push(line);
      return;
    }
    const { event, time, level, nodeId: _nodeId, msg: _msg, ...facts } = fields;
    if (typeof event !== "string") {
      node.output.push(line);
      return;
    }
    if (event === "node:started") node.introduce(facts as unknown as Events["node:started"]);
    if (level === "error") node.output.push(line);
    // What a node prints of an event is the event: see ops/log.ts.
    this.events.hear({
      nodeId: node.nodeId,
      event: event as EventName,
      facts: facts as never as Events[EventName],
      at: Number(time),
    });
  }

  async #withAdmin(work: (sql: pg.Client) => Promise<unknown>): Promise<void> {
    const sql = new pg.Client({ connectionString: this.#adminUrl });
    await sql.connect();
    try {
      await work(sql);
    } finally {
      await sql.end();
    }
  }
}

export const startCluster = (options?: ClusterOptions): Promise<TestCluster> => TestCluster.start(options);
