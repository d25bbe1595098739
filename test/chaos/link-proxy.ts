// What other nodes reach a node through: a TCP proxy at an address of its own, which can fall silent in both directions or
// cut everything that is connected. Where the node's process is gone it refuses, as the node's own port would.

import net from "node:net";

/** How long a break of the node's own end waits for word that the process is gone: until then a peer would be let in again. */
const BREAK_MS = 30;

export class LinkProxy {
  /** Messages and connections that came while it was silent. */
  held = 0;
  cuts = 0;
  #server: net.Server | undefined;
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>();
  #waiting: (() => void)[] = [];
  #isHeld = false;
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
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#pairs.clear();
    await closed;
  }

  /** Nothing is passed on any more, and no end of a connection either. */
  hold(): void {
    this.#isHeld = true;
  }

  /** What was held is passed on, in order. */
  resume(): void {
    this.#isHeld = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const pass of waiting) pass();
  }

  /** Says something through it, as a peer would: to be sure that there is something to hold. */
  knock(): void {
    const address = this.#server?.address() as net.AddressInfo | null | undefined; // it listens on a port
    if (address === null || address === undefined) return;
    // Half a request: nobody answers it, and so it is still there when the connections are cut.
    const socket = net.connect(address.port, this.#host, () => socket.write("GET / HTTP/1.1\r\n"));
    socket.on("error", () => {}); // that it is cut is the point
    socket.setTimeout(1_000, () => socket.destroy());
  }

  /** Ends what is connected. */
  cut(): void {
    for (const pair of this.#pairs) {
      this.cuts += 1;
      for (const socket of pair) socket.destroy();
    }
    this.#pairs.clear();
  }

  #join(near: net.Socket, far: net.Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    if (this.#isHeld) this.held += 1;
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {}); // a close follows
    }
    near.on("data", (bytes) => this.#pass(() => far.write(bytes)));
    far.on("data", (bytes) => this.#pass(() => near.write(bytes)));
    near.on("close", () => this.#pass(() => far.destroy()));
    far.on("close", () => setTimeout(() => this.#pass(() => near.destroy()), BREAK_MS));
    for (const socket of pair)
      socket.on("close", () => near.destroyed && far.destroyed && this.#pairs.delete(pair));
  }

  #pass(work: () => unknown): void {
    if (!this.#isHeld) {
      work();
      return;
    }
    this.held += 1;
    this.#waiting.push(work);
  }
}
