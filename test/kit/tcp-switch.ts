// A TCP forwarder whose other end can be moved, as a load balancer or a floating address in front of Postgres is.

import net from "node:net";

export class TcpSwitch implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #port: number | undefined;
  /** Connections that came and found nobody. */
  refused = 0;

  private constructor(port: number | undefined) {
    this.#port = port;
    this.#server = net.createServer((near) => this.#forward(near));
  }

  /** @param port where to on this machine; undefined refuses everyone */
  static async open(port: number | undefined): Promise<TcpSwitch> {
    const own = new TcpSwitch(port);
    await new Promise<void>((resolve, reject) => {
      own.#server.once("error", reject);
      own.#server.listen(0, "127.0.0.1", resolve);
    });
    return own;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  /** Ends every connection; new ones go to `port`. */
  moveTo(port: number | undefined): void {
    this.#port = port;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.moveTo(undefined);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #forward(near: net.Socket): void {
    if (this.#port === undefined) {
      this.refused += 1;
      near.destroy();
      return;
    }
    const far = net.connect(this.#port, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => {}); // a close follows
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
