// The heartbeat: renews this node's lease and learns, in the same statement, which nodes count.
//
// Facts in, calls out: a new view goes to `onView`, a lease that is gone for good to `onFenced`. Marking others down for
// their silence is also done here, because only who hears from Postgres itself may judge (see `mayJudge`).

import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Incarnation, NodeId } from "../ids.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { markDown } from "./mark-down.ts";
import { EMPTY_VIEW, isSameView, memberOf, type Member, type View } from "./view.ts";

interface NodeRow {
  incarnation: Incarnation;
  node_id: NodeId;
  process_id: string;
  host: string;
  public_port: number;
  internal_port: number;
  management_port: number;
  state: "up" | "draining";
  lease_left_ms: number;
  silent_ms: number;
  renewed: boolean;
  view_version: number;
}

export interface HeartbeatParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  /** On a connection of its own: a renewal must not wait behind a batch of checkpoints. */
  readonly database: Database;
  readonly lease: Lease;
  readonly incarnation: Incarnation;
  readonly onView: (view: View, before: View) => void;
  /** The lease lapsed and is back, nobody having taken the rooms: they may go on. */
  readonly onResumed: () => void;
  /** How many rooms are here, for the events. */
  readonly roomCount: () => number;
  /** This incarnation was marked down by others. Called once; nothing may be said or written after it. */
  readonly onFenced: (why: string) => void;
}

export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #stopping = new AbortController();
  #view: View = EMPTY_VIEW;
  #answeredSinceMs: number | undefined;
  #lostAtMs: number | undefined;
  #lapsedAtMs: number | undefined;
  #isHurried = false;
  #wake = (): void => {};
  #loop: Promise<void> | undefined;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  get view(): View {
    return this.#view;
  }

  /** Renews once, then goes on by itself. @throws when Postgres does not answer the first time */
  async start(): Promise<void> {
    await this.#beat();
    this.#loop = this.#run();
  }

  /** Beats at once, because something changed. Calls that come while a beat is under way cause one more after it. */
  hurry(): void {
    this.#isHurried = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.hurry();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { config, clock } = this.#parts;
    while (!this.#stopping.signal.aborted) {
      if (!this.#isHurried) await this.#pause(clock, config.leaseRenewMs);
      this.#isHurried = false;
      if (this.#stopping.signal.aborted) return;
      await this.#beat().catch((error: unknown) => this.#missed(error));
    }
  }

  async #pause(clock: Clock, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const cancel = clock.after(ms, resolve);
    await promise;
    cancel();
  }

  async #beat(): Promise<void> {
    const { clock, config, database, lease, incarnation, events } = this.#parts;
    const askedAtMs = clock.monotonicMs();
    this.#noticeLapse();
    const rows = await database.run<NodeRow>("renew-lease", [incarnation, config.leaseMs]);
    if (this.#stopping.signal.aborted) return;
    const first = rows[0];
    if (first?.renewed !== true) {
      this.#stopping.abort();
      this.#parts.onFenced("this incarnation was marked down by another node");
      return;
    }
    if (this.#lostAtMs !== undefined) {
      events.emit("postgres:regained", { awayMs: Math.round(clock.monotonicMs() - this.#lostAtMs) });
      this.#lostAtMs = undefined;
    }
    this.#answeredSinceMs ??= askedAtMs;
    this.#noticeLapse();
    lease.renewed(askedAtMs);
    if (this.#lapsedAtMs !== undefined && lease.isHeld) {
      events.emit("lease:regained", {
        incarnation,
        lapsedMs: Math.round(clock.monotonicMs() - this.#lapsedAtMs),
      });
      this.#lapsedAtMs = undefined;
      // Whoever stopped us may have stopped the others too: they get the time to renew before they are judged.
      this.#answeredSinceMs = askedAtMs;
      this.#parts.onResumed();
    }
    this.#take({ version: first.view_version, members: rows.map(toMember) });
    await this.#judge(rows);
  }

  /** The lease itself is compared at each use; this only tells operators, and remembers that the rooms stood still. */
  #noticeLapse(): void {
    const { clock, events, incarnation, lease, roomCount } = this.#parts;
    if (lease.isHeld || this.#lapsedAtMs !== undefined || this.#view === EMPTY_VIEW) return;
    this.#lapsedAtMs = clock.monotonicMs();
    events.emit("lease:lapsed", { incarnation, rooms: roomCount() });
  }

  #missed(error: unknown): void {
    const { clock, events } = this.#parts;
    this.#noticeLapse();
    this.#answeredSinceMs = undefined;
    if (this.#lostAtMs !== undefined) return;
    this.#lostAtMs = clock.monotonicMs();
    events.emit("postgres:lost", { error: messageOf(error) });
  }

  #take(view: View): void {
    const before = this.#view;
    if (isSameView(before, view)) return;
    this.#view = view;
    this.#parts.events.emit("view:changed", {
      version: view.version,
      nodes: view.members.map((member) => member.nodeId),
    });
    this.#parts.onView(view, before);
  }

  /** Marks down whose lease has lapsed. */
  async #judge(rows: readonly NodeRow[]): Promise<void> {
    const { clock, config, incarnation } = this.#parts;
    const silent = rows.filter((row) => row.incarnation !== incarnation && row.lease_left_ms < 0);
    if (silent.length === 0) return;
    if (!mayJudge(this.#answeredSinceMs, clock.monotonicMs(), config.leaseMs)) return;
    let isAnyMarked = false;
    for (const row of silent) {
      if (await markDown(this.#parts, row.incarnation, "lapsed")) isAnyMarked = true;
    }
    // If Postgres did not agree, the next beat is soon enough to ask again.
    if (isAnyMarked) this.hurry();
  }

  /** The member with this incarnation in the newest view. */
  member(incarnation: Incarnation): Member | undefined {
    return memberOf(this.#view, incarnation);
  }
}

/**
 * Whether a node may call others silent: only once it has itself seen Postgres answer for a full lease. When Postgres
 * was away for everyone, everyone's lease has lapsed, and each must first have the time to renew.
 */
export function mayJudge(answeredSinceMs: number | undefined, nowMs: number, leaseMs: number): boolean {
  return answeredSinceMs !== undefined && nowMs - answeredSinceMs >= leaseMs;
}

function toMember(row: NodeRow): Member {
  return {
    nodeId: row.node_id,
    incarnation: row.incarnation,
    processId: row.process_id,
    host: row.host,
    publicPort: row.public_port,
    internalPort: row.internal_port,
    managementPort: row.management_port,
    state: row.state,
  };
}
