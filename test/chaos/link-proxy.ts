// What other nodes reach a node through: a TCP proxy at an address of its own, which can fall silent for all callers or for
// one, in both directions or in one of them, or cut what is connected. Where the node's process is gone it refuses, as the
// node's own port would.

import net from "node:net";

/** How long a break of the node's own end waits for word that the process is gone: until then a peer would be let in again. */
const BREAK_MS = 30;
const KNOCK_MS = 1_000;

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
  resume(): void;
}

export class LinkProxy {
  cuts = 0;
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
    const holding = new Holding(silence, () => {
      this.#holds.delete(holding);
      for (const pair of this.#pairs) pair.passOn();
    });
    this.#holds.add(holding);
    return holding;
  }

  /** Asks something of the node, as a peer would, to be sure that there is something to hold back or to cut. */
  knock({
    from,
    isWhole = true,
  }: { readonly from?: string | undefined; readonly isWhole?: boolean } = {}): void {
    const address = this.#server?.address() as net.AddressInfo | null | undefined; // it listens on a port
    if (address === null || address === undefined) return;
    // Half a request: nobody answers it, and so it is still there when the connections are cut.
    const request = `GET /knock HTTP/1.1\r\n${isWhole ? "Host: node\r\nConnection: close\r\n\r\n" : ""}`;
    const socket = net.connect(
      { port: address.port, host: this.#host, ...(from === undefined ? {} : { localAddress: from }) },
      () => socket.write(request),
    );
    socket.on("error", () => {}); // that it is cut is the point
    socket.resume();
    socket.setTimeout(KNOCK_MS, () => socket.destroy());
  }

  /** Whether one caller, or anybody, is connected. */
  isCalledBy(caller?: string): boolean {
    return [...this.#pairs].some((pair) => caller === undefined || pair.caller === caller);
  }

  /** Ends what is connected, of one caller or of all. */
  cut(caller?: string): void {
    for (const pair of this.#pairs) {
      if (caller !== undefined && pair.caller !== caller) continue;
      this.cuts += 1;
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
  held = 0;
  readonly #ways: readonly Way[];
  readonly #caller: string | undefined;
  readonly resume: () => void;

  constructor({ ways = ["hears", "says"], caller }: Silence, resume: () => void) {
    this.#ways = ways;
    this.#caller = caller;
    this.resume = resume;
  }

  isAbout(caller: string, way: Way): boolean {
    return this.#ways.includes(way) && (this.#caller === undefined || this.#caller === caller);
  }
}

/** All that keep it back: each of them has bitten. */
type Keeping = (way: Way) => readonly Holding[];

/** A connection: the caller's end, and the one to the node. */
class Pair {
  readonly caller: string;
  readonly #near: net.Socket;
  readonly #far: net.Socket;
  readonly #flows: readonly Flow[];

  constructor(near: net.Socket, far: net.Socket, caller: string, keeping: Keeping, onEnd: () => void) {
    this.caller = caller;
    this.#near = near;
    this.#far = far;
    const [heard, said] = [new Flow(() => keeping("hears")), new Flow(() => keeping("says"))];
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
  readonly #keeping: () => readonly Holding[];
  #waiting: (() => unknown)[] = [];

  constructor(keeping: () => readonly Holding[]) {
    this.#keeping = keeping;
  }

  pass(work: () => unknown): void {
    const holds = this.#keeping();
    for (const holding of holds) holding.held += 1;
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
