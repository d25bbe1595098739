// The event log: the turning points that operators ask about later, appended to Postgres. Never in anybody's way: events
// wait in a bounded queue, and while Postgres is away for long the oldest are dropped.

import { messageOf } from "../errors.ts";
import type { EventBus, EventName } from "../events.ts";
import type { NodeId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";

const KEPT: ReadonlySet<EventName> = new Set<EventName>([
  "node:ready",
  "node:lost",
  "node:fenced",
  "node:drained",
  "lease:lapsed",
  "lease:regained",
  "failsafe:denied",
  "failsafe:left",
  "room:created",
  "room:restored",
  "room:settled",
  "room:moved",
  "room:disposed",
  "room:unreadable",
  "room:quarantined",
  "seat:lapsed",
  "postgres:regained",
  "redis:regained",
]);

const WAITING_MAX = 5_000;
/** How long what has happened waits for what happens next, to be written with it. */
const GATHER_MS = 100;

interface Entry {
  readonly atMs: number;
  readonly name: EventName;
  readonly facts: Readonly<Record<string, unknown>>;
}

export class EventLog {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #nodeId: NodeId;
  readonly #onError: (error: string) => void;
  readonly #unlisten: () => void;
  #waiting: Entry[] = [];
  /** Whether a write is to come, or under way: a node to which nothing happens does nothing for it. */
  #isDue = false;
  #cancel = (): void => {};
  #writing: Promise<void> | undefined;
  #isStopping = false;

  constructor(
    database: Database,
    clock: Clock,
    events: EventBus,
    nodeId: NodeId,
    onError: (error: string) => void,
  ) {
    this.#database = database;
    this.#clock = clock;
    this.#nodeId = nodeId;
    this.#onError = onError;
    this.#unlisten = events.listen((name, facts) => {
      if (!KEPT.has(name)) return;
      this.#waiting.push({ atMs: clock.nowMs(), name, facts: facts as Record<string, unknown> });
      if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
      this.#writeSoon();
    });
  }

  /** Writes what waits, if Postgres takes it, and stops. May be called twice. */
  async stop(): Promise<void> {
    this.#unlisten();
    this.#isStopping = true;
    this.#cancel();
    await this.#writing;
    await this.#write().catch(() => {}); // Postgres may be what we are leaving because of
  }

  #writeSoon(): void {
    if (this.#isDue || this.#isStopping) return;
    this.#isDue = true;
    this.#cancel = this.#clock.after(GATHER_MS, () => {
      this.#writing = this.#write()
        .catch((error: unknown) => this.#onError(messageOf(error)))
        .then(() => {
          this.#isDue = false;
          if (this.#waiting.length > 0) this.#writeSoon();
        });
    });
  }

  async #write(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const entries = this.#waiting;
    this.#waiting = [];
    try {
      await this.#database.run("append-events", [
        entries.map((entry) => entry.atMs),
        entries.map((entry) => entry.name),
        entries.map((entry) => entry.facts["roomId"] ?? null),
        entries.map((entry) => entry.facts["epoch"] ?? null),
        entries.map((entry) => JSON.stringify(entry.facts)),
        this.#nodeId,
      ]);
    } catch (error) {
      this.#waiting = [...entries, ...this.#waiting].slice(-WAITING_MAX);
      throw error;
    }
  }
}
