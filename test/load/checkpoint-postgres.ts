// What checkpoints cost Postgres: CPU of its processes, WAL, and the bytes that its rows hold.
//
// CPU is read from /proc, and so only where Postgres runs on this machine under Linux; elsewhere it is NaN, which the tables
// show as "-". WAL is that of the whole server, which is the benchmark's own.

import { readdirSync, readFileSync } from "node:fs";
import pg from "pg";

/** Linux counts CPU time in these; it has been 100 a second on every platform Node runs on. */
const TICKS_A_SECOND = 100;

export interface PostgresSample {
  readonly cpuMs: number;
  readonly lsn: string;
  readonly walBytes: number;
  readonly walFullPages: number;
}

export interface WalUse {
  readonly bytes: number;
  /** Of these, copies of whole pages that were touched for the first time since Postgres's own checkpoint. */
  readonly fullPageBytes: number;
}

/** Of the newest checkpoints of rooms whose state moves. */
export interface StoredFigures {
  readonly rooms: number;
  readonly bodyBytes: number;
  /** Of those that stand by themselves, and of those that stand on another; NaN where there are none. */
  readonly wholeBytes: number;
  readonly deltaBytes: number;
  readonly tableBytes: number;
}

export class PostgresMeter implements AsyncDisposable {
  readonly #sql: pg.Client;
  #postmaster: number | undefined;
  #hasWalInspect = false;
  #hasBases = false;

  private constructor(sql: pg.Client) {
    this.#sql = sql;
  }

  /** To be opened when a node has made the tables. */
  static async open(databaseUrl: string): Promise<PostgresMeter> {
    const sql = new pg.Client({ connectionString: databaseUrl, options: "-c search_path=ringside,public" });
    sql.on("error", () => {}); // told by the query that was running
    await sql.connect();
    const meter = new PostgresMeter(sql);
    const [backend] = await meter.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    meter.#postmaster = parentOf(backend?.pid ?? 0);
    await sql.query("CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA public").then(
      () => (meter.#hasWalInspect = true),
      () => undefined, // not there, or not allowed: then pages are counted, not weighed
    );
    const bases = await meter.query(
      "SELECT 1 FROM information_schema.columns WHERE table_schema = 'ringside' AND table_name = 'checkpoint' AND column_name = 'base_seq'",
    );
    meter.#hasBases = bases.length > 0;
    return meter;
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#sql.query<Row>(text, [...values])).rows;
  }

  async sample(): Promise<PostgresSample> {
    const [row] = await this.query<{ lsn: string; bytes: string; pages: string }>(
      "SELECT pg_current_wal_lsn() AS lsn, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes, wal_fpi AS pages FROM pg_stat_wal",
    );
    return {
      cpuMs: this.#cpuMs(),
      lsn: row?.lsn ?? "0/0",
      walBytes: Number(row?.bytes),
      walFullPages: Number(row?.pages),
    };
  }

  /** Reads the WAL itself where it can; that takes Postgres's time, so not within what is measured. */
  async walBetween(before: PostgresSample, after: PostgresSample): Promise<WalUse> {
    const bytes = after.walBytes - before.walBytes;
    const atMost = {
      bytes,
      fullPageBytes: Math.min(bytes, (after.walFullPages - before.walFullPages) * 8_192),
    };
    if (!this.#hasWalInspect || bytes === 0) return atMost;
    try {
      const [row] = await this.query<{ pages: string | null }>(
        "SELECT sum(fpi_size) AS pages FROM pg_get_wal_stats($1::pg_lsn, $2::pg_lsn)",
        [before.lsn, after.lsn],
      );
      return { bytes, fullPageBytes: Number(row?.pages ?? 0) };
    } catch {
      return atMost; // that WAL is not kept any more
    }
  }

  async roomsSaved(): Promise<number> {
    const [row] = await this.query<{ rooms: number }>(
      "SELECT count(DISTINCT room_id)::integer AS rooms FROM checkpoint",
    );
    return row?.rooms ?? 0;
  }

  async stored(roomIds: readonly string[]): Promise<StoredFigures> {
    const isDelta = this.#hasBases ? "base_seq IS NOT NULL" : "false";
    const [row] = await this.query<Record<"rooms" | "body" | "whole" | "delta" | "table", string | null>>(
      `SELECT count(*) AS rooms, avg(bytes) AS body, pg_total_relation_size('checkpoint') AS table,
              avg(octet_length(snapshot)) FILTER (WHERE NOT (${isDelta})) AS whole,
              avg(octet_length(snapshot)) FILTER (WHERE ${isDelta}) AS delta
         FROM checkpoint WHERE room_id = ANY ($1)`,
      [roomIds],
    );
    const number = (text: string | null | undefined): number => (text == null ? Number.NaN : Number(text));
    return {
      rooms: number(row?.rooms),
      bodyBytes: number(row?.body),
      wholeBytes: number(row?.whole),
      deltaBytes: number(row?.delta),
      tableBytes: number(row?.table),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sql.end().catch(() => {}); // Ctrl-C may have ended Postgres before
  }

  /** All of Postgres: its first process and that one's children. Those that ended are counted with their parent. */
  #cpuMs(): number {
    if (this.#postmaster === undefined) return Number.NaN;
    let ticks = 0;
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const stat = statOf(Number(name));
      if (stat === undefined) continue;
      if (stat.pid === this.#postmaster) ticks += stat.own + stat.children;
      else if (stat.parent === this.#postmaster) ticks += stat.own;
    }
    return (ticks * 1_000) / TICKS_A_SECOND;
  }
}

/** Undefined when there is no such process here that looks like Postgres's. */
function parentOf(pid: number): number | undefined {
  const stat = statOf(pid);
  return stat !== undefined && /postgres/.test(stat.name) ? stat.parent : undefined;
}

function statOf(
  pid: number,
): { pid: number; name: string; parent: number; own: number; children: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const nameEnds = text.lastIndexOf(")"); // a name may hold anything
    const fields = text.slice(nameEnds + 2).split(" ");
    const field = (number: number): number => Number(fields[number - 3]); // as proc(5) numbers them, from 1
    return {
      pid,
      name: text.slice(text.indexOf("(") + 1, nameEnds),
      parent: field(4),
      own: field(14) + field(15),
      children: field(16) + field(17),
    };
  } catch {
    return undefined; // it has ended, or there is no /proc
  }
}
