// For what has no event: a condition that is looked at until it holds.

import { systemClock } from "../../src/runtime/clock.ts";

const LOOK_EVERY_MS = 15;

/**
 * Resolves with the first thing `look` finds: anything but undefined or false. What `look` throws counts as not found yet.
 *
 * @param what what is waited for, in words; a function that tells what was seen instead may follow
 * @throws after `ms`
 */
export async function until<Found>(
  what: string,
  look: () => Found | undefined | false | Promise<Found | undefined | false>,
  { ms = 15_000, seen }: { readonly ms?: number; readonly seen?: () => unknown } = {},
): Promise<Found> {
  const endsMs = systemClock.monotonicMs() + ms;
  let failure: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (systemClock.monotonicMs() > endsMs) {
      const instead = seen === undefined ? "" : `; seen instead: ${JSON.stringify(seen())}`;
      throw new Error(
        `not within ${ms} ms: ${what}${instead}`,
        failure === undefined ? {} : { cause: failure },
      );
    }
    await systemClock.sleep(LOOK_EVERY_MS);
  }
}
