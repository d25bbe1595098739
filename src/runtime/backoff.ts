/**
 * How long to wait before the next attempt: doubles from `firstMs` up to `mostMs`, with up to half of it taken off at
 * random, so that those who failed together do not come back together.
 *
 * @param failures how many attempts have failed so far, from 1
 */
export function backoffMs(failures: number, firstMs: number, mostMs: number, random = Math.random): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return full * (1 - random() / 2);
}
