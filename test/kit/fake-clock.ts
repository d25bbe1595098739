// A clock that moves when it is told to. What falls due on the way runs, in order.

import type { Clock } from "../../src/runtime/clock.ts";

export interface FakeClock extends Clock {
  advance(ms: number): void;
}

export function fakeClock(startMs = 1_000): FakeClock {
  let nowMs = startMs;
  let timers: { readonly dueMs: number; readonly work: () => void }[] = [];
  const after = (ms: number, work: () => void): (() => void) => {
    const timer = { dueMs: nowMs + ms, work };
    timers.push(timer);
    return () => void (timers = timers.filter((other) => other !== timer));
  };
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(signal.reason as Error);
          return;
        }
        const cancel = after(ms, resolve);
        signal?.addEventListener("abort", () => {
          cancel();
          reject(signal.reason as Error);
        });
      }),
    advance(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        const next = timers.filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
        if (next === undefined) break;
        timers = timers.filter((timer) => timer !== next);
        nowMs = next.dueMs;
        next.work();
      }
      nowMs = endMs;
    },
  };
}
