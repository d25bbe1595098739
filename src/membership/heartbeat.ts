// The heartbeat: renews this node's lease and learns, in the same statement, which nodes count. While Postgres is silent it
// asks the other nodes whether it may go on without.
//
// Facts go to standing.ts, which decides; what it decides is done here. A new view goes to `onView`, a lease that is gone for
// good to `onFenced`.

import type { Config, Role } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Incarnation, NodeId } from "../ids.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import { unreachable } from "../runtime/unreachable.ts";
import { markDown } from "./mark-down.ts";
import type { PeerNetwork, PromiseAnswer } from "./peer-network.ts";
import { endPromises, NEWCOMER, step, type Deed, type Fact } from "./standing.ts";
import { EMPTY_VIEW, isSameView, memberOf, type Member, type View } from "./view.ts";

interface NodeRow {
  incarnation: Incarnation;
  node_id: NodeId;
  process_id: string;
  host: string;
  public_port: number;
  internal_port: number;
  management_port: number;
  roles: readonly Role[];
  state: "up" | "draining";
  lease_left_ms: number;
  silent_ms: number;
  clock_ms: number;
  renewed: boolean;
  view_version: number;
}

export interface HeartbeatParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  /** On a connection of its own: a renewal must not wait behind a batch of checkpoints. */
  readonly leaseDatabase: Database;
  /** For marking others down: a renewal must not wait behind that either. */
  readonly database: Database;
  readonly lease: Lease;
  readonly incarnation: Incarnation;
  readonly network: PeerNetwork;
  /** Decides; `step` of standing.ts if not given. */
  readonly decide?: typeof step;
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
  #standing = NEWCOMER;
  #lostAtMs: number | undefined;
  #lapsedAtMs: number | undefined;
  /** Since when this node has gone on without Postgres, and whether it was told that it may not. */
  #withoutSinceMs: number | undefined;
  #wasDenied = false;
  #isHurried = false;
  #wake = (): void => {};
  #loops: Promise<unknown> | undefined;
  #judging: Promise<void> = Promise.resolve();

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  get view(): View {
    return this.#view;
  }

  /** For how long Postgres has not answered, in ms; undefined while it does. */
  get postgresAwayMs(): number | undefined {
    if (this.#lostAtMs === undefined) return undefined;
    return Math.round(this.#parts.clock.monotonicMs() - (this.#standing.answered?.atMs ?? this.#lostAtMs));
  }

  /** Renews once, then goes on by itself. @throws when Postgres does not answer the first time */
  async start(): Promise<void> {
    await this.#beat();
    const { clock, config } = this.#parts;
    const everyMs = config.leaseRenewMs / 2;
    const look = (): Promise<void> => this.#look();
    this.#loops = Promise.all([
      this.#run(),
      repeat(clock, everyMs, this.#stopping.signal, look, () => {}), // it never fails
    ]);
  }

  /** Another node has linked to this one: it has this one in its view. */
  linkedBy(incarnation: Incarnation): void {
    this.#decide({ name: "linked", by: incarnation, atMs: this.#parts.clock.monotonicMs() });
  }

  /** Another node cannot renew its lease, and asks not to be called silent for `forMs`. */
  promise(by: Incarnation, forMs: number): PromiseAnswer {
    const deeds = this.#decide({ name: "promise-asked", by, forMs, atMs: this.#parts.clock.monotonicMs() });
    for (const deed of deeds) if (deed.name === "answer") return deed.answer;
    return { kind: "refused", why: "it did not say" };
  }

  /** Beats at once, because something changed. Calls that come while a beat is under way cause one more after it. */
  hurry(): void {
    this.#isHurried = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.hurry();
    await this.#loops;
    await this.#judging;
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
    const { clock, config, leaseDatabase, lease, incarnation, events } = this.#parts;
    const askedAtMs = clock.monotonicMs();
    this.#noticeLapse();
    this.#decide({ name: "beat-sent", atMs: askedAtMs });
    const rows = await leaseDatabase.run<NodeRow>("renew-lease", [incarnation, config.leaseMs]);
    if (this.#stopping.signal.aborted) return;
    const first = rows[0];
    if (first?.renewed !== true) {
      this.#end("Postgres says so");
      return;
    }
    const atMs = clock.monotonicMs();
    if (this.#lostAtMs !== undefined) {
      events.emit("postgres:regained", { awayMs: Math.round(atMs - this.#lostAtMs) });
      this.#lostAtMs = undefined;
    }
    this.#noticeLapse();
    const others = rows.filter((row) => row.incarnation !== incarnation);
    lease.renewed(
      askedAtMs,
      endPromises(
        this.#standing,
        others.map((row) => row.incarnation),
      ),
    );
    this.#endFailsafe(atMs);
    const wasLapsed = this.#lapsedAtMs !== undefined;
    if (this.#lapsedAtMs !== undefined && lease.isHeld) {
      events.emit("lease:regained", { incarnation, lapsedMs: Math.round(atMs - this.#lapsedAtMs) });
      this.#lapsedAtMs = undefined;
      this.#parts.onResumed();
    }
    const deeds = this.#decide({
      name: "beat-answered",
      askedAtMs,
      atMs,
      clockMs: first.clock_ms,
      rows: others.map((row) => ({
        incarnation: row.incarnation,
        leaseLeftMs: row.lease_left_ms,
        silentMs: row.silent_ms,
      })),
      wasLapsed,
    });
    this.#take({ version: first.view_version, members: rows.map(toMember) });
    // Beside the beats: when many are silent and Postgres is slow, this node's own lease must not end meanwhile.
    for (const deed of deeds) this.#judging = this.#judging.then(() => this.#do(deed)).catch(() => {});
  }

  /** Sees whether the lease will be over before Postgres answers, and asks the others then. */
  async #look(): Promise<void> {
    const { clock, lease } = this.#parts;
    const deeds = this.#decide({ name: "looked", atMs: clock.monotonicMs(), leaseLeftMs: lease.leftMs });
    for (const deed of deeds) await this.#do(deed);
  }

  /** @param forMs 0 to ask only whether this node still counts */
  async #askPeers(forMs: number): Promise<void> {
    const { clock, config, incarnation, lease, network } = this.#parts;
    const askedAtMs = clock.monotonicMs();
    // No longer than the lease holds, and so that there is time to ask again.
    const late = new AbortController();
    const waitMs = forMs === 0 ? config.leaseRenewMs : Math.min(config.leaseRenewMs, lease.leftMs);
    const cancel = clock.after(waitMs, () => late.abort());
    const peers = this.#view.members.filter((member) => member.incarnation !== incarnation);
    const answers = await Promise.all(
      peers.map((peer) => network.askPromise(peer, incarnation, forMs, late.signal)),
    );
    cancel();
    if (this.#stopping.signal.aborted) return;
    const deeds = this.#decide({ name: "peers-answered", askedAtMs, leaseLeftMs: lease.leftMs, answers });
    for (const deed of deeds) await this.#do(deed);
  }

  #decide(fact: Fact): readonly Deed[] {
    const { config, decide = step } = this.#parts;
    const { standing, deeds } = decide(this.#standing, fact, config);
    this.#standing = standing;
    return deeds;
  }

  async #do(deed: Deed): Promise<void> {
    const { clock, events, incarnation, lease, roomCount } = this.#parts;
    switch (deed.name) {
      case "mark-down":
        return this.#markDown(deed.incarnation, deed.notAfterMs);
      case "ask-peers":
        return this.#askPeers(deed.forMs);
      case "go-on":
        lease.extended(deed.askedAtMs, deed.untilMs);
        this.#wasDenied = false;
        if (this.#withoutSinceMs !== undefined) return;
        this.#withoutSinceMs = clock.monotonicMs();
        events.emit("failsafe:entered", { incarnation, rooms: roomCount() });
        return;
      case "give-up":
        // It is asked again as long as the lease holds, and told once.
        if (!this.#wasDenied) events.emit("failsafe:denied", { incarnation, why: deed.why });
        this.#wasDenied = true;
        return;
      case "end":
        this.#end(deed.why);
        return;
      case "answer":
        return; // to whom has asked: see `promise`
      default:
        unreachable(deed);
    }
  }

  async #markDown(incarnation: Incarnation, notAfterMs: number): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    // If Postgres did not agree, the next beat is soon enough to ask again. If it did not answer, it may yet have agreed.
    if (await markDown(this.#parts, incarnation, "lapsed", notAfterMs)) this.hurry();
    else this.#decide({ name: "mark-declined", incarnation });
  }

  #end(why: string): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#parts.onFenced(`this incarnation was marked down by another node: ${why}`);
  }

  #endFailsafe(nowMs: number): void {
    const { events, incarnation } = this.#parts;
    this.#wasDenied = false;
    if (this.#withoutSinceMs === undefined) return;
    events.emit("failsafe:left", { incarnation, withoutMs: Math.round(nowMs - this.#withoutSinceMs) });
    this.#withoutSinceMs = undefined;
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
    this.#decide({ name: "beat-missed" });
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

  /** The member with this incarnation in the newest view. */
  member(incarnation: Incarnation): Member | undefined {
    return memberOf(this.#view, incarnation);
  }
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
    roles: row.roles,
  };
}
