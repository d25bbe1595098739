// Rooms that commit from everywhere an author may: a command, a tick, a timer, the last player's leave, the end. Each commit
// enters a row into the table `entry`, which the test has made, and counts it in the state, so that a test sees both.

import { setTimeout as sleep } from "node:timers/promises";
import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { command, commit, defineCluster, RingsideError, type CommitTx } from "../../src/index.ts";

export const ENTRY_TABLE = "CREATE TABLE public.entry (key text PRIMARY KEY, room text NOT NULL)";

/** What a command is to do beside its entry. */
export type Way =
  | "plain"
  /** The state is half changed while Postgres takes its time. */
  | "halves"
  /** The state outgrows what a checkpoint may hold. */
  | "huge"
  /** Its statement is one that Postgres refuses. */
  | "bad-sql"
  /** It touches no row where one is asked for. */
  | "no-row"
  | "throws";

interface Entry {
  readonly key: string;
  readonly way: Way;
}

/** How a commit went that nobody asked for by a command. */
export interface Went {
  readonly key: string;
  /** "ok", or the error's code. */
  readonly as: string;
  readonly why: string;
  readonly tookMs: number;
}

interface CommitOptions {
  /** The key of the entry that is made when the last player leaves, and of the one when the room ends. */
  readonly onLeave?: string;
  readonly onDispose?: string;
  /** The same, but the hook ends before it does. */
  readonly afterDispose?: string;
  /** The keys of the entries that a leave makes one after the other, slowly: longer than a move takes. */
  readonly slowLeave?: readonly string[];
}

const CommitState = schema(
  {
    tick: t.uint32().default(0),
    /** Two halves of a change, which belong together. */
    begun: t.uint32().default(0),
    done: t.uint32().default(0),
    ballast: t.string().default(""),
  },
  "CommitState",
);

export class CommitRoom extends Room<{ state: InstanceType<typeof CommitState> }> {
  override state = new CommitState();
  #options: CommitOptions = {};
  /** Keys to be entered by the next tick. */
  #onTick: string[] = [];
  readonly #went: Went[] = [];

  override messages: {
    enter(client: Client, message: unknown): Promise<number>;
    later(client: Client, message: { key: string; from: "timer" | "tick" }): void;
    plain(client: Client, message: unknown): Promise<number>;
    forget(client: Client, way: Way): void;
    went(): readonly Went[];
    pid(): number;
  } = {
    enter: command(this, parse, (_client, entry, tx) => this.#enter(entry, tx)),
    /** No command, and no catch: what the commit is refused with goes to the player as it is. */
    plain: (_client: Client, message: unknown): Promise<number> =>
      commit(this, (tx) => this.#enter(parse(message), tx)),
    /** Enters from a clock timer, or from a tick; what comes of it is told by `went`. */
    later: (_client: Client, { key, from }: { key: string; from: "timer" | "tick" }): void => {
      if (from === "tick") this.#onTick.push(key);
      else this.clock.setTimeout(() => void this.#attempt({ key, way: "plain" }), 10);
    },
    /** Does not wait for what it begins, as an author may forget to. */
    forget: (_client: Client, way: Way): void => {
      // oxlint-disable-next-line typescript/no-floating-promises -- that is what this is about
      commit(this, (tx) => void this.#enter({ key: `forgotten-${way}`, way }, tx));
    },
    went: (): readonly Went[] => this.#went,
    pid: (): number => process.pid,
  };

  override onCreate(options: CommitOptions): void {
    this.#options = options;
    this.setTimestep(() => {
      this.state.tick += 1;
      for (const key of this.#onTick.splice(0)) void this.#attempt({ key, way: "plain" });
    }, 20);
  }

  override onDrop(client: Client): void {
    this.allowReconnection(client, 60).catch(() => undefined); // onLeave follows
  }

  override async onLeave(): Promise<void> {
    const { onLeave, slowLeave = [] } = this.#options;
    if (onLeave !== undefined) await commit(this, (tx) => this.#enter({ key: onLeave, way: "plain" }, tx));
    for (const key of slowLeave) {
      await commit(this, (tx) => this.#enter({ key, way: "plain" }, tx));
      await sleep(300);
    }
  }

  override async onDispose(): Promise<void> {
    const { onDispose: key, afterDispose } = this.#options;
    if (afterDispose !== undefined) void this.#attempt({ key: afterDispose, way: "halves" });
    if (key !== undefined) await commit(this, (tx) => this.#enter({ key, way: "plain" }, tx));
  }

  /** @returns how many entries there are */
  #enter({ key, way }: Entry, tx: CommitTx): number | Promise<number> {
    this.state.begun += 1;
    tx.undo(() => (this.state.begun -= 1));
    tx.run("INSERT INTO entry (key, room) VALUES ($1, $2)", [key, this.roomId]);
    if (way === "huge") {
      this.state.ballast = Array.from({ length: 30_000 }, () => Math.random().toString(36)).join();
      tx.undo(() => (this.state.ballast = ""));
    }
    if (way === "bad-sql") tx.run("INSERT INTO secret_table VALUES ($1)", [key]);
    if (way === "no-row") tx.run("UPDATE entry SET room = 'x' WHERE key = 'nobody'", [], { rows: 1 });
    if (way === "throws") throw new TypeError("the rules say no");
    const finish = (): number => {
      this.state.done += 1;
      tx.undo(() => (this.state.done -= 1));
      return this.state.done;
    };
    return way === "halves" ? tx.query("SELECT pg_sleep(0.3)").then(finish) : finish();
  }

  async #attempt(entry: Entry): Promise<void> {
    const startedMs = performance.now();
    let [as, why] = ["ok", ""];
    try {
      await commit(this, (tx) => this.#enter(entry, tx));
    } catch (error) {
      as = error instanceof RingsideError ? error.code : "?";
      why = String(error);
    }
    this.#went.push({ key: entry.key, as, why, tookMs: performance.now() - startedMs });
  }
}

function parse(message: unknown): Entry {
  const { key, way = "plain" } = message as Partial<Entry> & { key: string };
  return { key, way };
}

export default defineCluster({ rooms: { commits: defineRoom(CommitRoom) } });
