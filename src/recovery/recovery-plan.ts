// What recovery does next: which rooms to claim, and which of the claimed ones to open. Facts in, decision out; who
// gathers the facts and does it is recovery.ts.
//
// - A room that somebody waits for comes before all others, the most awaited first; the others come fullest first.
// - So many are opened at a time, so that the rooms already here keep their ticks. Those that are waited for may use a
//   few more places than the others: players who are back do not wait for rooms whose players are not.
// - An opening that takes long (an onCreate that waits for something) does not keep its place: after `slowMs` it counts
//   no more. That is bounded too.
// - Rooms are claimed only a little ahead of their opening: what is claimed and not open dies with this node once more.

import type { RoomId } from "../ids.ts";

export interface RecoveryFacts {
  /** Rooms that nobody owned when it was looked, the fullest first. */
  readonly unowned: readonly RoomId[];
  /** Rooms that were this node's on paper when it was looked, without being here. */
  readonly orphaned: readonly RoomId[];
  /** Whether the ring gives a room to this node. Not asked of rooms that are waited for: who sent them here has. */
  readonly isOurs: (roomId: RoomId) => boolean;
  /** Whether a room is here already. */
  readonly isHere: (roomId: RoomId) => boolean;
  readonly demands: readonly Demand[];
  /** Statements that are under way. */
  readonly claims: readonly Claim[];
  /** Claimed and not yet being opened, in the order in which they were asked for. */
  readonly claimed: readonly RoomId[];
  readonly openings: readonly Opening[];
}

/** A room that somebody waits for right now. */
export interface Demand {
  readonly roomId: RoomId;
  /** How many wait for it. */
  readonly waiting: number;
  /** Since when the first of them does, in monotonic ms. */
  readonly sinceMs: number;
}

export type ClaimReason = "demand" | "recovery";

export interface Claim {
  readonly why: ClaimReason;
  /** Whether to take also what is this node's on paper. */
  readonly evenOwn: boolean;
  readonly roomIds: readonly RoomId[];
}

export interface Opening {
  readonly roomId: RoomId;
  readonly forMs: number;
}

export interface RecoveryBounds {
  /** Rooms that are opened at a time, slow ones not counted. */
  readonly atOnceMax: number;
  /** Rooms beyond these, if somebody waits for them. */
  readonly demandSurplusMax: number;
  /** How long an opening counts. */
  readonly slowMs: number;
  /** Openings that need not count, at most. */
  readonly slowMax: number;
  /** Rooms that one statement claims. */
  readonly claimMax: number;
  /** Rooms that are claimed, or being claimed, without being opened yet. */
  readonly claimedMax: number;
  /** Statements for rooms that somebody waits for, at a time: a row that is locked holds up its own statement only. */
  readonly demandClaimsMax: number;
}

export interface RecoveryStep {
  readonly open: readonly RoomId[];
  readonly claims: readonly Claim[];
  /** When to ask again even if nothing has changed: an opening will have become slow. */
  readonly againInMs: number | undefined;
}

/** From one knob: how many rooms are restored at the same time. */
export function boundsFor(restoresAtOnceMax: number): RecoveryBounds {
  return {
    atOnceMax: restoresAtOnceMax,
    demandSurplusMax: Math.ceil(restoresAtOnceMax / 2),
    slowMs: 500, // hundreds of times what a room takes that waits for nothing
    slowMax: 8 * restoresAtOnceMax,
    claimMax: 64,
    claimedMax: 2 * 64 + restoresAtOnceMax,
    demandClaimsMax: 4,
  };
}

export function planRecovery(facts: RecoveryFacts, bounds: RecoveryBounds): RecoveryStep {
  const demands = [...facts.demands].sort((a, b) => b.waiting - a.waiting || a.sinceMs - b.sinceMs);
  const open = chooseOpenings(facts, bounds, demands);
  const left = facts.claimed.length - open.length;
  return {
    open,
    claims: chooseClaims(facts, bounds, demands, left),
    againInMs: left > 0 ? msUntilSlow([...facts.openings, ...open.map(begins)], bounds) : undefined,
  };
}

function chooseOpenings(
  { claimed, openings }: RecoveryFacts,
  bounds: RecoveryBounds,
  demands: readonly Demand[],
): RoomId[] {
  const slow = openings.filter(({ forMs }) => forMs >= bounds.slowMs).length;
  const counted = openings.length - Math.min(slow, bounds.slowMax);
  const isClaimed = new Set(claimed);
  const demanded = demands.map(({ roomId }) => roomId).filter((roomId) => isClaimed.has(roomId));
  const open = demanded.slice(0, Math.max(0, bounds.atOnceMax + bounds.demandSurplusMax - counted));
  const first = new Set(open);
  const others = claimed.filter((roomId) => !first.has(roomId));
  return [...open, ...others.slice(0, Math.max(0, bounds.atOnceMax - counted - open.length))];
}

function chooseClaims(
  facts: RecoveryFacts,
  bounds: RecoveryBounds,
  demands: readonly Demand[],
  left: number,
): Claim[] {
  const { claimed, claims, isHere, isOurs, openings, orphaned, unowned } = facts;
  const taken = new Set<RoomId>(claimed);
  for (const { roomId } of openings) taken.add(roomId);
  for (const { roomIds } of claims) for (const roomId of roomIds) taken.add(roomId);
  /** The first `most` that can be asked for, which are then taken. */
  const take = (
    roomIds: Iterable<RoomId>,
    most: number,
    isWanted?: (roomId: RoomId) => boolean,
  ): RoomId[] => {
    const chosen: RoomId[] = [];
    for (const roomId of roomIds) {
      if (chosen.length >= most) break;
      if (taken.has(roomId) || isHere(roomId) || isWanted?.(roomId) === false) continue;
      taken.add(roomId);
      chosen.push(roomId);
    }
    return chosen;
  };

  const next: Claim[] = [];
  let ahead = left + claims.reduce((sum, { roomIds }) => sum + roomIds.length, 0);
  const add = (why: ClaimReason, evenOwn: boolean, roomIds: RoomId[]): boolean => {
    if (roomIds.length === 0) return false;
    ahead += roomIds.length;
    next.push({ why, evenOwn, roomIds });
    return true;
  };

  if (claims.filter(({ why }) => why === "demand").length < bounds.demandClaimsMax) {
    const most = Math.min(bounds.claimMax, bounds.claimedMax - ahead);
    const awaited = demands.map(({ roomId }) => roomId);
    add("demand", false, take(awaited, most));
  }
  // The others when what is claimed will soon be open, and one statement at a time.
  if (claims.every(({ why }) => why === "demand") && ahead <= bounds.atOnceMax) {
    const most = Math.min(bounds.claimMax, bounds.claimedMax - ahead);
    const hasClaimed = add("recovery", false, take(unowned, most, isOurs));
    if (!hasClaimed) add("recovery", true, take(orphaned, most));
  }
  return next;
}

function begins(roomId: RoomId): Opening {
  return { roomId, forMs: 0 };
}

/** Until the next opening stops counting; undefined when there is none that counts and will. */
function msUntilSlow(openings: readonly Opening[], { slowMs }: RecoveryBounds): number | undefined {
  const waits = openings.filter(({ forMs }) => forMs < slowMs).map(({ forMs }) => slowMs - forMs);
  return waits.length === 0 ? undefined : Math.min(...waits);
}
