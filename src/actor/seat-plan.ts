// After a restore: who gets their seat back, and how. A seat is written when the player joins and deleted when they
// leave; the state is saved every few seconds. So the two can disagree by what happened in between, either way. And for how
// long: a seat expires on the new node as it would have on the old.

import type { SavedAbsence, SavedPlayer } from "../checkpoint/snapshot.ts";
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

/** How long a kept seat waits, and what comes then: the player is given up, or the room is told that they have dropped. */
export interface SeatWait {
  readonly ms: number;
  readonly next: "give up" | "tell of the drop";
}

/** How long a restored room waits before it is told who has not come back. The SDK tries five times in that. */
const RETURN_MS = 10_000;

/**
 * Seats expire on the new node as on the old, by the room's own rule: what its onDrop gives to allowReconnection. Who was
 * away keeps what was left of that by the room's clock. Who was there is given a while to come back as if nothing had
 * happened, and then the room decides as at any other drop. `holdMs` is for rooms and players without a rule.
 *
 * @param away the room's own word on a player who was away, if the restored state knows of it
 * @param elapsedMs the room's clock
 */
export function waitOf(
  { mustRejoin, isHeard }: Pick<KeptSeat, "mustRejoin" | "isHeard">,
  away: SavedAbsence | undefined,
  { hasOwnRule, elapsedMs, holdMs }: { hasOwnRule: boolean; elapsedMs: number; holdMs: number },
): SeatWait {
  const returnMs = Math.min(RETURN_MS, holdMs);
  // Nobody may know of this seat: the node died before it could tell, and its player has joined again by another.
  if (mustRejoin) return { ms: isHeard ? holdMs : returnMs, next: "give up" };
  if (away === undefined) {
    return hasOwnRule ? { ms: returnMs, next: "tell of the drop" } : { ms: holdMs, next: "give up" };
  }
  // An author who ends the wait by hand has lost the means to.
  if (away.heldMs === Number.POSITIVE_INFINITY) return { ms: holdMs, next: "give up" };
  const leftMs = away.heldMs - (elapsedMs - away.sinceMs);
  // Whose time was about to end could not use what was left of it while there was no owner.
  return { ms: Math.min(away.heldMs, Math.max(leftMs, returnMs)), next: "give up" };
}

/** The room's clock is saved when so much of a kept seat's time is over, but not more often than once in AGE_MS_MIN. */
const AGE_PART = 1 / 20;
const AGE_MS_MIN = 1_000;

/**
 * Changes when the room's clock is to be saved for the sake of those who are away. In a room where nothing else changes, a
 * crash would otherwise give them the time anew that was over.
 */
export function agePrint(away: Iterable<SavedAbsence>, elapsedMs: number): number {
  let print = 0;
  for (const { sinceMs, heldMs } of away) {
    if (!Number.isFinite(heldMs)) continue;
    print += Math.floor((elapsedMs - sinceMs) / Math.max(AGE_MS_MIN, heldMs * AGE_PART));
  }
  return print;
}
