// What other nodes reach a node through: a TCP proxy at an address of its own, which can fall silent for all callers or for
// one, in both directions or in one of them, or cut what is connected. Where the node's process is gone it refuses, as the
// node's own port would.

import net from "node:net";

/** How long a break of the node's own end waits for word that the process is gone: until then a peer would be let in again. */
const BREAK_MS = 30;
const KNOCK_MS = 1_000;
/** Faults are asked what they have held when they are over; nobody else comes from the same port so soon. */
const FORGOTTEN_MS = 60_000;

/** As seen from the node that stands behind the proxy. */
export type Way = "hears" | "says";

export interface Silence {
  /** What is kept back: both ways if not given. */
  readonly ways?: readonly Way[];
  /** The address of the one caller that is meant; all if not given. */
  readonly caller?: string;
}

/** Nothing is passed on until `resume`. Several may last at a time: what any of them keeps back is kept back. */
export interface Hold {
  /** Messages, connections and ends of connections that came meanwhile. */
  readonly held: number;
  /** Those of knocks, which show that it holds and are not counted with the others. */
  readonly knocks: number;
  resume(): void;
}

export class LinkProxy {
  /** Of connections, but for knocks. */
  cuts = 0;
  cutKnocks = 0;
  /** Where knocks come from. */
  readonly #knocking = new Set<string>();
  #server: net.Server | undefined;
  readonly #pairs = new Set<Pair>();
  readonly #holds = new Set<Holding>();
  readonly #host: string;

  /** @param host an address of this machine, where the node itself does not listen */
  constructor(host: string) {
    this.#host = host;
  }

  get host(): string {
    return this.#host;
  }

  /** Undefined while the node is gone. */
  get port(): number | undefined {
    return (this.#server?.address() as net.AddressInfo | null | undefined)?.port; // it listens on a port
  }

  /** From now on it leads to `port`; to be called before the node starts. @throws when the address cannot be had */
  async open(port: number): Promise<void> {
    await this.close();
    const server = net.createServer((near) => this.#join(near, net.connect(port, "127.0.0.1")));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, this.#host, resolve);
    });
    this.#server = server;
  }

  /** The node is gone: new connections are refused, and those there were end. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server && new Promise((resolve) => server.close(resolve));
    for (const pair of this.#pairs) pair.destroy();
    this.#pairs.clear();
    await closed;
  }

  /** From now on what it is about is not passed on, and no end of a connection either; of those that come as well. */
  hold(silence: Silence = {}): Hold {
    const resume = (): void => {
      this.#holds.delete(holding);
      for (const pair of this.#pairs) pair.passOn();
    };
    const holding = new Holding(silence, (end) => this.#knocking.has(end), resume);
    this.#holds.add(holding);
    return holding;
  }

  /**
   * Asks something of the node, as a peer would, to find out whether what is said here is held back or cut.
   *
   * @returns whether it was connected; not when the node is gone
   */
  async knock({
    from,
    isWhole = true,
  }: { readonly from?: string | undefined; readonly isWhole?: boolean } = {}): Promise<boolean> {
    const { port } = this;
    if (port === undefined) return false;
    // Half a request: nobody answers it, and so it is still there when the connections are cut.
    const request = `GET /knock HTTP/1.1\r\n${isWhole ? "Host: node\r\nConnection: close\r\n\r\n" : ""}`;
    const socket = net.connect({
      port,
      host: this.#host,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    socket.resume();
    socket.setTimeout(KNOCK_MS, () => socket.destroy());
    return new Promise((resolve) => {
      socket.once("connect", () => {
        const end = `${socket.localAddress}:${socket.localPort}`;
        this.#knocking.add(end);
        socket.once("close", () => setTimeout(() => this.#knocking.delete(end), FORGOTTEN_MS).unref());
        socket.write(request);
        resolve(true);
      });
      socket.on("error", () => resolve(false)); // that it is cut is the point
      socket.once("close", () => resolve(false));
    });
  }

  /** Whether one caller, or anybody, is connected. */
  isCalledBy(caller?: string): boolean {
    return [...this.#pairs].some((pair) => caller === undefined || pair.caller === caller);
  }

  /** Ends what is connected, of one caller or of all. */
  cut(caller?: string): void {
    for (const pair of this.#pairs) {
      if (caller !== undefined && pair.caller !== caller) continue;
      if (this.#knocking.has(pair.end)) this.cutKnocks += 1;
      else this.cuts += 1;
      pair.destroy();
      this.#pairs.delete(pair);
    }
  }

  #join(near: net.Socket, far: net.Socket): void {
    const caller = near.remoteAddress ?? "";
    const keeping = (way: Way): Holding[] =>
      [...this.#holds].filter((holding) => holding.isAbout(caller, way));
    const pair = new Pair(near, far, caller, keeping, () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
  }
}

class Holding implements Hold {
  /** By where it came from: whether that was a knock is known a moment later. */
  readonly #heldOf = new Map<string, number>();
  readonly #isKnock: (end: string) => boolean;
  readonly #ways: readonly Way[];
  readonly #caller: string | undefined;
  readonly resume: () => void;

  constructor(
    { ways = ["hears", "says"], caller }: Silence,
    isKnock: (end: string) => boolean,
    resume: () => void,
  ) {
    this.#ways = ways;
    this.#caller = caller;
    this.#isKnock = isKnock;
    this.resume = resume;
  }

  get held(): number {
    return this.#count(false);
  }

  get knocks(): number {
    return this.#count(true);
  }

  hasKept(end: string): void {
    this.#heldOf.set(end, (this.#heldOf.get(end) ?? 0) + 1);
  }

  isAbout(caller: string, way: Way): boolean {
    return this.#ways.includes(way) && (this.#caller === undefined || this.#caller === caller);
  }

  #count(ofKnocks: boolean): number {
    const counted = [...this.#heldOf].filter(([end]) => this.#isKnock(end) === ofKnocks);
    return counted.reduce((sum, [, count]) => sum + count, 0);
  }
}

/** All that keep it back: each of them has bitten. */
type Keeping = (way: Way) => readonly Holding[];

/** A connection: the caller's end, and the one to the node. */
class Pair {
  readonly caller: string;
  /** The caller's address and port. */
  readonly end: string;
  readonly #near: net.Socket;
  readonly #far: net.Socket;
  readonly #flows: readonly Flow[];

  constructor(near: net.Socket, far: net.Socket, caller: string, keeping: Keeping, onEnd: () => void) {
    this.caller = caller;
    this.end = `${caller}:${near.remotePort}`;
    this.#near = near;
    this.#far = far;
    const flow = (way: Way): Flow => new Flow(this.end, () => keeping(way));
    const [heard, said] = [flow("hears"), flow("says")];
    this.#flows = [heard, said];
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {}); // a close follows
      socket.on("close", () => near.destroyed && far.destroyed && onEnd());
    }
    heard.pass(() => {}); // a connection that comes while nobody is heard is one that is held
    near.on("data", (bytes) => heard.pass(() => far.write(bytes)));
    far.on("data", (bytes) => said.pass(() => near.write(bytes)));
    near.on("close", () => heard.pass(() => far.destroy()));
    far.on("close", () => setTimeout(() => said.pass(() => near.destroy()), BREAK_MS));
  }

  /** What is held back no more is passed on, in order. */
  passOn(): void {
    for (const flow of this.#flows) flow.passOn();
  }

  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
  }
}

/** One direction of a connection. */
class Flow {
  readonly #end: string;
  readonly #keeping: () => readonly Holding[];
  #waiting: (() => unknown)[] = [];

  constructor(end: string, keeping: () => readonly Holding[]) {
    this.#end = end;
    this.#keeping = keeping;
  }

  pass(work: () => unknown): void {
    const holds = this.#keeping();
    for (const holding of holds) holding.hasKept(this.#end);
    if (holds.length === 0 && this.#waiting.length === 0) work();
    else this.#waiting.push(work);
  }

  passOn(): void {
    if (this.#keeping().length > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const pass of waiting) pass();
  }
}
