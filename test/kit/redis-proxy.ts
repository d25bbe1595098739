// A TCP proxy that can hold what passes it, and the ends of connections too: both sides see a connection that is there and
// silent, as after a cable is cut. It counts what it has held, because a test of a fault must show that it came to pass.

import net from "node:net";

export class HoldingProxy implements AsyncDisposable {
  /** Pieces of data that came while they were not passed on, and connections that were opened meanwhile. */
  held = 0;
  /** Connections that were ever opened. */
  opened = 0;
  readonly #server: net.Server;
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>();
  readonly #silent = new WeakSet<readonly [net.Socket, net.Socket]>();
  readonly #waiting: (() => void)[] = [];
  #isHeld = false;

  private constructor(port: number) {
    this.#server = net.createServer((near) => this.#join(near, net.connect(port, "127.0.0.1")));
  }

  /** @param port where to on this machine */
  static async start(port: number): Promise<HoldingProxy> {
    const proxy = new HoldingProxy(port);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  hold(): void {
    this.#isHeld = true;
  }

  /** What was held is passed on, in order. */
  resume(): void {
    this.#isHeld = false;
    for (const pass of this.#waiting.splice(0)) pass();
  }

  /** Ends every connection that is open, also while others are held. */
  cut(): void {
    for (const pair of this.#pairs) {
      this.#silent.add(pair); // what is known of it is told here, at once
      for (const socket of pair) socket.destroy();
      this.#pairs.delete(pair);
    }
  }

  /** New connections pass; those that were there stay silent for ever, and neither side hears of an end. */
  abandon(): void {
    this.#isHeld = false;
    this.#waiting.length = 0;
    for (const pair of this.#pairs) this.#silent.add(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: net.Socket, far: net.Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    this.opened++;
    if (this.#isHeld) this.held++;
    for (const [from, to] of [pair, [far, near] as const]) {
      from.setNoDelay(true);
      from.on("error", () => {}); // a close follows
      from.on("data", (bytes) => this.#pass(pair, () => !to.destroyed && to.write(bytes)));
      from.on("close", () => this.#pass(pair, () => void (to.destroy(), this.#pairs.delete(pair))));
    }
  }

  #pass(pair: readonly [net.Socket, net.Socket], work: () => void): void {
    if (this.#silent.has(pair)) return;
    if (!this.#isHeld) return work();
    this.held++;
    this.#waiting.push(work);
  }
}
