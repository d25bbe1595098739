// A process's clock: it starts anywhere, and runs a little faster or slower than Postgres's, which is the world's own.

import type { Clock } from "../../src/runtime/clock.ts";
import type { Kind, Process, World } from "./world.ts";

export interface SimClock extends Clock {
  /** `after`, for what a room's timers do. */
  ticks(ms: number, work: () => void): () => void;
}

/** @param rate ms of this clock for each of the world's */
export function simClock(world: World, process: Process, rate: number): SimClock {
  const startMs = world.chance.between(0, 1_000_000);
  const monotonicMs = (): number => startMs + world.nowMs * rate;
  const later = (kind: Kind, ms: number, work: () => void): (() => void) =>
    // Timers are late by what the event loop was busy with.
    world.after(process, ms / rate + world.chance.next(), kind, work);
  return {
    nowMs: () => 1_800_000_000_000 + world.nowMs,
    monotonicMs,
    after: (ms, work) => later("timer", ms, work),
    ticks: (ms, work) => later("tick", ms, work),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(signal.reason as Error);
          return;
        }
        const cancel = later("timer", ms, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        const onAbort = (): void => {
          cancel();
          reject(signal?.reason as Error);
        };
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
