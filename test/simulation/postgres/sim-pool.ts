// The driver's pool, as far as Database and CommitStore use it: a connection for whoever asks, kept for the next when it is
// whole. Its number is not bounded here: what waits for a place in the pool is one more statement that is late.

import type { Pool, QueryResult } from "pg";
import type { Process, World } from "../world.ts";
import type { Wire } from "../wire.ts";
import { Connection, type Query } from "./connection.ts";
import type { SimPostgres } from "./sim-postgres.ts";

export interface SimPoolParts {
  readonly world: World;
  readonly wire: Wire;
  readonly server: SimPostgres;
  readonly client: Process;
  readonly queryMs: number;
  readonly idleInTransactionMs: number;
  readonly max: number;
}

export class SimPool {
  readonly options: { readonly max: number; readonly query_timeout: number };
  readonly #parts: SimPoolParts;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];

  constructor(parts: SimPoolParts) {
    this.#parts = parts;
    this.options = { max: parts.max, query_timeout: parts.queryMs };
  }

  /** As the product's types want it. */
  get asPool(): Pool {
    return this as unknown as Pool; // what is used of it is here
  }

  async query(config: Query | string): Promise<QueryResult> {
    const connection = await this.#take();
    try {
      const result = await connection.query(config);
      this.#giveBack(connection, false);
      return result;
    } catch (error) {
      this.#giveBack(connection, true);
      throw error;
    }
  }

  async connect(): Promise<object> {
    const connection = await this.#take();
    return {
      query: (config: Query | string) => connection.query(config),
      on: () => {},
      off: () => {},
      release: (isBroken: boolean) => this.#giveBack(connection, isBroken),
    };
  }

  /** All connections break, for the network's or the server's reasons. */
  reset(): void {
    for (const connection of this.#all) connection.reset();
    this.#all.clear();
    this.#idle.length = 0;
  }

  async #take(): Promise<Connection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.isBroken) return idle;
    }
    const { client, queryMs, server, wire, world } = this.#parts;
    const thereMs = wire.delayMs(client.name, "postgres");
    const backMs = wire.delayMs("postgres", client.name);
    const isSilent = thereMs === undefined || backMs === undefined || (server.isUp && !server.isAnswering);
    const waitMs = isSilent ? queryMs : Math.min(thereMs + backMs, queryMs);
    await new Promise<void>((resolve) => void world.after(client, waitMs, "message", resolve));
    if (isSilent || waitMs === queryMs) throw new Error("timeout exceeded when trying to connect");
    if (!server.isUp) throw new Error("connect ECONNREFUSED");
    const { idleInTransactionMs } = this.#parts;
    const session = server.connect(client, { statementMs: queryMs, idleInTransactionMs });
    const connection = new Connection({ world, wire, server, client, session, queryMs });
    this.#all.add(connection);
    return connection;
  }

  #giveBack(connection: Connection, isBroken: boolean): void {
    if (!isBroken && !connection.isBroken) {
      this.#idle.push(connection);
      return;
    }
    connection.close();
    this.#all.delete(connection);
  }
}
