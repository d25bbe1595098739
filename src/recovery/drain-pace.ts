// How many rooms leave a draining node at the same time. Facts in, decision out; drain-node.ts moves them.
//
// As few as the time allows: rooms that move together wait for each other on their way, at Postgres and at their next owners,
// and all their players with them, while all in all they are hardly gone sooner. One that takes long (a hook that hangs, an
// owner that does not answer) holds up none behind it.

export interface DrainFacts {
  /** Rooms whose turn is still to come. */
  readonly waiting: number;
  /** How long each move has taken that is under way, in ms. */
  readonly underWayMs: readonly number[];
  /** What a move takes, as far as is known, in ms. */
  readonly moveMs: number | undefined;
  readonly timeLeftMs: number;
}

const AT_ONCE_MIN = 2;
const AT_ONCE_MAX = 4;
/** What a move is taken to take before the first is done. */
const FIRST_MOVE_MS = 100;
/** A move that takes longer does not keep its place. */
export const SLOW_MOVE_MS = 250;

export function movesAtOnce({ waiting, underWayMs, moveMs = FIRST_MOVE_MS, timeLeftMs }: DrainFacts): number {
  // In half of the time, so that what goes wrong has the other half.
  const needed = timeLeftMs <= 0 ? AT_ONCE_MAX : Math.ceil((waiting * moveMs) / (timeLeftMs / 2));
  const slow = underWayMs.filter((ms) => ms >= SLOW_MOVE_MS).length;
  return Math.min(AT_ONCE_MAX, Math.max(AT_ONCE_MIN, needed) + slow);
}
