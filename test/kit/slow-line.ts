// A TCP line to a node that can stop reading what the node sends, as a player's does who is on a bad network.

import net from "node:net";

/** More often than players are pinged. */
const ALIVE_EVERY_MS = 1_000;
/** A pong as a player sends it: empty, masked. */
const PONG = Buffer.of(0x8a, 0x80, 0, 0, 0, 0);

export class SlowLine implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #fromNode = new Set<net.Socket>();
  #alive: NodeJS.Timeout | undefined;

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

  /**
   * From now on nothing that the node sends is read. What the player says goes on.
   *
   * @param isAlive whether the player goes on to say that they are there. The node's pings wait behind all that is not read,
   * and after two of them it ends a connection: a stall that is to last for so many ticks would be over first, where the
   * machine is slow
   */
  stall({ isAlive = false } = {}): void {
    for (const socket of this.#fromNode) socket.pause();
    if (!isAlive) return;
    this.#alive = setInterval(() => {
      for (const socket of this.#fromNode) socket.write(PONG); // what players say comes in whole frames, so between them
    }, ALIVE_EVERY_MS);
  }

  goOn(): void {
    clearInterval(this.#alive);
    for (const socket of this.#fromNode) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#alive);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
