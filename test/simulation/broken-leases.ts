// Leases that break the rules of src/ownership/lease.ts, one each.

import { Lease } from "../../src/ownership/lease.ts";
import type { Clock } from "../../src/runtime/clock.ts";

/** It ends when a timer says so; a node that was frozen has it until that timer has run. */
export class TimerLease extends Lease {
  readonly #after: Clock["after"];
  #isHeld = false;
  #isRevoked = false;
  #cancel = (): void => {};

  constructor(clock: Clock, leaseMs: number, marginMs: number) {
    super(clock, leaseMs, marginMs);
    this.#after = clock.after.bind(clock);
  }

  override get isHeld(): boolean {
    return this.#isHeld && !this.#isRevoked;
  }

  override renewed(askedAtMs: number): void {
    super.renewed(askedAtMs);
    this.#wind();
  }

  override extended(askedAtMs: number, untilMs: number): void {
    super.extended(askedAtMs, untilMs);
    this.#wind();
  }

  override revoke(): void {
    super.revoke();
    this.#isRevoked = true;
  }

  #wind(): void {
    this.#cancel();
    this.#isHeld = true;
    this.#cancel = this.#after(this.leftMs, () => (this.#isHeld = false));
  }
}

/** It counts from when Postgres's answer came, and not from when it was asked. */
export class LeaseFromAnswer extends Lease {
  readonly #clock: Clock;

  constructor(clock: Clock, leaseMs: number, marginMs: number) {
    super(clock, leaseMs, marginMs);
    this.#clock = clock;
  }

  override renewed(): void {
    super.renewed(this.#clock.monotonicMs());
  }
}

/** What was promised counts on when Postgres names somebody who has promised nothing. */
export class LeaseOfSome extends Lease {
  override renewed(askedAtMs: number): void {
    super.renewed(askedAtMs);
  }
}

/** Promises extend it for as long as there are any. */
export class LeaseWithoutEnd extends Lease {
  override extended(askedAtMs: number): void {
    this.renewed(askedAtMs);
  }
}
