// After a restore: who gets their seat back, and how. A seat is written when the player joins and deleted when they
// leave; the state is saved every few seconds. So the two can disagree by what happened in between, either way.

import type { SavedPlayer } from "../checkpoint/snapshot.ts";
import type { SavedView } from "../colyseus/state-views.ts";
import type { StoredSeat } from "../ownership/directory.ts";

export interface KeptSeat extends StoredSeat {
  readonly userData: unknown;
  /** What they may see; undefined for one who had no view, and for one who must rejoin: onJoin makes it. */
  readonly view: SavedView | undefined;
  /** They joined after the state was saved: it must hear of them by onJoin when they come back. */
  readonly mustRejoin: boolean;
}

export interface SeatPlan {
  readonly kept: readonly KeptSeat[];
  /** They are in the state, but left after it was saved, or never finished joining: it must hear of that by onLeave. */
  readonly gone: readonly ({ readonly sessionId: string } & Pick<KeptSeat, "userData" | "view">)[];
}

const NOBODY: SavedPlayer = { userData: undefined };

/**
 * @param seats the seats that are stored
 * @param saved whom the restored state knows, by session id
 */
export function planSeats(
  seats: readonly StoredSeat[],
  saved: Readonly<Record<string, SavedPlayer>>,
): SeatPlan {
  const players = new Map(Object.entries(saved));
  const kept = seats.map((seat): KeptSeat => {
    const player = players.get(seat.sessionId);
    const isKnown = player !== undefined && player.joining !== true;
    const { userData, view } = isKnown ? player : NOBODY;
    return { ...seat, userData, view, mustRejoin: !isKnown };
  });
  const whole = new Set(kept.filter((seat) => !seat.mustRejoin).map((seat) => seat.sessionId as string));
  const gone = [...players]
    .filter(([sessionId]) => !whole.has(sessionId))
    .map(([sessionId, { userData, view }]) => ({ sessionId, userData, view }));
  return { kept, gone };
}
