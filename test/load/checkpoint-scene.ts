// One scene of the checkpoint benchmark: nodes with their rooms and players, and windows in which checkpoints are on or off.
//
// On and off take turns within one process and on the same rooms, and what is compared is a window with the one beside it:
// what else the machine does, how warm the code is and how the heap lies then count for both. Production code has no such
// switch; see checkpoint-hold.ts.

import { randomBytes } from "node:crypto";
import { cpus } from "node:os";
import pg from "pg";
import { KEY_HEADER } from "../../src/membership/peer-http.ts";
import { WORD_PATH, type NodeWord, type OwnRoom } from "../../src/ops/node-word.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import type { FromNode, FromPlayers, NodeSample, ToNode, ToPlayers } from "./checkpoint-messages.ts";
import { PostgresMeter, type WalUse } from "./checkpoint-postgres.ts";

export const INTERVAL_MS = 2_000;
/** After checkpoints were held every room is due at once; a whole interval later each is at its turn again. */
const SETTLE_ON_MS = INTERVAL_MS + 700;
const SETTLE_OFF_MS = 700;
const LIVE_EVERY_MS = 500;
const FIRST_SAVES_MS = 30_000;

export interface SceneOptions {
  readonly rooms: number;
  readonly kb: number;
  /** The share of rooms whose state moves. */
  readonly dirty: number;
  readonly hz: number;
  readonly nodes: number;
  /** In each moving room. */
  readonly players: number;
  readonly seed: number;
  readonly windowMs: number;
}

/** All nodes together, but for lateness and utilization, where the worst node is told. */
export interface Window extends NodeSample {
  readonly postgresMs: number;
  readonly wal: WalUse;
  /** The share of the machine's cores that nobody used, from 0 to 1. */
  readonly idle: number;
}

export interface Live {
  /** Of each moving room, each time it was asked: since when it has had changes that were not taken into a checkpoint. */
  readonly rpoMs: readonly number[];
  /** And how old the newest checkpoint is that Postgres has. */
  readonly ageMs: readonly number[];
}

interface Node {
  readonly child: Child<ToNode, FromNode>;
  readonly publicPort: number;
  readonly internalPort: number;
}

export class Scene implements AsyncDisposable {
  readonly options: SceneOptions;
  readonly moving: string[] = [];
  readonly #key = randomBytes(16).toString("hex");
  readonly #name = `bench_${randomBytes(6).toString("hex")}`;
  readonly #stores: StoreUrls;
  readonly #signal: AbortSignal;
  readonly #stack = new AsyncDisposableStack();
  readonly #nodes: Node[] = [];
  #players: Child<ToPlayers, FromPlayers> | undefined;
  #proxy: Child<number, number> | undefined;
  #meter: PostgresMeter | undefined;

  private constructor(options: SceneOptions, stores: StoreUrls, signal: AbortSignal) {
    this.options = options;
    this.#stores = stores;
    this.#signal = signal;
  }

  /** With nodes that serve and nothing in them. */
  static async open(options: SceneOptions, stores: StoreUrls, signal: AbortSignal): Promise<Scene> {
    const scene = new Scene(options, stores, signal);
    try {
      await scene.#open();
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  get meter(): PostgresMeter {
    if (this.#meter === undefined) throw new Error("the scene is not open");
    return this.#meter;
  }

  /** Opens the rooms and lets the players in. */
  async fill(): Promise<void> {
    const { rooms, dirty, kb, hz, seed, nodes: count, players } = this.options;
    const moving = Math.round(rooms * dirty);
    await this.checkpoints(false);
    await Promise.all(
      this.#nodes.map(async ({ child, publicPort }, index) => {
        const opened = await child.ask("opened", {
          kind: "open",
          count: shareOf(rooms, count, index),
          moving: shareOf(moving, count, index),
          room: { kb, hz, seed: seed + index * 100_000 },
        });
        this.moving.push(...opened.moving);
        if (players === 0) return;
        const roomIds = opened.moving;
        await this.#players?.ask("joined", { kind: "join", port: publicPort, roomIds, each: players });
      }),
    );
    // Every room is saved once, and what was opened last has settled, before anything is measured.
    await this.checkpoints(true);
    const endsMs = systemClock.monotonicMs() + FIRST_SAVES_MS;
    while ((await this.meter.roomsSaved()) < rooms && systemClock.monotonicMs() < endsMs)
      await this.pause(250);
    await this.pause(SETTLE_ON_MS);
  }

  async checkpoints(on: boolean): Promise<void> {
    await this.#each("done", { kind: "checkpoints", on });
  }

  /** How long each answer of Postgres is held up; for scenes behind the proxy. */
  async delay(ms: number): Promise<void> {
    await this.#proxy?.next(ms, (message) => message === ms);
  }

  /** Switches checkpoints, lets everything settle, and measures for the length of a window. */
  async window(on: boolean): Promise<Window> {
    await this.checkpoints(on);
    await this.pause(on ? SETTLE_ON_MS : SETTLE_OFF_MS);
    await this.#sampleAll();
    const before = await this.meter.sample();
    const coresBefore = coreTimes();
    await this.pause(this.options.windowMs);
    const samples = await this.#sampleAll();
    const after = await this.meter.sample();
    const cores = coreTimes();
    const sum = (value: (sample: NodeSample) => number): number =>
      samples.reduce((total, sample) => total + value(sample), 0);
    const worst = (value: (sample: NodeSample) => number): number => Math.max(...samples.map(value));
    return {
      wallMs: worst((sample) => sample.wallMs),
      cpuMs: sum((sample) => sample.cpuMs),
      utilization: worst((sample) => sample.utilization),
      ticks: sum((sample) => sample.ticks),
      lateP50Us: worst((sample) => sample.lateP50Us),
      lateP99Us: worst((sample) => sample.lateP99Us),
      lateMaxUs: worst((sample) => sample.lateMaxUs),
      gcMs: sum((sample) => sample.gcMs),
      heapMb: sum((sample) => sample.heapMb),
      saved: sum((sample) => sample.saved),
      statements: sum((sample) => sample.statements),
      saveMsMax: worst((sample) => sample.saveMsMax),
      failed: sum((sample) => sample.failed),
      postgresMs: after.cpuMs - before.cpuMs,
      wal: await this.meter.walBetween(before, after),
      idle: (cores.idle - coresBefore.idle) / (cores.all - coresBefore.all),
    };
  }

  /** What the owners say of their rooms, asked again and again: GET /api/cluster lists 2,000 rooms at most. */
  async live(ms: number): Promise<Live> {
    const moving = new Set(this.moving);
    const rpoMs: number[] = [];
    const ageMs: number[] = [];
    const endsMs = systemClock.monotonicMs() + ms;
    while (systemClock.monotonicMs() < endsMs) {
      const answers = await Promise.all(this.#nodes.map((node) => this.#ownRooms(node)));
      for (const room of answers.flat()) {
        if (!moving.has(room.roomId)) continue;
        rpoMs.push(room.rpoMs);
        ageMs.push(room.checkpoint?.ageMs ?? Number.POSITIVE_INFINITY);
      }
      await this.pause(LIVE_EVERY_MS);
    }
    return { rpoMs, ageMs };
  }

  /** Asks the first node, which is the only one in most scenes. */
  ask<Kind extends FromNode["kind"]>(
    kind: Kind,
    message: ToNode,
  ): Promise<Extract<FromNode, { kind: Kind }>> {
    const [node] = this.#nodes;
    if (node === undefined) throw new Error("the scene is not open");
    return node.child.ask(kind, message);
  }

  async pause(ms: number): Promise<void> {
    await Promise.race([
      systemClock.sleep(ms, this.#signal),
      ...this.#nodes.map(({ child }) => child.failed),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #open(): Promise<void> {
    const { nodes, seed } = this.options;
    const url = new URL(this.#stores.databaseUrl);
    await withAdmin(url, (sql) => sql.query(`CREATE DATABASE ${this.#name}`));
    this.#stack.defer(() =>
      withAdmin(this.#stores.databaseUrl, (sql) => sql.query(`DROP DATABASE ${this.#name} WITH (FORCE)`)),
    );
    url.pathname = `/${this.#name}`;
    const direct = url.href;
    this.#proxy = this.#stack.use(
      new Child<number, number>("checkpoint-proxy.ts", [url.hostname, url.port || "5432"], {}),
    );
    url.port = String(await this.#proxy.next(undefined, () => true));
    url.hostname = "127.0.0.1";
    const env = {
      ...process.env,
      DATABASE_URL: url.href,
      REDIS_URL: this.#stores.redisUrl,
      KEY_PREFIX: `${this.#name}:`,
      CLUSTER_KEY: this.#key,
      BIND_HOST: "127.0.0.1",
      PORT: "0",
      INTERNAL_PORT: "0",
      MANAGEMENT_PORT: "0",
      CHECKPOINT_MS: String(INTERVAL_MS),
    };
    for (let index = 0; index < nodes; index++) {
      const child = this.#stack.use(
        new Child<ToNode, FromNode>("checkpoint-node.ts", [], { ...env, NODE_ID: `bench-${index}` }),
      );
      const ready = await child.ask("ready", undefined);
      this.#nodes.push({ child, ...ready });
    }
    this.#players = this.#stack.use(
      new Child<ToPlayers, FromPlayers>("checkpoint-players.ts", [String(seed)], {}),
    );
    this.#meter = this.#stack.use(await PostgresMeter.open(direct));
  }

  /** @throws when players were cut off or hear nothing: the nodes would have less to do than is told */
  async #sampleAll(): Promise<NodeSample[]> {
    const [answers, heard] = await Promise.all([
      this.#each("sampled", { kind: "sample" }),
      this.#players?.ask("heard", { kind: "sample" }),
    ]);
    const players = this.moving.length * this.options.players;
    if (heard?.open !== players) throw new Error(`${heard?.open} of ${players} players are connected`);
    if (players > 0 && heard.patches === 0) throw new Error("no player hears any patch");
    return answers.map(({ sample }) => sample);
  }

  #each<Kind extends FromNode["kind"]>(
    kind: Kind,
    message: ToNode,
  ): Promise<Extract<FromNode, { kind: Kind }>[]> {
    return Promise.all(this.#nodes.map(({ child }) => child.ask(kind, message)));
  }

  async #ownRooms({ internalPort }: Node): Promise<readonly OwnRoom[]> {
    const response = await fetch(`http://127.0.0.1:${internalPort}${WORD_PATH}`, {
      headers: { [KEY_HEADER]: this.#key },
    });
    if (!response.ok) throw new Error(`a node does not tell of its rooms: ${response.status}`);
    return ((await response.json()) as NodeWord).rooms; // our own node's answer
  }
}

async function withAdmin(url: URL | string, work: (sql: pg.Client) => Promise<unknown>): Promise<void> {
  const sql = new pg.Client({ connectionString: String(url) });
  await sql.connect();
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

function coreTimes(): { idle: number; all: number } {
  const times = cpus().map((core) => core.times);
  return {
    idle: times.reduce((sum, { idle }) => sum + idle, 0),
    all: times.reduce((sum, time) => sum + Object.values(time).reduce((one, ms) => one + ms, 0), 0),
  };
}

/** How many of `count` things the part `index` of `parts` has. */
function shareOf(count: number, parts: number, index: number): number {
  return Math.floor(count / parts) + (index < count % parts ? 1 : 0);
}
