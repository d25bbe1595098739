// What a node decides about itself and the others: when it goes on without Postgres, and whom it may call silent.
//
// Postgres silent for everyone is not a partition of one. A node that cannot renew its lease asks every node in its view. If
// each of them cannot reach Postgres either, and promises not to call it silent for one more lease, it goes on (OWN7): nobody
// is left who could take its rooms meanwhile. If one of them reaches Postgres, or says nothing, it stops when its lease ends,
// and only Postgres can give it that back. From then on it asks whether it still counts: a node that is cut off from Postgres
// alone would otherwise keep its players in rooms that have gone on elsewhere.
//
// Pure: a fact comes in, with its time, and what is to be done goes out. Who brings the facts and does the deeds is
// heartbeat.ts.

import type { Incarnation } from "../ids.ts";
import { unreachable } from "../runtime/unreachable.ts";
import type { PromiseAnswer } from "./peer-network.ts";

export interface Rules {
  readonly leaseMs: number;
  readonly leaseRenewMs: number;
  readonly leaseMarginMs: number;
  /** How long a node goes on at most without Postgres; at or below the lease, it never does. */
  readonly failsafeMs: number;
}

/** A node as Postgres has it. */
export interface LeaseRow {
  readonly incarnation: Incarnation;
  /** Below 0 when it has lapsed. */
  readonly leaseLeftMs: number;
  /** How long ago it renewed, by Postgres's clock: below 0 when that was set back since. */
  readonly silentMs: number;
}

/** All times are this node's monotonic ms. */
export interface Standing {
  /** When the first came of the answers of Postgres that came in a row. */
  readonly answeredSinceMs: number | undefined;
  /** The newest answer of Postgres: when it was asked, when it came, and what Postgres's clock said, in ms since 1970. */
  readonly answered:
    { readonly askedAtMs: number; readonly atMs: number; readonly clockMs: number } | undefined;
  /** The beat that is under way. */
  readonly beatSentMs: number | undefined;
  /** Whether the last beat that ended was not answered. */
  readonly isFailing: boolean;
  /** Whom this node will not call silent, and until when. */
  readonly promised: ReadonlyMap<Incarnation, number>;
  /** Whom it has called silent by a statement that took effect, or may yet, and until when that may be. */
  readonly marking: ReadonlyMap<Incarnation, number>;
  /** The nodes that have this one in their view, since when: they will ask it for its promise. */
  readonly knownBy: ReadonlyMap<Incarnation, number>;
  /** The others, as of the newest answer of Postgres, and what was left of their leases. */
  readonly others: ReadonlyMap<Incarnation, number>;
  /** The last of those that were among them, and are not any more. */
  readonly down: ReadonlySet<Incarnation>;
}

export const NEWCOMER: Standing = {
  answeredSinceMs: undefined,
  answered: undefined,
  beatSentMs: undefined,
  isFailing: false,
  promised: new Map(),
  marking: new Map(),
  knownBy: new Map(),
  others: new Map(),
  down: new Set(),
};

/** How many are remembered that do not count any more. Who was cut off for longer learns it from Postgres. */
const DOWN_MAX = 1_000;

export type Fact =
  | { readonly name: "beat-sent"; readonly atMs: number }
  | {
      readonly name: "beat-answered";
      readonly askedAtMs: number;
      readonly atMs: number;
      /** What Postgres's clock said, in ms since 1970. */
      readonly clockMs: number;
      /** The others. */
      readonly rows: readonly LeaseRow[];
      /** Whether this node's own lease had lapsed before this answer. */
      readonly wasLapsed: boolean;
    }
  | { readonly name: "beat-missed" }
  /** Postgres did not mark `incarnation` down: it has renewed meanwhile, or another was faster. */
  | { readonly name: "mark-declined"; readonly incarnation: Incarnation }
  /** Another node has linked to this one: it has this one in its view. */
  | { readonly name: "linked"; readonly by: Incarnation; readonly atMs: number }
  | {
      readonly name: "promise-asked";
      readonly by: Incarnation;
      readonly forMs: number;
      readonly atMs: number;
    }
  /** It is time to see whether the lease will be over before Postgres answers. */
  | { readonly name: "looked"; readonly atMs: number; readonly leaseLeftMs: number }
  /** What all the others in the view said. `leaseLeftMs` is as of now. */
  | {
      readonly name: "peers-answered";
      readonly askedAtMs: number;
      readonly leaseLeftMs: number;
      readonly answers: readonly PromiseAnswer[];
    };

export type Deed =
  /** Mark it down in Postgres, unless Postgres's clock is past `notAfterMs` by then. */
  | { readonly name: "mark-down"; readonly incarnation: Incarnation; readonly notAfterMs: number }
  | { readonly name: "answer"; readonly answer: PromiseAnswer }
  /** Ask all others in the view for a promise; for 0 ms, only whether this node still counts. */
  | { readonly name: "ask-peers"; readonly forMs: number }
  /** Go on as if Postgres had renewed the lease then, but not past `untilMs`. */
  | { readonly name: "go-on"; readonly askedAtMs: number; readonly untilMs: number }
  /** This node may not go on without Postgres. */
  | { readonly name: "give-up"; readonly why: string }
  /** This node has been marked down. */
  | { readonly name: "end"; readonly why: string };

export interface Step {
  readonly standing: Standing;
  readonly deeds: readonly Deed[];
}

export function step(standing: Standing, fact: Fact, rules: Rules): Step {
  switch (fact.name) {
    case "beat-sent":
      return only({ ...standing, beatSentMs: fact.atMs });
    case "beat-missed":
      return only({ ...standing, beatSentMs: undefined, isFailing: true, answeredSinceMs: undefined });
    case "beat-answered":
      return answered(standing, fact, rules);
    case "mark-declined":
      return only({ ...standing, marking: without(standing.marking, fact.incarnation) });
    case "linked":
      return only({ ...standing, knownBy: new Map([...standing.knownBy, [fact.by, fact.atMs]]) });
    case "promise-asked":
      return askedForPromise(standing, fact, rules);
    case "looked":
      return { standing, deeds: looked(standing, fact, rules) };
    case "peers-answered":
      return { standing, deeds: heardPeers(standing, fact, rules) };
    default:
      return unreachable(fact);
  }
}

function answered(before: Standing, fact: Fact & { name: "beat-answered" }, rules: Rules): Step {
  const { askedAtMs, atMs, clockMs, rows } = fact;
  // Whoever stopped us may have stopped the others too: they get the time to renew before they are judged (OWN5). The same
  // when Postgres's clock was set forward, which ends leases that are not over, or a standby that missed the last renewals
  // was promoted between two beats.
  const isNewSeries =
    before.answeredSinceMs === undefined ||
    fact.wasLapsed ||
    wasSet(before, fact, rules) ||
    wentBack(before, fact, rules);
  const named = new Map(rows.map(({ incarnation, leaseLeftMs }) => [incarnation, leaseLeftMs]));
  const standing: Standing = {
    // From when it came: this node may have been frozen since it asked.
    answeredSinceMs: isNewSeries ? atMs : before.answeredSinceMs,
    answered: { askedAtMs, atMs, clockMs },
    beatSentMs: undefined,
    isFailing: false,
    promised: new Map([...before.promised].filter(([, untilMs]) => untilMs > atMs)),
    marking: new Map([...before.marking].filter(([, untilMs]) => untilMs > atMs)),
    // Who has linked since this was asked may be too new for this answer.
    knownBy: new Map([...before.knownBy].filter(([who, sinceMs]) => named.has(who) || sinceMs >= askedAtMs)),
    others: named,
    down: downSince(before, named),
  };
  const silent = rows.filter((row) => mayMark(standing, row, atMs, rules));
  if (silent.length === 0) return only(standing);
  // A statement that is held up on its way must not strike when everything has changed.
  const marking = new Map(standing.marking);
  for (const { incarnation } of silent) marking.set(incarnation, atMs + rules.leaseMs + rules.leaseMarginMs);
  return {
    standing: { ...standing, marking },
    deeds: silent.map(({ incarnation }) => ({
      name: "mark-down",
      incarnation,
      notAfterMs: clockMs + rules.leaseMs,
    })),
  };
}

/**
 * Whether Postgres names somebody who was not among those that promised, and whom their promises do not bind: from now on that
 * node is told of this one, and judges it by what Postgres has.
 */
export function endPromises({ others }: Standing, named: Iterable<Incarnation>): boolean {
  return [...named].some((incarnation) => !others.has(incarnation));
}

/** A row that is not down never goes but by being marked down; and on a standby that was promoted, it may never have been. */
function downSince(
  { down, others }: Standing,
  named: ReadonlyMap<Incarnation, unknown>,
): ReadonlySet<Incarnation> {
  const gone = [...others.keys()].filter((incarnation) => !named.has(incarnation));
  return gone.length === 0 ? down : new Set([...down, ...gone].slice(-DOWN_MAX));
}

/** Whether Postgres's clock was set since its last answer, or is another server's: it went on by more or less than ours did. */
function wasSet({ answered: last }: Standing, fact: Fact & { name: "beat-answered" }, rules: Rules): boolean {
  if (last === undefined) return false;
  const wentOnMs = fact.clockMs - last.clockMs;
  const [leastMs, mostMs] = [fact.askedAtMs - last.atMs, fact.atMs - last.askedAtMs];
  return wentOnMs < leastMs - rules.leaseMarginMs || wentOnMs > mostMs + rules.leaseMarginMs;
}

/** Whether a lease ends earlier than Postgres has said before. */
function wentBack(before: Standing, fact: Fact & { name: "beat-answered" }, rules: Rules): boolean {
  const { answered: last, others } = before;
  if (last === undefined) return false;
  const mostMs = fact.atMs - last.askedAtMs + rules.leaseMarginMs;
  return fact.rows.some(({ incarnation, leaseLeftMs }) => {
    const beforeMs = others.get(incarnation);
    return beforeMs !== undefined && leaseLeftMs < beforeMs - mostMs;
  });
}

/** Whether this node may mark another down for its silence. */
function mayMark(standing: Standing, row: LeaseRow, nowMs: number, rules: Rules): boolean {
  const { answeredSinceMs, knownBy, marking, promised } = standing;
  // Or it has not renewed since Postgres's clock was set back, by more than any lease may be wrong: that began a new series.
  const isSetBack = row.silentMs < -SET_BACK_MS;
  if ((row.leaseLeftMs >= 0 && !isSetBack) || marking.has(row.incarnation)) return false;
  // When Postgres was away for everyone, everyone's lease has lapsed, and each must first have the time to renew.
  if (answeredSinceMs === undefined || nowMs - answeredSinceMs < rules.leaseMs) return false;
  if ((promised.get(row.incarnation) ?? 0) > nowMs) return false;
  // A node that has never heard of this one did not ask it for a promise, and may be going on by those of others.
  const lapsedMs = isSetBack ? nowMs - answeredSinceMs - rules.leaseMs : -row.leaseLeftMs;
  return knownBy.has(row.incarnation) || lapsedMs >= rules.failsafeMs;
}

/** By how much at least Postgres's clock must have been set back for a lease to be judged by that; mark-down.sql has it too. */
const SET_BACK_MS = 1_000;

function askedForPromise(before: Standing, fact: Fact & { name: "promise-asked" }, rules: Rules): Step {
  const { by, forMs, atMs } = fact;
  if (before.down.has(by)) return { standing: before, deeds: [answerWith({ kind: "down" })] };
  const refuse = (why: string): Step => ({ standing: before, deeds: [answerWith({ kind: "refused", why })] });
  if (!(forMs > 0 && forMs <= PROMISE_MS_MAX)) return refuse("no promise is given for so long");
  if ((before.marking.get(by) ?? 0) > atMs) return refuse("a peer may have marked this node down already");
  if (!isCutOff(before, atMs, rules)) return refuse("a peer reaches Postgres");
  const untilMs = Math.max(atMs + forMs, before.promised.get(by) ?? 0);
  // Those that have run out are dropped with the next answer of Postgres; meanwhile each peer has one.
  return {
    standing: { ...before, promised: new Map([...before.promised, [by, untilMs]]) },
    deeds: [answerWith({ kind: "promised" })],
  };
}

/** The longest lease that can be set. */
const PROMISE_MS_MAX = 60_000;

function looked(standing: Standing, fact: Fact & { name: "looked" }, rules: Rules): readonly Deed[] {
  const { answered: last } = standing;
  if (last === undefined || !isCutOff(standing, fact.atMs, rules)) return [];
  if (fact.leaseLeftMs === 0) return [{ name: "ask-peers", forMs: 0 }];
  if (rules.failsafeMs <= rules.leaseMs || fact.atMs - last.askedAtMs >= rules.failsafeMs) return [];
  // Early enough to ask again if an answer is lost or a peer has not noticed yet, late enough to leave a blink alone.
  return fact.leaseLeftMs < rules.leaseMs / 2 ? [{ name: "ask-peers", forMs: rules.leaseMs }] : [];
}

/** Whether this node has reason to say that it cannot reach Postgres. */
function isCutOff({ answered: last, beatSentMs, isFailing }: Standing, nowMs: number, rules: Rules): boolean {
  if (isFailing || last === undefined || nowMs - last.askedAtMs > rules.leaseMs / 2) return true;
  return beatSentMs !== undefined && nowMs - beatSentMs > rules.leaseRenewMs;
}

function heardPeers(
  { answered: last }: Standing,
  fact: Fact & { name: "peers-answered" },
  rules: Rules,
): readonly Deed[] {
  if (fact.answers.some(({ kind }) => kind === "down"))
    return [{ name: "end", why: "a peer has it from Postgres" }];
  // Postgres has answered meanwhile, perhaps with a view in which there is somebody who was not asked.
  if (last === undefined || last.atMs >= fact.askedAtMs) return [];
  // After a lapse somebody may have marked this node down, and died since: nobody left would know.
  if (fact.leaseLeftMs === 0) return [];
  for (const answer of fact.answers) {
    // Who is gone will mark nobody down, and kept its promises while it lived.
    if (answer.kind === "promised" || answer.kind === "gone") continue;
    const why = answer.kind === "refused" ? answer.why : "a peer did not answer";
    return [{ name: "give-up", why }];
  }
  return [{ name: "go-on", askedAtMs: fact.askedAtMs, untilMs: last.askedAtMs + rules.failsafeMs }];
}

function only(standing: Standing): Step {
  return { standing, deeds: [] };
}

function answerWith(answer: PromiseAnswer): Deed {
  return { name: "answer", answer };
}

function without<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Map<Key, Value> {
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}
