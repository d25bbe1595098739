// The lease: how long this node may keep acting as an owner without hearing from Postgres.
//
// Safety of what is stored does not rest here: a stale owner's writes are refused by epoch in the statements
// themselves (OWN2). The lease makes a stale owner notice, so that players are not shown a world that will be thrown
// away (OWN4). It is compared at each use, never watched by a timer: a process can be frozen between any two lines, and
// what runs first after it thaws may be a patch.

import type { Clock } from "../runtime/clock.ts";

export class Lease {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #marginMs: number;
  #deadlineMs = Number.NEGATIVE_INFINITY;
  #revoked = false;

  /** @param marginMs how much earlier than Postgres this node believes the lease to be over */
  constructor(clock: Clock, leaseMs: number, marginMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#marginMs = marginMs;
  }

  /** Whether this node may act and speak for its rooms, right now. */
  get isHeld(): boolean {
    return !this.#revoked && this.#clock.monotonicMs() < this.#deadlineMs;
  }

  /** How long it may go on, in ms; 0 when it may not. */
  get leftMs(): number {
    return this.#revoked ? 0 : Math.max(0, this.#deadlineMs - this.#clock.monotonicMs());
  }

  /**
   * Postgres renewed the lease.
   *
   * @param askedAtMs monotonic ms from *before* the renewal was sent: Postgres counts from when it got there, which is
   * later, so this node stops first
   * @param doPromisesEnd whether what peers have promised counts no more, although it may reach further
   */
  renewed(askedAtMs: number, doPromisesEnd = false): void {
    const deadlineMs = this.#from(askedAtMs);
    this.#deadlineMs = doPromisesEnd ? deadlineMs : Math.max(this.#deadlineMs, deadlineMs);
  }

  /**
   * Every peer has promised to leave this node alone for one more lease (membership/standing.ts). A lease that is over stays
   * over.
   *
   * @param askedAtMs monotonic ms from before the first of them was asked
   * @param untilMs when this node stops whatever its peers say
   */
  extended(askedAtMs: number, untilMs: number): void {
    if (this.isHeld) this.#deadlineMs = Math.max(this.#deadlineMs, Math.min(untilMs, this.#from(askedAtMs)));
  }

  /** This incarnation was marked down, or has left. It never holds the lease again. */
  revoke(): void {
    this.#revoked = true;
  }

  #from(askedAtMs: number): number {
    return askedAtMs + this.#leaseMs - this.#marginMs;
  }
}
