// The model and Postgres, each as one side of a comparison: both run the same steps on two connections, and tell of their rows
// in the same words. Times are told as whether they are over.

import pg from "pg";
import type { Statements } from "../../../src/postgres/query.ts";
import { World } from "../world.ts";
import { FAR_MS, SOON_MS, type FromNow, type Step } from "./history.ts";
import { SimPostgres, WALL_MS } from "./sim-postgres.ts";
import type { Tables } from "./tables.ts";
import type { Transaction } from "./transaction.ts";

export type Result = { readonly rows: unknown } | { readonly error: string };

export interface Side {
  run(step: Step): Promise<Result>;
  begin(): Promise<void>;
  end(how: "COMMIT" | "ROLLBACK"): Promise<void>;
}

/** Told by both sides in the same order whatever order Postgres chooses. */
const IN_ORDER = new Set(["unowned-rooms", "renew-lease"]);

export class ModelSide implements Side {
  readonly #server: SimPostgres;
  readonly #world: World;
  #open: Transaction | undefined;

  private constructor(server: SimPostgres, world: World) {
    this.#server = server;
    this.#world = world;
  }

  /** Two connections to one model. */
  static pair(): { server: SimPostgres; sides: [ModelSide, ModelSide] } {
    const world = new World(1);
    const server = new SimPostgres(world, {});
    server.either = () => false; // as the plans are for tables as small as these
    return { server, sides: [new ModelSide(server, world), new ModelSide(server, world)] };
  }

  async begin(): Promise<void> {
    this.#open = this.#server.begin(FAR_MS);
  }

  async end(how: "COMMIT" | "ROLLBACK"): Promise<void> {
    if (how === "COMMIT") this.#open?.commit();
    else this.#open?.rollBack();
    this.#open = undefined;
  }

  async run({ name, values }: Step): Promise<Result> {
    const tx = this.#open ?? this.#server.begin(FAR_MS);
    try {
      const rows = await this.#execute(
        tx,
        name,
        values.map((value) => this.#toValue(value)),
      );
      if (this.#open === undefined) tx.commit();
      return { rows: toWords(name, rows) };
    } catch (error) {
      tx.rollBack();
      return { error: (error as pg.DatabaseError).code ?? String(error) };
    }
  }

  async #execute(
    tx: Transaction,
    name: string,
    values: readonly unknown[],
  ): Promise<Record<string, unknown>[]> {
    const [key, flag] = values;
    const nowMs = WALL_MS + this.#world.nowMs;
    if (name !== "lease" && name !== "retry")
      return this.#server.execute(tx, { name, values, answer: () => {} });
    const isThere = (name === "lease" ? tx.tables.nodes : tx.tables.rooms).has(String(key));
    if (isThere) await tx.lock(name === "lease" ? "node" : "room", String(key));
    const node = tx.tables.nodes.get(String(key));
    const room = tx.tables.rooms.get(String(key));
    const farMs = nowMs + (flag === true ? 1 : -1) * (name === "lease" ? FAR_MS : SOON_MS);
    if (name === "lease" && node !== undefined) tx.putNode({ ...node, lease_until: farMs });
    if (name === "retry" && room !== undefined) tx.putRoom({ ...room, retry_at: farMs });
    return [];
  }

  #toValue(value: unknown): unknown {
    return isFromNow(value) ? WALL_MS + this.#world.nowMs + value.fromNowMs : value;
  }

  static everything({ nodes, rooms, checkpoints, effects }: Tables): unknown {
    const nowMs = WALL_MS;
    const sorted = (list: unknown[]): string[] => list.map((row) => JSON.stringify(row)).sort();
    return {
      nodes: sorted(
        [...nodes.values()].map((row) => [
          row.incarnation,
          row.state,
          row.lease_until > nowMs,
          row.down_reason,
        ]),
      ),
      rooms: sorted(
        [...rooms.values()].map((row) => [
          row.room_id,
          row.options,
          row.owner,
          row.owner_node,
          row.epoch,
          row.players,
          row.class_version,
          row.failed_opens,
          row.retry_at === null ? null : row.retry_at > nowMs,
          row.disposed_at !== null,
          row.quarantined_at !== null,
          row.quarantine_reason,
        ]),
      ),
      checkpoints: sorted(
        [...checkpoints].flatMap(([roomId, rows]) =>
          rows.map((row) => [
            roomId,
            row.seq,
            row.epoch,
            row.bytes,
            row.snapshot.toString(),
            row.base_seq,
            row.kept,
            row.unreadable_reason,
          ]),
        ),
      ),
      effects: sorted(effects.map((row) => [row.room_id, row.number])),
    };
  }
}

export class PostgresSide implements Side {
  readonly #client: pg.Client;
  readonly #statements: Statements;
  #isOpen = false;

  constructor(client: pg.Client, statements: Statements) {
    this.#client = client;
    this.#statements = statements;
  }

  async begin(): Promise<void> {
    await this.#client.query("BEGIN");
    this.#isOpen = true;
  }

  async end(how: "COMMIT" | "ROLLBACK"): Promise<void> {
    await this.#client.query(how);
    this.#isOpen = false;
  }

  async run({ name, values }: Step): Promise<Result> {
    try {
      const given = values.map((value) => (isFromNow(value) ? Date.now() + value.fromNowMs : value));
      const { rows } = await this.#client.query<Record<string, unknown>>(this.#textOf(name), given);
      return { rows: toWords(name, rows) };
    } catch (error) {
      if (this.#isOpen) await this.end("ROLLBACK");
      return { error: (error as pg.DatabaseError).code ?? String(error) };
    }
  }

  #textOf(name: string): string {
    const far = `clock_timestamp() + CASE WHEN $2::boolean THEN 1 ELSE -1 END * interval '${name === "lease" ? FAR_MS : SOON_MS} ms'`;
    if (name === "lease") return `UPDATE node SET lease_until = ${far} WHERE incarnation = $1::uuid`;
    if (name === "retry") return `UPDATE room SET retry_at = ${far} WHERE room_id = $1`;
    return this.#statements.get(name) ?? name;
  }

  static async everything(client: pg.Client): Promise<unknown> {
    const read = async (sql: string): Promise<string[]> => {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: "array" });
      return rows.map((row) => JSON.stringify(row)).sort();
    };
    return {
      nodes: await read("SELECT incarnation, state, lease_until > clock_timestamp(), down_reason FROM node"),
      rooms: await read(
        `SELECT room_id, options, owner, owner_node, epoch::integer, players, class_version, failed_opens,
                retry_at > clock_timestamp(), disposed_at IS NOT NULL, quarantined_at IS NOT NULL, quarantine_reason
           FROM room`,
      ),
      checkpoints: await read(
        `SELECT room_id, seq::integer, epoch::integer, bytes, convert_from(snapshot, 'utf8'), base_seq::integer, kept,
                unreadable_reason FROM checkpoint`,
      ),
      effects: await read("SELECT room_id, number FROM effect"),
    };
  }
}

function isFromNow(value: unknown): value is FromNow {
  return typeof value === "object" && value !== null && "fromNowMs" in value;
}

/** Rows without what no two sides can have alike. */
function toWords(name: string, rows: readonly Record<string, unknown>[]): unknown {
  const words = rows.map((row) =>
    JSON.stringify(
      Object.entries(row)
        .filter(
          ([column]) =>
            !["silent_ms", "clock_ms", "age_ms", "taken_at", "pg_notify", "seats"].includes(column),
        )
        .map(([column, value]) => [column, column === "lease_left_ms" ? Number(value) > 0 : toWord(value)])
        .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    ),
  );
  if (name.startsWith("INSERT")) return [];
  return IN_ORDER.has(name) ? words : words.sort();
}

function toWord(value: unknown): unknown {
  return Buffer.isBuffer(value) ? value.toString() : value;
}
