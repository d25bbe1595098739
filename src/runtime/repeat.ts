// A periodic task: one run at a time, a failed run is reported and the loop goes on, an abort wakes it at once.

import type { Clock } from "./clock.ts";

/**
 * Runs `work` every `everyMs`, counted from the end of the run before.
 *
 * @returns when the loop has ended, which is after the abort and after the run then under way
 */
export async function repeat(
  clock: Clock,
  everyMs: number,
  signal: AbortSignal,
  work: () => Promise<void> | void,
  onError: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await work();
    } catch (error) {
      onError(error);
    }
    try {
      await clock.sleep(everyMs, signal);
    } catch {
      return; // sleep rejects only when the signal aborts
    }
  }
}
