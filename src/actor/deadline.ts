// A wait with an end.

import type { Clock } from "../runtime/clock.ts";

/**
 * What `work` comes to, if it does so in time; it is not stopped otherwise, only not waited for.
 *
 * @throws `late()` after `ms`
 */
export async function within<Result>(
  clock: Clock,
  ms: number,
  work: Promise<Result>,
  late: () => Error,
): Promise<Result> {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(ms, () => reject(late()));
  try {
    return await Promise.race([work, end]);
  } finally {
    cancel();
  }
}
