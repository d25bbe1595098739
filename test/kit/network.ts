// A network for one test, with a cable to cut between any two: each node in a network namespace of its own, joined by a
// router in another one, which the players and both stores stand at too, each with an address of its own.
//
//   await using network = await TestNetwork.open(stores);
//   await using cluster = await startCluster({ network, stores });
//   await using cut = await network.cut(toAndFro("node-a", ["postgres"]));
//   ... ; expect(await cut.bites()).toBeGreaterThan(0); await cut.heal();
//
// Packets are lost in the router, one direction at a time, as in a real network: connections stay open at both ends, what
// was sent meanwhile is sent again by the kernels, and nobody is told. Everything is made by `ip` of iproute2, and needs
// root. It is removed with the network; what a killed run has left is removed when the next one opens.

import { execFile, execFileSync } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import type { Quarters } from "./cluster.ts";
import { Forwarder } from "./forwarder.ts";
import type { StoreUrls } from "./stores.ts";

/** Who stands at the router: a node by its name, everybody who plays, or a store. */
export type Party = "players" | "postgres" | "redis" | (string & {});

/** One direction between two. */
export interface Flow {
  readonly from: Party;
  readonly to: Party;
}

/** Something that is broken until it is healed. */
export interface Fault extends AsyncDisposable {
  /** How many packets it has cost so far. */
  bites(): Promise<number>;
  /** May be called twice. */
  heal(): Promise<void>;
}

export const outOf = (one: Party, others: readonly Party[]): Flow[] =>
  others.map((other) => ({ from: one, to: other }));
export const into = (one: Party, others: readonly Party[]): Flow[] =>
  others.map((other) => ({ from: other, to: one }));
export const toAndFro = (one: Party, others: readonly Party[]): Flow[] => [
  ...outOf(one, others),
  ...into(one, others),
];

const PORTS = { PORT: 7001, INTERNAL_PORT: 7002, MANAGEMENT_PORT: 7003 };
/** Names on this machine begin so, followed by the process that made them. */
const PREFIX = "ringside-test-";
const ROUTER = 254;
const PLAYERS = 1;
const POSTGRES = 2;
const REDIS = 3;
const FIRST_NODE = 11;

/** Why there can be no such network here; undefined when there can. */
export function whyNoNetwork(): string | undefined {
  if (process.platform !== "linux") return "network namespaces exist on Linux only";
  const name = `${PREFIX}${process.pid}-${randomBytes(3).toString("hex")}-try`;
  try {
    execFileSync("ip", ["netns", "add", name], { stdio: ["ignore", "ignore", "pipe"] });
    try {
      execFileSync("ip", ["-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other"], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      return undefined;
    } finally {
      execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
    }
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    return code === "ENOENT"
      ? "there is no `ip` on this machine (Debian: apt-get install iproute2)"
      : `network namespaces cannot be made here, which takes root: ${String(stderr).trim()}`;
  }
}

interface Sink {
  readonly link: string;
  /** The routing table that leads there. */
  readonly table: number;
}

export class TestNetwork implements AsyncDisposable {
  readonly #name = `${PREFIX}${process.pid}-${randomBytes(3).toString("hex")}`;
  readonly #router = `${this.#name}-router`;
  /** Where lost packets go: they are counted on their way there. */
  readonly #sink = `${this.#name}-sink`;
  readonly #namespaces: string[] = [];
  readonly #subnet: string;
  readonly #hosts = new Map<Party, number>([
    ["players", PLAYERS],
    ["postgres", POSTGRES],
    ["redis", REDIS],
  ]);
  readonly #quarters = new Map<string, Omit<Quarters, "env">>();
  readonly #forwarders: Forwarder[] = [];
  #postgres: Forwarder | undefined;
  #redis: Forwarder | undefined;
  readonly #sinks = new Map<string, Promise<Sink>>();
  #rules = 0;

  private constructor(subnet: string) {
    this.#subnet = subnet;
  }

  /** @param stores as they are reached from this machine */
  static async open(stores: StoreUrls): Promise<TestNetwork> {
    await sweep();
    // 198.18.0.0/15 is set aside for tests of networks. Another run of these tests may have part of it.
    for (let tries = 1; ; tries++) {
      const network = new TestNetwork(`198.${randomInt(18, 20)}.${randomInt(0, 256)}`);
      try {
        await network.#build(stores);
        return network;
      } catch (error) {
        await network[Symbol.asyncDispose]();
        if (tries === 5) throw error;
      }
    }
  }

  /** What Postgres is reached through: it knows what has arrived, of whom, and when. */
  get postgres(): Forwarder {
    if (this.#postgres === undefined) throw new Error("the network is not open");
    return this.#postgres;
  }

  /** The address of somebody, on this network. */
  address(party: Party): string {
    const host = this.#hosts.get(party);
    if (host === undefined) throw new Error(`${party} is not in this network`);
    return this.#at(host);
  }

  /** Everybody but these. */
  others(...not: Party[]): Party[] {
    return [...this.#hosts.keys()].filter((party) => !not.includes(party));
  }

  /** Makes a namespace for a node, or finds the one it had. Called by the cluster. */
  async house(nodeId: string, stores: StoreUrls): Promise<Quarters> {
    let quarters = this.#quarters.get(nodeId);
    if (quarters === undefined) {
      quarters = await this.#furnish(nodeId);
      this.#quarters.set(nodeId, quarters);
    }
    const host = this.address(nodeId);
    const env = {
      BIND_HOST: host,
      ADVERTISE_HOST: host,
      MANAGEMENT_HOST: host,
      ...Object.fromEntries(Object.entries(PORTS).map(([name, port]) => [name, String(port)])),
      DATABASE_URL: through(stores.databaseUrl, this.#postgres),
      REDIS_URL: through(stores.redisUrl, this.#redis),
    };
    return { ...quarters, env };
  }

  /**
   * From now on these directions lose every packet.
   *
   * @param how `drop`: nobody learns of it. `reject`: the router says that it may not pass, as a firewall may do.
   */
  async cut(flows: readonly Flow[], how: "drop" | "reject" = "drop"): Promise<Fault> {
    const rejectedBefore = await this.#rejections();
    const lost = how === "drop" ? await Promise.all(flows.map((flow) => this.#sinkOf(flow))) : [];
    const rules = flows.map(({ from, to }, index) => ({
      sink: lost[index],
      match:
        `pref ${++this.#rules} from ${this.address(from)} to ${this.address(to)} ` +
        (lost[index] === undefined ? "prohibit" : `lookup ${lost[index].table}`),
    }));
    const lostBefore = await this.#lostIn(rules);
    // In one go: none of them is there much earlier than another.
    await this.#routerIp(...rules.map(({ match }) => `rule add ${match}`));
    const heal = once(() => this.#routerIp(...rules.map(({ match }) => `rule delete ${match}`)));
    return {
      bites: async () =>
        how === "reject"
          ? (await this.#rejections()) - rejectedBefore
          : (await this.#lostIn(rules)) - lostBefore,
      heal,
      [Symbol.asyncDispose]: heal,
    };
  }

  /** Pulls a node's cable: its own end notices, and the router tells whoever sends there. */
  async unplug(nodeId: string): Promise<Fault> {
    const leg = `leg${this.#hosts.get(nodeId)}`;
    const rejectedBefore = await this.#rejections();
    await this.#routerIp(`link set ${leg} down`);
    const heal = once(() =>
      this.#routerIp(`link set ${leg} up`, `route add ${this.address(nodeId)} dev ${leg}`),
    );
    return {
      bites: async () => (await this.#rejections()) - rejectedBefore,
      heal,
      [Symbol.asyncDispose]: heal,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#forwarders.map((forwarder) => forwarder[Symbol.asyncDispose]()));
    for (const namespace of this.#namespaces.splice(0)) await removeNamespace(namespace);
  }

  #at(host: number): string {
    return `${this.#subnet}.${host}`;
  }

  async #build(stores: StoreUrls): Promise<void> {
    for (const namespace of [this.#router, this.#sink]) {
      await ip("netns", "add", namespace);
      this.#namespaces.push(namespace);
      // IPv6 would say hello on every new link, and be counted. A kernel without it has nothing to switch off.
      await inside(namespace, "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 || true");
    }
    await inside(
      this.#router,
      "cd /proc/sys/net/ipv4 && echo 1 > ip_forward && echo 0 > icmp_ratelimit && " +
        "echo 0 > conf/all/rp_filter && echo 0 > conf/default/rp_filter",
    );
    const leg = `rs${randomBytes(5).toString("hex")}`;
    await ip("link", "add", leg, "type", "veth", "peer", "name", "leg0", "netns", this.#router);
    // Each leg has the router's one address, and a route to who is at its other end.
    await this.#routerIp("link set lo up", `address add ${this.#at(ROUTER)}/32 dev leg0`, "link set leg0 up");
    for (const host of [PLAYERS, POSTGRES, REDIS]) {
      await this.#routerIp(`route add ${this.#at(host)} dev leg0`);
      await ip("address", "add", `${this.#at(host)}/32`, "dev", leg);
    }
    await ip("link", "set", leg, "up");
    const all = `${this.#subnet}.0/24`;
    const via = ["via", this.#at(ROUTER), "dev", leg, "onlink", "src", this.#at(PLAYERS)];
    await ip("route", "add", all, ...via); // fails when another network has it
    this.#postgres = await this.#forward(this.#at(POSTGRES), ...hostAndPort(stores.databaseUrl, 5432));
    this.#redis = await this.#forward(this.#at(REDIS), ...hostAndPort(stores.redisUrl, 6379));
  }

  async #furnish(nodeId: string): Promise<Omit<Quarters, "env">> {
    const host = FIRST_NODE + this.#hosts.size;
    this.#hosts.set(nodeId, host); // before anything is waited for: several nodes come at once
    const namespace = `${this.#name}-${nodeId}`;
    const leg = `leg${host}`;
    await ip("netns", "add", namespace);
    this.#namespaces.push(namespace);
    await this.#routerIp(
      `link add ${leg} type veth peer name eth0 netns ${namespace}`,
      `address add ${this.#at(ROUTER)}/32 dev ${leg}`,
      `link set ${leg} up`,
      `route add ${this.#at(host)} dev ${leg}`,
    );
    await batch(namespace, [
      "link set lo up",
      `address add ${this.#at(host)}/32 dev eth0`,
      "link set eth0 up",
      `route add default via ${this.#at(ROUTER)} dev eth0 onlink`,
    ]);
    const door = await this.#forward("127.0.0.1", this.#at(host), PORTS.PORT);
    const backDoor = await this.#forward("127.0.0.1", this.#at(host), PORTS.MANAGEMENT_PORT);
    return {
      command: ["ip", "netns", "exec", namespace],
      publicPort: door.port,
      managementPort: backDoor.port,
    };
  }

  async #forward(from: string, toHost: string, toPort: number): Promise<Forwarder> {
    const forwarder = await Forwarder.open(from, { host: toHost, port: toPort });
    this.#forwarders.push(forwarder);
    return forwarder;
  }

  #routerIp(...commands: string[]): Promise<void> {
    return batch(this.#router, commands);
  }

  /** Where packets of a direction go that may not pass: into a link that leads nowhere, and counts them. */
  #sinkOf({ from, to }: Flow): Promise<Sink> {
    const key = `${from} ${to}`;
    let sink = this.#sinks.get(key);
    if (sink === undefined) this.#sinks.set(key, (sink = this.#dig(this.#sinks.size + 1)));
    return sink;
  }

  async #dig(number: number): Promise<Sink> {
    const [link, table] = [`sink${number}`, 1_000 + number];
    await this.#routerIp(
      `link add ${link} type veth peer name in${number} netns ${this.#sink}`,
      `link set ${link} arp off up`,
    );
    await ip("-n", this.#sink, "link", "set", `in${number}`, "up");
    await this.#routerIp(`route add default dev ${link} table ${table}`);
    return { link, table };
  }

  async #lostIn(rules: readonly { readonly sink: Sink | undefined }[]): Promise<number> {
    const links = new Set(rules.map(({ sink }) => sink?.link));
    const text = await ip("-n", this.#router, "-s", "-j", "link", "show");
    const all = JSON.parse(text) as { ifname: string; stats64: { tx: { packets: number } } }[];
    return all
      .filter(({ ifname }) => links.has(ifname))
      .reduce((sum, { stats64 }) => sum + stats64.tx.packets, 0);
  }

  /** How often the router has said that something cannot pass. */
  async #rejections(): Promise<number> {
    const text = await inside(this.#router, "grep ^Icmp: /proc/net/snmp");
    const [names = [], values = []] = text.split("\n").map((line) => line.split(" "));
    return Number(values[names.indexOf("OutDestUnreachs")]);
  }
}

/** Removes what runs that were killed have left, and the processes in there that nobody waits for any more. */
async function sweep(): Promise<void> {
  const names = (await ip("netns", "list")).split("\n").map((line) => line.split(" ")[0] ?? "");
  for (const name of names) {
    const maker = /^ringside-test-(\d+)-/.exec(name)?.[1];
    if (maker !== undefined && !isRunning(Number(maker))) await removeNamespace(name).catch(() => {}); // another run may sweep too
  }
}

/** Ends what still runs in there: a frozen process would keep the namespace for ever. */
async function removeNamespace(name: string): Promise<void> {
  const pids = (await ip("netns", "pids", name)).split("\n").filter((line) => line !== "");
  for (const pid of pids) if (isRunning(Number(pid))) process.kill(Number(pid), "SIGKILL");
  await ip("netns", "delete", name);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function hostAndPort(url: string, fallbackPort: number): [string, number] {
  const { hostname, port } = new URL(url);
  return [hostname, port === "" ? fallbackPort : Number(port)];
}

function through(url: string, forwarder: Forwarder | undefined): string {
  if (forwarder === undefined) throw new Error("the network is not open");
  const changed = new URL(url);
  changed.hostname = forwarder.host;
  changed.port = String(forwarder.port);
  return changed.href;
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}

const inside = (namespace: string, script: string): Promise<string> =>
  ip("netns", "exec", namespace, "sh", "-c", script);

/** Several commands of `ip` in one process. */
async function batch(namespace: string, commands: readonly string[]): Promise<void> {
  await run("ip", ["-n", namespace, "-batch", "-"], commands.join("\n"));
}

const ip = (...args: string[]): Promise<string> => run("ip", args);

function run(command: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(" ")}\n${input}\n${stderr}`, { cause: error }));
    });
    child.stdin?.on("error", () => {}); // it may have ended without reading, which its end tells
    child.stdin?.end(input);
  });
}
