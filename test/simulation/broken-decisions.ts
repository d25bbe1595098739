// Decisions that break the rules of src/membership/standing.ts, one each.

import { step, type Fact, type Rules, type Standing, type Step } from "../../src/membership/standing.ts";
import { markDown } from "./postgres/node-statements.ts";
import type { Statement } from "./postgres/statement.ts";

type Decide = typeof step;

/** Whoever has not renewed for two turns is called silent. */
export const markWithoutWaiting: Decide = (standing, fact, rules) => {
  if (fact.name !== "beat-answered") return step(standing, fact, rules);
  const isLate = (leftMs: number): boolean => leftMs < rules.leaseMs - 2 * rules.leaseRenewMs;
  const rows = fact.rows.map((row) => (isLate(row.leaseLeftMs) ? { ...row, leaseLeftMs: -1 } : row));
  return step(standing, { ...fact, rows }, rules);
};

/** The part of Postgres in that: it does not look at the lease. */
export const markUnlapsed: Statement = (context, [incarnation, reason, judge, , notAfter]) =>
  markDown(context, [incarnation, reason, judge, false, notAfter]);

/** Nobody is given the time to renew when Postgres is back. */
export const judgeAtOnce: Decide = (standing, fact, rules) => {
  if (fact.name !== "beat-answered") return step(standing, fact, rules);
  const answered: Standing = { ...standing, answeredSinceMs: -Infinity };
  // As if its clock had never been set, and no lease had ever lapsed.
  return step({ ...answered, answered: undefined }, { ...fact, wasLapsed: false }, rules);
};

/** One peer that promises is enough, whatever the others say. */
export const anyPromise: Decide = (standing, fact, rules) => {
  if (fact.name !== "peers-answered") return step(standing, fact, rules);
  const promised = fact.answers.filter(({ kind }) => kind === "promised");
  return step(standing, promised.length === 0 ? fact : { ...fact, answers: promised }, rules);
};

/** What was promised is not kept. */
export const forgetPromises: Decide = (standing, fact, rules) => {
  const next = step(standing, fact, rules);
  return { ...next, standing: { ...next.standing, promised: new Map() } };
};

/** A node that the silent one has never heard of calls it silent as soon as its lease is over. */
export const strangersAtOnce: Decide = (standing: Standing, fact: Fact, rules: Rules): Step =>
  step(standing, fact, fact.name === "beat-answered" ? { ...rules, failsafeMs: 0 } : rules);

/** The time that others have to renew begins with the question, which may have been asked before a freeze. */
export const countFromQuestion: Decide = (standing, fact, rules) => {
  if (fact.name !== "beat-answered") return step(standing, fact, rules);
  // As `step` does it, but for the moment: a first look tells whether a new series begins.
  const { answeredSinceMs } = step(standing, { ...fact, rows: [] }, rules).standing;
  if (answeredSinceMs !== fact.atMs) return step(standing, fact, rules);
  const asked: Standing = { ...standing, answeredSinceMs: fact.askedAtMs, answered: undefined };
  return step(asked, { ...fact, wasLapsed: false }, rules);
};
