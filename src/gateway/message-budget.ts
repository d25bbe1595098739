// How much a player may say in a second. Counted at the gateway, where the socket ends, so that a room's owner does not pay for
// what is too much: a message, a ping and a pong each count as one.
//
// Saying something costs a decrement and a compare; the clock is read only when what was granted is used up. What was not
// said for a while may be said at once, up to the burst, so that a line that stalled does not make its player a flooder.

import type { Clock } from "../runtime/clock.ts";

/** For how many seconds' worth a player of the default may be silent, and say it all at once. */
const BURST_S = 4;

export class MessageBudget {
  readonly #clock: Clock;
  readonly #defaultPerSecond: number;
  #perSecond: number;
  #burst: number;
  #left: number;
  #grantedAtMs: number;

  /** @param perSecond what holds where the room says nothing */
  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#defaultPerSecond = perSecond;
    this.#perSecond = perSecond;
    this.#burst = perSecond * BURST_S;
    this.#left = this.#burst;
    this.#grantedAtMs = clock.monotonicMs();
  }

  /** The room's own `maxMessagesPerSecond`, which wins in both directions; undefined where it has none. */
  follow(perSecond: number | undefined): void {
    const next = perSecond ?? this.#defaultPerSecond;
    if (next === this.#perSecond) return;
    this.#perSecond = next;
    // What an author has set is meant as it stands: so many at once, and so many a second.
    this.#burst = perSecond === undefined ? next * BURST_S : next;
    this.#left = this.#burst;
    this.#grantedAtMs = this.#clock.monotonicMs();
  }

  /** Something was said. @returns whether that was within the budget */
  spend(): boolean {
    if (this.#left > 0) {
      this.#left -= 1;
      return true;
    }
    return this.#grant();
  }

  /** Nothing was read for `ms`, by no doing of the player's: what they have said meanwhile comes at once. */
  wasDeaf(ms: number): void {
    this.#left += Math.ceil((ms * this.#perSecond) / 1_000);
  }

  #grant(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const due = Math.floor(((nowMs - this.#grantedAtMs) * this.#perSecond) / 1_000);
    if (due < 1) return false;
    this.#left = Math.min(due, this.#burst) - 1;
    this.#grantedAtMs = nowMs;
    return true;
  }
}
