// How busy the machine was: how late the run's own timers fired. Nothing that is promised depends on it, but how soon things
// happen does, and whoever reads a verdict wants to know.

import { systemClock } from "../../src/runtime/clock.ts";
import { percentile } from "../load/figures.ts";

const EVERY_MS = 100;

export class Lateness {
  readonly #lateMs: number[] = [];
  readonly #aheadMs = wallAheadMs();
  readonly #stopping = new AbortController();

  constructor() {
    void this.#watch();
  }

  /** By how much somebody has set the machine's clock since the beginning: all logs tell times by it. */
  get clockSetMs(): number {
    return Math.round(Math.abs(wallAheadMs() - this.#aheadMs));
  }

  /** In ms. */
  stop(): { readonly p50: number; readonly p99: number; readonly max: number } {
    this.#stopping.abort();
    const at = (share: number): number => Math.round(percentile(this.#lateMs, share));
    return this.#lateMs.length === 0
      ? { p50: 0, p99: 0, max: 0 }
      : { p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  async #watch(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const startedMs = systemClock.monotonicMs();
      await systemClock.sleep(EVERY_MS);
      this.#lateMs.push(systemClock.monotonicMs() - startedMs - EVERY_MS);
    }
  }
}

function wallAheadMs(): number {
  return systemClock.nowMs() - systemClock.monotonicMs();
}
