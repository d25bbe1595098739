// What concerns the cluster as a whole: seats, what is left when all is healed, and whether the faults were any.

import type { Absence, History, Violation } from "../history.ts";

/** 4002: the player is told that there is no seat for them. */
const NO_SEAT = 4002;
/** How much sooner than the room a player may believe that they were away for as long as a seat is held. */
const SEAT_HOLD_SLACK_MS = 1_000;

/** Every absence ends in the same seat, or in a refusal that the rules allow: away for longer than a seat is held. */
export function seatsEnd({ absences, settings }: History): Violation[] {
  return absences
    .filter((absence) => !isAllowed(absence, settings.seatHoldMs))
    .map(({ client, roomId, from, to, end, code, reason }) => {
      const how = end === "refused" ? `was refused with ${code} ${reason}` : "is still away";
      return {
        rule: "seats",
        roomId,
        what: `${client} ${how}, ${to - from} ms after it was cut off`,
        at: to,
      };
    });
}

function isAllowed({ end, from, to, code }: Absence, seatHoldMs: number): boolean {
  if (end === "resumed") return true;
  return end === "refused" && code === NO_SEAT && to - from >= seatHoldMs - SEAT_HOLD_SLACK_MS;
}

/** When all is healed every room is owned, everybody can join, the counts are right and nothing is left over. */
export function endsWell({ aftermath, settings }: History): Violation[] {
  if (aftermath === undefined)
    return [{ rule: "aftermath", roomId: undefined, what: "the run did not get to its end", at: 0 }];
  const { healedAt: at, rooms, failures, levels } = aftermath;
  const violations: Violation[] = [];
  for (const { roomId, owner, isOwnerLive, phase, players, playersInFact } of rooms) {
    const within = `${settings.ownedWithinMs} ms after healing`;
    if (owner === null || !isOwnerLive || phase !== "active")
      violations.push({ rule: "owned-again", roomId, what: `it is ${phase}, of ${owner}, ${within}`, at });
    if (players !== playersInFact) {
      const what = `${players} players are reported, and ${playersInFact} are connected, ${within}`;
      violations.push({ rule: "counts", roomId, what, at });
    }
  }
  for (const { roomId, what } of failures) violations.push({ rule: "aftermath", roomId, what, at });
  for (const { name, before, after, atMost } of levels) {
    if (after <= atMost) continue;
    const what = `${name}: ${after}, and before it was ${before} (at most ${atMost} is allowed)`;
    violations.push({ rule: "levels", roomId: undefined, what, at });
  }
  return violations;
}

/** Faults that came to nothing prove nothing. */
export function faultsBit({ faults }: History): Violation[] {
  return faults
    .filter(({ bit, skipped }) => bit === undefined && skipped === undefined)
    .map(({ name, target, to }) => ({
      rule: "bite",
      roomId: undefined,
      what: `${name} of ${target} was without effect: this run proves less than it should`,
      at: to,
    }));
}
