// What concerns the cluster as a whole: seats, what is left when all is healed, and whether the faults were any.

import type { Absence, History, Violation } from "../history.ts";

/** 4002: the player is told that there is no seat for them. */
const NO_SEAT = 4002;
/** How much sooner than the room a player may believe that they were away for as long as a seat is held. */
const SEAT_HOLD_SLACK_MS = 1_000;
/** Of faults that are tried in vain more often than that, one after the other, something is wrong with the run. */
const KIND_TRIED_MAX = 5;
/** Of all faults of a run at least so many must have bitten, also where a slow machine has nodes away for most of the time. */
const BITTEN_SHARE = 0.25;
const FAULTS_MIN = 5;
/** Where fewer bit the nodes were away for most of the time, and many tries in vain mean nothing. */
const BITTEN_WELL_SHARE = 0.6;

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

function isAllowed({ end, from, heardAt = from, to, code }: Absence, seatHoldMs: number): boolean {
  if (end === "resumed") return true;
  return end === "refused" && code === NO_SEAT && to - heardAt >= seatHoldMs - SEAT_HOLD_SLACK_MS;
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

/** Faults that came to nothing prove nothing, and neither do those that could never be tried. */
export function faultsBit({ faults }: History): Violation[] {
  const bite = (what: string, at: number): Violation => {
    return { rule: "bite", roomId: undefined, what: `${what}: this run proves less than it should`, at };
  };
  const bitten = faults.filter(({ bit }) => bit !== undefined).length;
  const isWell = bitten >= BITTEN_WELL_SHARE * faults.length;
  const inVain = faults
    .filter(({ bit, skipped }) => bit === undefined && skipped === undefined)
    .map(({ name, target, instead, to }) => {
      const seen = instead === undefined ? "" : ` (${instead})`;
      return bite(`${name} of ${target} was without effect${seen}`, to);
    });
  const neverTried = [...Map.groupBy(faults, ({ name }) => name)].flatMap(([name, all]) =>
    isWell && all.length > KIND_TRIED_MAX && all.every(({ skipped }) => skipped !== undefined)
      ? [bite(`${name} was left out all of ${all.length} times`, all.at(-1)?.to ?? 0)]
      : [],
  );
  const tooFew = faults.length >= FAULTS_MIN && bitten < BITTEN_SHARE * faults.length;
  return [
    ...inVain,
    ...neverTried,
    ...(tooFew ? [bite(`only ${bitten} of ${faults.length} faults bit`, faults.at(-1)?.to ?? 0)] : []),
  ];
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * Every room whose owner is gone is heard of again in time, as soon as it is calm: at least one node serves, and no fault
 * lasts or begins.
 */
export function ownedAgainInTime({ frames, faults, lives, settings }: History): Violation[] {
  const violations: Violation[] = [];
  const { ownedWithinMs } = settings;
  for (const [roomId, own] of Map.groupBy(frames, (frame) => frame.roomId)) {
    for (const { from, to, epoch } of silences(own)) {
      if (to - from <= ownedWithinMs) continue;
      const storms = faults.filter(({ skipped }) => skipped === undefined);
      const calm = longest(minus([{ from, to }], [...storms, ...without(lives, { from, to })]));
      if (calm <= ownedWithinMs) continue;
      const what = `epoch ${epoch} was heard of ${to - from} ms after the one before, ${calm} ms of them without a fault`;
      violations.push({ rule: "owned-again", roomId, what, at: to });
    }
  }
  return violations;
}

/** Between the last word of an epoch and the first of the next. */
export function silences(
  frames: readonly History["frames"][number][],
): (Span & { readonly epoch: number })[] {
  const spans = [...Map.groupBy(frames, ({ epoch }) => epoch)]
    .map(([epoch, heard]) => {
      const times = heard.map(({ saidAt }) => saidAt);
      return { epoch, first: Math.min(...times), last: Math.max(...times) };
    })
    .sort((one, other) => one.epoch - other.epoch);
  return spans.slice(1).map(({ epoch, first }, index) => {
    const from = spans[index]?.last ?? first;
    return { epoch, from, to: Math.max(from, first) };
  });
}

/** When nobody served. */
function without(lives: History["lives"], within: Span): Span[] {
  return minus(
    [within],
    lives.map(({ from, to }) => ({ from, to: to ?? Infinity })),
  );
}

function minus(spans: readonly Span[], others: readonly Span[]): Span[] {
  return others.reduce<Span[]>(
    (rest, other) =>
      rest.flatMap((span) => {
        if (other.to <= span.from || other.from >= span.to) return [span];
        const parts = [
          { from: span.from, to: other.from },
          { from: other.to, to: span.to },
        ];
        return parts.filter(({ from, to }) => to > from);
      }),
    [...spans],
  );
}

function longest(spans: readonly Span[]): number {
  return Math.round(Math.max(0, ...spans.map(({ from, to }) => to - from)));
}
