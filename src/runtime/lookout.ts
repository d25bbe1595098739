// Looks for what has changed: by itself every so often, and at once when it is told to. One look at a time; what it is told
// while one is under way causes one more after it, however often it was.
//
// For what depends on being told only to be quick: a look that fails is not repeated, because the next comes by itself.

import type { Clock } from "./clock.ts";
import { repeat } from "./repeat.ts";

export class Lookout {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #lookOnce: () => Promise<void>;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(clock: Clock, everyMs: number, lookOnce: () => Promise<void>) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#lookOnce = lookOnce;
  }

  /** From now on it looks by itself; the first time at once. */
  start(): void {
    const look = async (): Promise<void> => {
      this.hurry();
      await this.#look;
    };
    this.#loop = repeat(this.#clock, this.#everyMs, this.#stopping.signal, look, () => {}); // it never fails
  }

  /** Resolves when the look that is under way is over; there will be no other. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#look;
  }

  /** Something may have changed: looks now, or once more when a look is under way. */
  hurry(): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#look !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#look = this.#lookUntilQuiet().finally(() => (this.#look = undefined));
  }

  async #lookUntilQuiet(): Promise<void> {
    do {
      this.#lookAgain = false;
      try {
        await this.#lookOnce();
      } catch {
        return; // Postgres is away, which the heartbeat tells
      }
    } while (this.#lookAgain && !this.#stopping.signal.aborted);
  }
}
