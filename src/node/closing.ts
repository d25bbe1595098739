// What a node has opened, to be closed in reverse.

import type { Server } from "node:http";
import type { Clock } from "../runtime/clock.ts";

const CLOSE_SERVER_MS = 1_000;

export class Closing {
  readonly #steps: (() => Promise<unknown> | void)[] = [];
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  push(step: () => Promise<unknown> | void): void {
    this.#steps.push(step);
  }

  /** Takes all down that is still there, the newest first. Never rejects: one part that fails to close must not keep others open. */
  async close(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

/** Closes a server and cuts what is still connected; its users have been told, or will find out. */
export function closeServer(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    // It waits for sockets that are not HTTP any more; those that nobody cut end with the process.
    const cancel = clock.after(CLOSE_SERVER_MS, resolve);
    server.close(() => {
      cancel();
      resolve();
    });
    server.closeAllConnections();
  });
}
