// Pieces of work that hold the event loop, one after the other: a slice of time goes to them, then whatever else is due
// (the ticks of the rooms here, above all) has its turn, then the next slice. A single long piece cannot be divided here.

import type { Clock } from "./clock.ts";

export class Turns {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;

  /** @param sliceMs how long the pieces may hold the event loop, all in all, before others have their turn */
  constructor(clock: Clock, sliceMs: number) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
  }

  /** Runs `piece` when its turn has come, in the order of the calls. Rejects with what it throws. */
  run<Result>(piece: () => Result | Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(piece());
        } catch (error) {
          reject(error);
        }
      });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const endsMs = this.#clock.monotonicMs() + this.#sliceMs;
      do this.#waiting.shift()?.();
      while (this.#waiting.length > 0 && this.#clock.monotonicMs() < endsMs);
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}
