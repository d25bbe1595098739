// Whether the stock SDK would come back by itself if a player's connection broke now. It does so only to a room that its page
// has been in for a while: whoever closes a connection on purpose waits for that, or the player is lost to the room.

import type { Clock } from "../runtime/clock.ts";

/** The SDK's `room.reconnection.minUptime`. */
const MIN_UPTIME_MS = 5_000;

export class SdkUptime {
  readonly #clock: Clock;
  readonly #isRetry: boolean;
  #acknowledgedAtMs: number | undefined;

  /** @param isRetry the SDK has come back by itself, and will again; otherwise the page has just asked for the room */
  constructor(clock: Clock, isRetry: boolean) {
    this.#clock = clock;
    this.#isRetry = isRetry;
  }

  /** Whether the player has said that they have heard of their seat. */
  get hasAcknowledged(): boolean {
    return this.#acknowledgedAtMs !== undefined;
  }

  /** The player says that they have heard of their seat. The SDK counts from when it heard, which was before. */
  acknowledged(): void {
    this.#acknowledgedAtMs ??= this.#clock.monotonicMs();
  }

  /** How long until it would come back. */
  get shortByMs(): number {
    if (this.#isRetry) return 0;
    if (this.#acknowledgedAtMs === undefined) return MIN_UPTIME_MS;
    return Math.max(0, this.#acknowledgedAtMs + MIN_UPTIME_MS - this.#clock.monotonicMs());
  }

  /** Calls `close` as soon as it would: now, most often. */
  whenLong(close: () => void): void {
    const waitMs = this.shortByMs;
    if (waitMs === 0) close();
    else this.#clock.after(waitMs, close);
  }
}
