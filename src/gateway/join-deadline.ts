// Who was told of their seat has to say that they have heard it: the SDK does at once. Until then a room gathers for them what
// it says, and a seat is taken by nobody. Who does not in time loses their connection, and, if it was a first join, the seat.

import type { Clock } from "../runtime/clock.ts";

export class JoinDeadline {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #onOver: () => void;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ms: number, onOver: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#onOver = onOver;
  }

  /** Whether an acknowledgement is waited for. */
  get isRunning(): boolean {
    return this.#cancel !== undefined;
  }

  /** The player is being told of their seat. */
  start(): void {
    this.stop();
    this.#cancel = this.#clock.after(this.#ms, () => {
      // After a pause of this process the timers come first; what has come in meanwhile comes next.
      setImmediate(() => {
        if (this.#cancel === undefined) return;
        this.#cancel = undefined;
        this.#onOver();
      });
    });
  }

  /** It has come, or nobody waits for it any more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
