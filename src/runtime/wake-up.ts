// Waits that end after a time, or all together when something has happened. Whose wait is over is forgotten: a promise of what
// happens once in weeks would remember everybody who ever waited for it beside something else.

import type { Clock } from "./clock.ts";

export class WakeUp {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves after `ms`, a millisecond at least, or when all are woken. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const goOn = (): void => {
        this.#waiting.delete(goOn);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(Math.max(1, ms), goOn);
      this.#waiting.add(goOn);
    });
  }

  wakeAll(): void {
    for (const goOn of this.#waiting) goOn();
  }
}
