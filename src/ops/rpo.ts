// What a crash would lose now (CKP6), of one room and summed up over many: the recovery point of this very moment.
//
// A measurement, not a promise: it says how long ago the oldest change was made that no checkpoint holds. Nothing
// decides by it.

/** What the rooms of a node, or of the cluster, would lose now. */
export interface Rpo {
  readonly oldestMs: number;
  /** 99 of 100 rooms would lose at most this. */
  readonly p99Ms: number;
}

/** Since when a room has changes that Postgres does not have, by the monotonic clock; undefined where it has none. */
export interface AtRisk {
  readonly unsavedSinceMs: number | undefined;
  /** Those that are on their way to Postgres. They are older than what has come since. */
  readonly savingSinceMs: number | undefined;
}

/** The age of a room's oldest unsaved change, at least 1; 0 when nothing is unsaved. */
export function rpoMs({ unsavedSinceMs, savingSinceMs }: AtRisk, nowMs: number): number {
  const sinceMs = savingSinceMs ?? unsavedSinceMs;
  return sinceMs === undefined ? 0 : Math.max(1, Math.round(nowMs - sinceMs));
}

/** Over all rooms, those with nothing unsaved included: they are the ones that a crash would cost nothing. */
export function summarizeRpo(roomRpoMs: readonly number[]): Rpo {
  return { oldestMs: percentile(roomRpoMs, 100), p99Ms: percentile(roomRpoMs, 99) };
}

/**
 * The smallest of the values that at least `percent` of 100 of them do not exceed (nearest rank): always one that was
 * measured, never one in between.
 *
 * @param percent more than 0, at most 100
 * @returns 0 when there are no values
 */
export function percentile(values: readonly number[], percent: number): number {
  const ascending = values.toSorted((a, b) => a - b);
  // Multiplied first: 28 * 25 / 100 is 7, while 0.28 * 25 is a little more, and the next rank is another room.
  const rank = Math.ceil((percent * ascending.length) / 100);
  return ascending[rank - 1] ?? 0;
}
