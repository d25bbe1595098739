// A gate that rooms ask to pass while they are opened, for tests that decide which of them hangs, and how long. Rooms ask by
// HTTP, because they live in other processes: see gated-game.ts.

import http from "node:http";
import type { AddressInfo } from "node:net";

export class Gate implements AsyncDisposable {
  /** Every room that has asked since the last `clear`, in order. */
  asked: string[] = [];
  readonly #server: http.Server;
  #waiting: { readonly roomId: string; readonly response: http.ServerResponse }[] = [];
  #lets: (roomId: string) => boolean = () => true;

  private constructor() {
    this.#server = http.createServer((request, response) => {
      const roomId = request.url?.slice(1) ?? "";
      this.asked.push(roomId);
      this.#waiting.push({ roomId, response });
      this.#move();
    });
  }

  static async open(): Promise<Gate> {
    const gate = new Gate();
    await new Promise<void>((resolve) => gate.#server.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo; // it listens on a port
    return `http://127.0.0.1:${port}`;
  }

  clear(): void {
    this.asked = [];
  }

  /** From now on these pass, and those that wait already; the others wait. */
  letPass(lets: (roomId: string) => boolean): void {
    this.#lets = lets;
    this.#move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #move(): void {
    const passing = this.#waiting.filter(({ roomId }) => this.#lets(roomId));
    this.#waiting = this.#waiting.filter(({ roomId }) => !this.#lets(roomId));
    for (const { response } of passing) response.end();
  }
}
