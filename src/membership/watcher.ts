// Hears of changes at once: one connection that listens for what the statements notify. Only a hint: everything it
// tells is also found by the heartbeat and the sweep, a little later.

import pg from "pg";
import type { Config } from "../config.ts";
import { connectionSettings } from "../postgres/pool.ts";
import { backoffMs } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";

/** What a notification can say: of nodes; of rooms that may be claimed; of a room that was taken from its owner. */
export type Hint = "node" | "room" | "taken";

export class Watcher {
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #onHint: (hint: Hint) => void;
  readonly #stopping = new AbortController();
  #client: pg.Client | undefined;
  #loop: Promise<void> | undefined;

  constructor(config: Config, clock: Clock, onHint: (hint: Hint) => void) {
    this.#config = config;
    this.#clock = clock;
    this.#onHint = onHint;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#client?.end().catch(() => {}); // it may be broken already
    await this.#loop;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#listenUntilBroken(() => (failures = 0));
      } catch {
        // The heartbeat says that Postgres is away; saying it twice helps nobody.
      }
      failures += 1;
      await this.#clock.sleep(backoffMs(failures, 50, 1_000), this.#stopping.signal).catch(() => {});
    }
  }

  async #listenUntilBroken(onListening: () => void): Promise<void> {
    const client = new pg.Client({
      ...connectionSettings(this.#config, "watch"),
      connectionTimeoutMillis: this.#config.storeMs,
      query_timeout: this.#config.storeMs,
    });
    const broken = new Promise<void>((resolve) => {
      client.on("error", () => resolve());
      client.on("end", () => resolve());
    });
    client.on("notification", ({ payload }) => this.#onHint(hintOf(payload)));
    try {
      await client.connect();
      this.#client = client;
      await client.query(`LISTEN ${this.#config.schemaName}_view`);
      onListening();
      // What happened while nobody listened.
      this.#onHint("node");
      this.#onHint("room");
      this.#onHint("taken");
      await broken;
    } finally {
      this.#client = undefined;
      await client.end().catch(() => {}); // it is broken already
    }
  }
}

function hintOf(payload: string | undefined): Hint {
  if (payload === "room:taken") return "taken";
  return payload?.startsWith("room:") === true ? "room" : "node";
}
