// The event log: the turning points that operators ask about later, appended to Postgres. Never in anybody's way: events
// wait in a bounded queue, and while Postgres is away for long the oldest are dropped.

import { messageOf } from "../errors.ts";
import type { EventBus, EventName } from "../events.ts";
import type { NodeId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";

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
const WRITE_EVERY_MS = 100;

interface Entry {
  readonly atMs: number;
  readonly name: EventName;
  readonly facts: Readonly<Record<string, unknown>>;
}

export class EventLog {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #nodeId: NodeId;
  readonly #stopping = new AbortController();
  readonly #unlisten: () => void;
  #waiting: Entry[] = [];
  #loop: Promise<void> | undefined;

  constructor(database: Database, clock: Clock, events: EventBus, nodeId: NodeId) {
    this.#database = database;
    this.#clock = clock;
    this.#nodeId = nodeId;
    this.#unlisten = events.listen((name, facts) => {
      if (!KEPT.has(name)) return;
      this.#waiting.push({ atMs: clock.nowMs(), name, facts: facts as Record<string, unknown> });
      if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    });
  }

  start(onError: (error: string) => void): void {
    const work = (): Promise<void> => this.#write();
    this.#loop = repeat(this.#clock, WRITE_EVERY_MS, this.#stopping.signal, work, (error) =>
      onError(messageOf(error)),
    );
  }

  /** Writes what waits, if Postgres takes it, and stops. */
  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopping.abort();
    await this.#loop;
    await this.#write().catch(() => {}); // Postgres may be what we are leaving because of
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
