// What a player costs: on plain Colyseus, on one node of Ringside, and on an owner behind a gateway.
//
//   npm run bench:gateway [-- --players 500 --each 10,50 --rounds 5 --window-ms 5000 --seed N]
//
// The same room and the same players, in one run: all servers are there from the beginning, each with its own players, and
// the three set-ups take turns, so that what else the machine does counts for each. What is compared is CPU time of the
// server processes, of one turn with the others of its round. Ringside runs with leases and checkpoints on, as it does by
// default; Postgres, Redis and the players are not counted. Exit code 1 when something could not be measured.

import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import pg from "pg";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { Child } from "./checkpoint-child.ts";
import { percentile } from "./figures.ts";
import type { FromPlayers, FromServer, ToPlayers, ToServer } from "./gateway-messages.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const SETTLE_MS = 1_000;
/** The aims, as shares of plain Colyseus. */
const AIMS = { node: 1.03, owner: 0.4, both: 1.05 };

interface Options {
  readonly players: number;
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly windowMs: number;
  readonly seed: number;
}

type Server = Child<ToServer, FromServer>;

interface Process {
  readonly name: string;
  readonly server: Server;
  /** CPU of each round, in us a player and second. */
  readonly cpuUs: number[];
  /** What it takes without any player, in ms of CPU a second. */
  idleMs: number;
  bytesBefore: number;
  rssBefore: number;
  bytesAPlayer: number;
  rssAPlayer: number;
}

interface Setup {
  readonly name: string;
  readonly port: number;
  readonly processes: readonly Process[];
  readonly patchesASecond: number[];
  readonly p50Ms: number[];
  readonly p99Ms: number[];
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      players: { type: "string", default: "500" },
      each: { type: "string", default: "10,50" },
      rounds: { type: "string", default: "5" },
      "window-ms": { type: "string", default: "5000" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
    },
  });
  const numbers = {
    players: Number(values.players),
    rounds: Number(values.rounds),
    windowMs: Number(values["window-ms"]),
    seed: Number(values.seed),
  };
  const sizes = values.each.split(",").map(Number);
  for (const value of [...Object.values(numbers), ...sizes]) {
    if (!Number.isInteger(value) || value < 1) throw new Error("every option is a positive whole number");
  }
  return { ...numbers, sizes };
}

class Scene implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #stores: StoreUrls;
  readonly #options: Options;
  readonly #each: number;
  readonly setups: Setup[] = [];
  #players: Child<ToPlayers, FromPlayers> | undefined;

  constructor(stores: StoreUrls, options: Options, each: number) {
    this.#stores = stores;
    this.#options = options;
    this.#each = each;
  }

  get playersEach(): number {
    return Math.max(1, Math.floor(this.#options.players / this.#each)) * this.#each;
  }

  async open(): Promise<void> {
    const { players, seed } = this.#options;
    const plain = await this.#start("plain Colyseus", "plain", {});
    this.#setup("plain", plain.port, [plain]);
    const alone = await this.#cluster();
    const node = await this.#start("one node", "ringside", { ...alone, NODE_ID: "node" });
    this.#setup("node", node.port, [node]);
    const apart = await this.#cluster();
    const owner = await this.#start("owner", "ringside", {
      ...apart,
      NODE_ID: "owner",
      RINGSIDE_ROLES: "rooms",
    });
    const gateway = await this.#start("gateway", "ringside", {
      ...apart,
      NODE_ID: "gateway",
      RINGSIDE_ROLES: "gateway",
    });
    this.#setup("behind a gateway", gateway.port, [owner, gateway]);

    this.#players = this.#stack.use(new Child("gateway-players.ts", [String(seed)], {}));
    const rooms = Math.max(1, Math.floor(players / this.#each));
    await this.#measureIdle();
    for (const { name, port, processes } of this.setups) {
      for (const one of processes) {
        const { liveBytes, rssBytes } = await one.server.ask("remembers", { kind: "memory" });
        Object.assign(one, { bytesBefore: liveBytes, rssBefore: rssBytes });
      }
      await this.#players.ask("joined", { kind: "join", scene: name, port, rooms, each: this.#each });
      // Everybody has heard and said everything once before anything is measured.
      await this.round(
        this.setups.filter((setup) => setup.name === name),
        false,
      );
      for (const one of processes) {
        const { liveBytes, rssBytes } = await one.server.ask("remembers", { kind: "memory" });
        one.bytesAPlayer = (liveBytes - one.bytesBefore) / this.playersEach;
        one.rssAPlayer = (rssBytes - one.rssBefore) / this.playersEach;
      }
    }
  }

  /** A turn for each set-up. @throws when players were cut off or hear nothing */
  async round(setups: readonly Setup[], isMeasured: boolean): Promise<void> {
    const players = this.#players;
    if (players === undefined) throw new Error("the scene is not open");
    for (const setup of setups) {
      await players.ask("playing", { kind: "play", scene: setup.name });
      await systemClock.sleep(SETTLE_MS);
      await players.ask("heard", { kind: "sample" });
      await Promise.all(setup.processes.map(({ server }) => server.ask("sampled", { kind: "sample" })));
      await systemClock.sleep(this.#options.windowMs);
      const samples = await Promise.all(
        setup.processes.map(({ server }) => server.ask("sampled", { kind: "sample" })),
      );
      const heard = await players.ask("heard", { kind: "sample" });
      if (heard.open !== this.playersEach) {
        throw new Error(`${setup.name}: ${heard.open} of ${this.playersEach} players are connected`);
      }
      if (heard.patches === 0) throw new Error(`${setup.name}: no player hears any patch`);
      if (!isMeasured) continue;
      for (const [index, { sample }] of samples.entries()) {
        const seconds = sample.wallMs / 1_000;
        setup.processes[index]?.cpuUs.push((sample.cpuMs * 1_000) / (this.playersEach * seconds));
      }
      setup.patchesASecond.push(heard.patches / (this.#options.windowMs / 1_000));
      setup.p50Ms.push(heard.p50Ms);
      setup.p99Ms.push(heard.p99Ms);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #measureIdle(): Promise<void> {
    const all = this.setups.flatMap(({ processes }) => processes);
    await systemClock.sleep(SETTLE_MS);
    await Promise.all(all.map(({ server }) => server.ask("sampled", { kind: "sample" })));
    await systemClock.sleep(this.#options.windowMs);
    await Promise.all(
      all.map(async (one) => {
        const { sample } = await one.server.ask("sampled", { kind: "sample" });
        one.idleMs = (sample.cpuMs * 1_000) / sample.wallMs;
      }),
    );
  }

  #setup(name: string, port: number, processes: readonly Process[]): void {
    this.setups.push({ name, port, processes, patchesASecond: [], p50Ms: [], p99Ms: [] });
  }

  async #start(name: string, kind: string, env: NodeJS.ProcessEnv): Promise<Process & { port: number }> {
    const server: Server = this.#stack.use(new Child("gateway-server.ts", [kind], env));
    const { publicPort: port } = await server.ask("ready", undefined);
    return {
      name,
      server,
      port,
      cpuUs: [],
      idleMs: 0,
      bytesBefore: 0,
      rssBefore: 0,
      bytesAPlayer: 0,
      rssAPlayer: 0,
    };
  }

  /** Settings for a cluster of its own. */
  async #cluster(): Promise<NodeJS.ProcessEnv> {
    const name = `bench_${randomBytes(6).toString("hex")}`;
    const url = new URL(this.#stores.databaseUrl);
    await withAdmin(url, `CREATE DATABASE ${name}`);
    this.#stack.defer(() => withAdmin(this.#stores.databaseUrl, `DROP DATABASE ${name} WITH (FORCE)`));
    url.pathname = `/${name}`;
    return {
      DATABASE_URL: url.href,
      REDIS_URL: this.#stores.redisUrl,
      KEY_PREFIX: `${name}:`,
      CLUSTER_KEY: randomBytes(16).toString("hex"),
      BIND_HOST: "127.0.0.1",
      PORT: "0",
      INTERNAL_PORT: "0",
      MANAGEMENT_PORT: "0",
    };
  }
}

async function withAdmin(url: URL | string, statement: string): Promise<void> {
  const sql = new pg.Client({ connectionString: String(url) });
  await sql.connect();
  try {
    await sql.query(statement);
  } finally {
    await sql.end();
  }
}

const median = (values: readonly number[]): number => percentile(values, 0.5);

function tableOf(each: number, scene: Scene): string {
  const rows = [
    ["", "CPU us/player s", "idle ms/s", "KB/player", "RSS KB/player", "patches/s", "interval p50", "p99 ms"],
    ...scene.setups.flatMap((setup) =>
      setup.processes.map((one, index) => [
        setup.processes.length > 1 ? `${setup.name}: ${one.name}` : one.name,
        median(one.cpuUs).toFixed(0),
        one.idleMs.toFixed(1),
        (one.bytesAPlayer / 1_024).toFixed(1),
        (one.rssAPlayer / 1_024).toFixed(1),
        ...(index === 0
          ? [
              median(setup.patchesASecond).toFixed(0),
              median(setup.p50Ms).toFixed(1),
              median(setup.p99Ms).toFixed(1),
            ]
          : ["", "", ""]),
      ]),
    ),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
  return [`${scene.playersEach} players, ${each} a room`, ...lines].join("\n");
}

/** Of each round, so that what slowed all of it down counts for both sides. */
function verdicts(scene: Scene): string[] {
  const [plain, node, apart] = scene.setups.map(({ processes }) => processes) as [
    Process[],
    Process[],
    Process[],
  ];
  const base = plain[0]?.cpuUs ?? [];
  const share = (name: string, of: readonly (readonly number[])[], aim: number): string => {
    const ratios = base.map((us, round) => of.reduce((sum, cpu) => sum + (cpu[round] ?? Number.NaN), 0) / us);
    const [low, middle, high] = [Math.min(...ratios), median(ratios), Math.max(...ratios)];
    const told = `${middle.toFixed(2)} of plain Colyseus (${low.toFixed(2)} to ${high.toFixed(2)})`;
    return `${middle <= aim ? "met   " : "missed"}  ${name}: ${told}, aim ${aim}`;
  };
  return [
    share("one node", [node[0]?.cpuUs ?? []], AIMS.node),
    share("owner behind a gateway", [apart[0]?.cpuUs ?? []], AIMS.owner),
    share(
      "owner and gateway",
      apart.map(({ cpuUs }) => cpuUs),
      AIMS.both,
    ),
  ];
}

async function main(): Promise<void> {
  const options = readOptions();
  const load = othersLoad();
  await using stores = await startStores();
  const told: string[] = [];
  let surroundings: readonly string[] = [];
  for (const each of options.sizes) {
    await using scene = new Scene(stores, options, each);
    await scene.open();
    if (surroundings.length === 0) {
      const sql = new pg.Client({ connectionString: stores.databaseUrl });
      await sql.connect();
      // Of a cluster it asks for nothing but what Postgres says.
      const asCluster = { sql: async (text: string) => (await sql.query(text)).rows as unknown };
      surroundings = await describeSurroundings(asCluster as unknown as TestCluster, load);
      await sql.end();
    }
    for (let round = 0; round < options.rounds; round++) {
      await scene.round(scene.setups, true);
      say(`${each} a room: round ${round + 1} of ${options.rounds}`);
    }
    told.push(tableOf(each, scene), ...verdicts(scene), "");
  }
  const { rounds, windowMs, seed } = options;
  process.stdout.write(
    [
      `npm run bench:gateway   ${rounds} rounds of ${windowMs} ms, 20 Hz, 10 inputs a second, seed ${seed}`,
      ...surroundings,
      "",
      ...told,
    ].join("\n"),
  );
}

await main().catch((error: unknown) => {
  say(`bench:gateway: ${messageOf(error)}`);
  process.exitCode = 1;
});
