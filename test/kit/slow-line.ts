// A TCP line to a node that can stop reading what the node sends, as a player's does who is on a bad network.

import net from "node:net";

export class SlowLine implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #fromNode = new Set<net.Socket>();

  private constructor(port: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect({ port, host: "127.0.0.1", noDelay: true });
      this.#fromNode.add(far);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {}); // a close follows, and closes the other
      }
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      near.pipe(far);
      far.on("data", (bytes: Buffer) => near.write(bytes));
    });
  }

  static async open(port: number): Promise<SlowLine> {
    const line = new SlowLine(port);
    await new Promise<void>((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port; // it listens on a port
  }

  /** From now on nothing that the node sends is read. What the player says goes on. */
  stall(): void {
    for (const socket of this.#fromNode) socket.pause();
  }

  goOn(): void {
    for (const socket of this.#fromNode) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
