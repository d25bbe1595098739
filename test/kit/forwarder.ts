// A TCP forwarder from one address to another, for who can be reached from one side of a test's network only. It passes on
// every byte and every end, and remembers of whom bytes came, and when.

import net from "node:net";

/** One connection that was made through it. */
export interface Visit {
  /** The address it came from. */
  readonly from: string;
  readonly since: number;
  /** When bytes of the caller last arrived; ms since 1970. */
  lastHeardAt: number;
  /** The caller has said all, or is gone. */
  isOver: boolean;
}

export class Forwarder implements AsyncDisposable {
  readonly host: string;
  readonly visits: Visit[] = [];
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(host: string, to: { readonly host: string; readonly port: number }) {
    this.host = host;
    this.#server = net.createServer({ allowHalfOpen: true }, (near) => {
      const far = net.connect({ ...to, allowHalfOpen: true });
      const now = Date.now();
      const visit: Visit = { from: near.remoteAddress ?? "", since: now, lastHeardAt: now, isOver: false };
      this.visits.push(visit);
      near.on("data", () => (visit.lastHeardAt = Date.now()));
      for (const end of ["end", "close"]) near.on(end, () => (visit.isOver = true));
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  /** @throws the error of listen(), when `host` is no address of this machine */
  static async open(host: string, to: { readonly host: string; readonly port: number }): Promise<Forwarder> {
    const forwarder = new Forwarder(host, to);
    await new Promise<void>((resolve, reject) => {
      forwarder.#server.once("error", reject);
      forwarder.#server.listen(0, host, resolve);
    });
    return forwarder;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(one: net.Socket, other: net.Socket): void {
    this.#sockets.add(one);
    one.setNoDelay(true);
    one.on("error", () => other.resetAndDestroy()); // a reset stays a reset
    one.on("close", () => {
      this.#sockets.delete(one);
      other.destroySoon();
    });
    one.pipe(other);
  }
}
