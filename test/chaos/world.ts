// The cluster of a chaos run, with a hand on everything it is made of: nodes that are started again when they end, a proxy
// before each node and between each node and Postgres, a Postgres and a Redis that can be taken away.

import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type Quarters, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { FaultProxy } from "../kit/fault-proxy.ts";
import { startOwnRedis, type OwnRedis } from "../kit/own-redis.ts";
import { privatePostgres, type PrivatePostgres } from "../kit/private-postgres.ts";
import { freePort } from "../kit/real-redis.ts";
import type { StoreUrls } from "../kit/stores.ts";
import { GATEWAY_LOG_ENV, GatewayLogs } from "./gateway-log.ts";
import { LinkProxy, type Hold } from "./link-proxy.ts";
import { CALLER_NETWORK, OWN_ADDRESS_ENV, PROXY_NETWORK } from "./own-address.ts";
import type { Recorder } from "./recorder.ts";
import { ENV, PACE } from "./settings.ts";

/** Before a node that could not start is started again. */
const RESTART_AGAIN_MS = 300;

/** On a machine that is starved; whoever is not ready by then never will be. */
const READY_MS = 60_000 * PACE;
/** Tries again included. */
const SERVES_MS = 2 * READY_MS;

/** What stands around one node, whatever process has its name. */
export interface Surroundings {
  readonly postgres: FaultProxy;
  readonly links: LinkProxy;
  /** Where it calls the others from. */
  readonly address: string;
  /** How many faults keep it from Postgres now. */
  postgresHolds: number;
  /** When one of them let go last, by the monotonic clock. */
  postgresHeldMs: number;
  starts: number;
}

export class World implements AsyncDisposable {
  readonly postgres: PrivatePostgres;
  readonly redis: OwnRedis;
  readonly recorder: Recorder;
  readonly gatewayLogs = new GatewayLogs();
  cluster!: TestCluster; // set by open(), which is the only way to a World
  readonly #surroundings = new Map<string, Promise<Surroundings>>();
  readonly #env: Readonly<Record<string, string>>;
  /** Names of nodes that are to be there; whose process ends is started again. */
  readonly #wanted = new Set<string>();
  readonly #starting = new Map<string, Promise<void>>();
  /** Why starts had to be tried again. */
  readonly startFailures: string[] = [];
  #isClosing = false;
  /** Those that are taken, or were given away. */
  readonly #ports: Set<number>;

  private constructor(
    postgres: PrivatePostgres,
    redis: OwnRedis,
    recorder: Recorder,
    env: Record<string, string>,
  ) {
    this.postgres = postgres;
    this.redis = redis;
    this.recorder = recorder;
    this.#env = env;
    this.#ports = new Set([postgres.url, redis.url].map((url) => Number(new URL(url).port)));
  }

  /** @param sabotage a module that breaks the product on purpose, loaded by every node before anything else */
  static async open(recorder: Recorder, nodes: number, sabotage?: URL): Promise<World> {
    const postgres = await privatePostgres();
    const redis = await startOwnRedis();
    const env = sabotage === undefined ? {} : { NODE_OPTIONS: `--import ${sabotage.href}` };
    const world = new World(postgres, redis, recorder, env);
    try {
      world.cluster = await startCluster({
        nodes,
        game: "chaos/game.ts",
        env: ENV,
        readyMs: READY_MS,
        stores: { databaseUrl: postgres.url, redisUrl: redis.url },
        network: { house: (nodeId, stores) => world.#house(nodeId, stores) },
      });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    for (const node of world.cluster.nodes) {
      world.#wanted.add(node.nodeId);
      world.#follow(node);
    }
    return world;
  }

  /** Nodes that run and have begun to serve. */
  get serving(): TestNode[] {
    return this.cluster.nodes.filter((node) => node.managementPort !== 0 && !this.#starting.has(node.nodeId));
  }

  /** Those that are neither frozen nor leaving: whoever can be made to do something else. */
  get able(): TestNode[] {
    return this.serving.filter((node) => !node.isFrozen && !node.isDraining);
  }

  get wanted(): readonly string[] {
    return [...this.#wanted];
  }

  async surroundingsOf(nodeId: string): Promise<Surroundings> {
    const known = this.#surroundings.get(nodeId);
    if (known !== undefined) return known;
    const number = 10 + this.#surroundings.size;
    const made = (async (): Promise<Surroundings> => {
      const postgres = await FaultProxy.start(this.cluster?.databaseUrl ?? this.postgres.url);
      const links = new LinkProxy(`${PROXY_NETWORK}${number}`);
      return {
        postgres,
        links,
        address: `${CALLER_NETWORK}${number}`,
        postgresHolds: 0,
        postgresHeldMs: -Infinity,
        starts: 0,
      };
    })();
    this.#surroundings.set(nodeId, made);
    return made;
  }

  async everySurroundings(): Promise<Surroundings[]> {
    return Promise.all(this.#surroundings.values());
  }

  /** Those of the able that nothing keeps from Postgres: who is kept already has nothing to say that could be held. */
  async reachingPostgres(): Promise<TestNode[]> {
    const { able } = this;
    const around = await Promise.all(able.map(({ nodeId }) => this.surroundingsOf(nodeId)));
    return able.filter((_node, index) => around[index]?.postgresHolds === 0);
  }

  /** Keeps a node and Postgres apart, until all who do so have let go. */
  async holdPostgres(nodeId: string): Promise<Hold> {
    const around = await this.surroundingsOf(nodeId);
    const { postgres } = around;
    const before = postgres.bites.held;
    around.postgresHolds += 1;
    postgres.hold();
    return {
      get held() {
        return postgres.bites.held - before;
      },
      knocks: 0,
      resume: () => {
        around.postgresHolds -= 1;
        around.postgresHeldMs = systemClock.monotonicMs();
        if (around.postgresHolds === 0) postgres.resume();
      },
    };
  }

  /** A node more. Resolves when it serves. */
  async add(nodeId: string): Promise<void> {
    this.#wanted.add(nodeId);
    await this.#start(nodeId);
  }

  /** A node fewer: nobody starts it again. */
  unwant(nodeId: string): void {
    this.#wanted.delete(nodeId);
  }

  /** Starts what should be there and is not, until all of it serves. */
  async untilAllServe(): Promise<void> {
    const endsMs = systemClock.monotonicMs() + SERVES_MS;
    // One that was frozen may find only now that it does not count any more, and start anew.
    do {
      await Promise.race([
        Promise.all([...this.#wanted].map((nodeId) => this.#start(nodeId))),
        systemClock.sleep(Math.max(0, endsMs - systemClock.monotonicMs())).then(() => {
          throw new Error(`not all of ${this.wanted.join()} serve ${SERVES_MS} ms after the last fault`);
        }),
      ]);
      await this.cluster.untilLive({ ms: READY_MS });
    } while (!this.wanted.every((nodeId) => this.serving.some((node) => node.nodeId === nodeId)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#wanted.clear();
    // undefined when it could not be opened.
    await (this.cluster as TestCluster | undefined)?.[Symbol.asyncDispose]().catch(() => {}); // its Postgres goes next
    await Promise.allSettled(this.#starting.values());
    for (const { postgres, links } of await this.everySurroundings()) {
      await links.close();
      await postgres[Symbol.asyncDispose]();
    }
    await this.redis[Symbol.asyncDispose]();
    await this.postgres[Symbol.asyncDispose]();
    this.gatewayLogs[Symbol.dispose]();
  }

  #start(nodeId: string): Promise<void> {
    const running = this.cluster.nodes.find((node) => node.nodeId === nodeId);
    const underWay = this.#starting.get(nodeId);
    if (underWay !== undefined) return underWay;
    if (running !== undefined) return Promise.resolve();
    const starting = this.#startUntilItServes(nodeId).finally(() => this.#starting.delete(nodeId));
    this.#starting.set(nodeId, starting);
    return starting;
  }

  async #startUntilItServes(nodeId: string): Promise<void> {
    while (!this.#isClosing && this.#wanted.has(nodeId)) {
      try {
        this.#follow(await this.cluster.add(nodeId));
        return;
      } catch (error) {
        // A store is away, or it was killed while it started: so is the next one, as any supervisor does it.
        const half = this.cluster.nodes.find((node) => node.nodeId === nodeId);
        if (half !== undefined) await half.kill();
        const [what, why] = messageOf(error).split("\n");
        this.startFailures.push(`${what ?? ""} ${why ?? ""}`.replace(nodeId, "a node").slice(0, 160));
        await systemClock.sleep(RESTART_AGAIN_MS);
      }
    }
  }

  #follow(node: TestNode): void {
    const { nodeId, pid } = node;
    const life = { nodeId, pid, from: systemClock.nowMs(), to: undefined, exit: undefined };
    const { lives } = this.recorder;
    lives.push(life);
    void node.exited.then(async (code) => {
      lives[lives.indexOf(life)] = { ...life, to: systemClock.nowMs(), exit: String(code) };
      await (await this.surroundingsOf(nodeId)).links.close();
      if (!this.#isClosing && this.#wanted.has(nodeId)) await this.#start(nodeId);
    });
  }

  /** A free port is one's own only when somebody listens there: nobody else of this run gets it, nor that of a store. */
  async #freshPort(): Promise<number> {
    for (;;) {
      const port = await freePort();
      if (this.#ports.has(port)) continue;
      this.#ports.add(port);
      return port;
    }
  }

  async #house(nodeId: string, stores: StoreUrls): Promise<Quarters> {
    const around = await this.surroundingsOf(nodeId);
    around.starts += 1;
    const [publicPort, managementPort] = [await this.#freshPort(), await this.#freshPort()];
    let internalPort = await this.#freshPort();
    for (let tries = 0; ; tries++) {
      try {
        await around.links.open(internalPort);
        break;
      } catch (error) {
        if (tries === 5) throw error; // somebody listens on all addresses
        internalPort = await this.#freshPort();
      }
    }
    const database = new URL(around.postgres.through(stores.databaseUrl));
    // Each process signs what it writes: not only the node's name, but which of those that had it.
    const signature = `${nodeId} #${around.starts}`;
    database.searchParams.set("application_name", signature);
    return {
      command: [],
      publicPort,
      managementPort,
      env: {
        ...this.#env,
        PORT: String(publicPort),
        MANAGEMENT_PORT: String(managementPort),
        INTERNAL_PORT: String(internalPort),
        ADVERTISE_HOST: around.links.host,
        [OWN_ADDRESS_ENV]: around.address,
        DATABASE_URL: database.href,
        [GATEWAY_LOG_ENV]: this.gatewayLogs.fileFor(signature),
      },
    };
  }
}
