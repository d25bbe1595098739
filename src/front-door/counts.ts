// What the front door has refused, by reason: for the metrics, and now and then for the log. A flood must not become a flood
// of lines, so each reason is told at most once a minute, with how often it was.

import type { EventBus } from "../events.ts";
import type { Clock } from "../runtime/clock.ts";

/** A handful of names: they are labels of a metric. */
export const REASONS = [
  "address-connections",
  "address-joins",
  "address-requests",
  "address-rooms",
  "address-seats",
  "address-sign-ins",
  "address-upgrades",
  "all-connections",
  "all-rooms",
  "body",
  "malformed",
  "not-in-time",
  "origin",
  "panel",
  "queue",
  "slow",
  "user-joins",
  "user-rooms",
  "user-seats",
  "user-upgrades",
] as const;
export type Reason = (typeof REASONS)[number];

const TELL_EVERY_MS = 60_000;

export class DoorCounts {
  readonly #clock: Clock;
  readonly #events: EventBus;
  readonly #total = new Map<Reason, number>();
  readonly #told = new Map<Reason, { readonly atMs: number; readonly total: number }>();

  constructor(clock: Clock, events: EventBus) {
    this.#clock = clock;
    this.#events = events;
  }

  refused(why: Reason): void {
    const total = (this.#total.get(why) ?? 0) + 1;
    this.#total.set(why, total);
    const told = this.#told.get(why);
    const nowMs = this.#clock.monotonicMs();
    if (told !== undefined && nowMs - told.atMs < TELL_EVERY_MS) return;
    this.#told.set(why, { atMs: nowMs, total });
    this.#events.emit("door:refused", { why, times: total - (told?.total ?? 0) });
  }

  /** How many so far, of each reason. */
  get totals(): ReadonlyMap<Reason, number> {
    return this.#total;
  }
}
