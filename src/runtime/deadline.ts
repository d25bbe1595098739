// A bound on waiting for something that might never answer.

import type { Clock } from "./clock.ts";

/**
 * The outcome of `work`, or a rejection with what `late` makes when it took longer than `ms`.
 * The work itself is not stopped; its late failure is swallowed, because the caller was already told.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  work: Promise<T>,
  late: () => Error,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(late()));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error as Error);
      },
    );
  });
}
