// A TCP proxy that answers late: what a server says is passed on a while after it came, in order and unchanged. In front of
// Postgres it adds that while to every statement, since a prepared one is a single exchange.

import net from "node:net";

export class DelayProxy implements AsyncDisposable {
  /** For connections that are open as well. What is under way keeps the delay it came with, or leaves right after it. */
  delayMs = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(host: string, port: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(port, host);
      for (const socket of [near, far]) {
        socket.setNoDelay(true);
        this.#sockets.add(socket);
        socket.on("error", () => {}); // a close follows, and closes the other
      }
      near.on("close", () => void (this.#sockets.delete(near), far.destroy()));
      far.on("close", () => void (this.#sockets.delete(far), near.end()));
      near.pipe(far);
      this.#late(far, near);
    });
  }

  /** @param host where the server is that is to seem slow */
  static async start(host: string, port: number): Promise<DelayProxy> {
    const proxy = new DelayProxy(host, port);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #late(far: net.Socket, near: net.Socket): void {
    const queue: Buffer[] = []; // one timer an entry: whichever fires first sends what came first
    let dueMs = 0;
    far.on("data", (bytes: Buffer) => {
      const nowMs = performance.now();
      // Never before what came earlier, also when the delay has just become shorter.
      dueMs = Math.max(dueMs, nowMs + this.delayMs);
      if (dueMs <= nowMs && queue.length === 0) {
        near.write(bytes);
        return;
      }
      queue.push(bytes);
      setTimeout(() => near.write(queue.shift() as Buffer), dueMs - nowMs); // as many timers as entries
    });
  }
}
