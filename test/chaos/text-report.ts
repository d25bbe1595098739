// A run as one reads it in a terminal: the verdict, the smallest failing room's timeline, how to run it again, the figures.

import type { Verdict } from "./checker/check.ts";
import { figuresOf, histogram } from "./figures.ts";
import type { FaultRecord } from "./history.ts";
import type { Run } from "./run.ts";
import { linesAround, timelineOf } from "./timeline.ts";

const SHOWN_MAX = 12;

export function textReport(run: Run, verdict: Verdict, again: string): string {
  const { history, startedAt, endedAt, isRedisReal, lateMs, refusedJoins, startFailures, complaints } = run;
  const { violations, smallestRoom } = verdict;
  const figures = figuresOf(history, violations);
  const lines = [
    violations.length === 0 ? "NOTHING IS WRONG" : `${violations.length} VIOLATIONS`,
    `again: ${again}`,
    `${Math.round((endedAt - startedAt) / 1_000)} s, Redis: ${isRedisReal ? "redis-server" : "js-redis-server (faults that need a real one are left out)"}`,
    `the run's own timers were late by ${lateMs.p50} ms (half of them), ${lateMs.p99} ms (99 %), ${lateMs.max} ms (all)`,
  ];
  const byRule = Map.groupBy(violations, ({ rule }) => rule);
  for (const [rule, found] of byRule) {
    lines.push(`  ${rule}: ${found.length}`);
    for (const { roomId, what, at } of found.slice(0, 3)) {
      lines.push(`    ${Math.round(at - startedAt)} ms ${roomId ?? ""} ${what}`);
    }
  }
  if (smallestRoom !== undefined) {
    const first = violations.find(({ roomId }) => roomId === smallestRoom);
    lines.push("", `room ${smallestRoom}, until ${first?.rule} showed:`);
    lines.push(...linesAround(timelineOf(history, smallestRoom), first?.at ?? endedAt, startedAt));
  }
  const { ops } = figures;
  lines.push(
    "",
    `faults   ${tally(history.faults)}`,
    ...skips(history.faults),
    `players  ${Object.entries(ops)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`,
    `postgres ${figures.acceptedWrites} writes accepted, ${figures.refusedWrites} refused; ${figures.epochs} epochs`,
    `gateways ${figures.passed.all} messages let through, ${figures.passed.direct} of them from rooms of the same process`,
    `nought   double activations ${figures.doubleActivations}, lost commits ${figures.lostCommits}`,
    `lost     ${figures.rolledBack} plain entries rolled back`,
    "",
    ...histogram("recovery, the last word of an epoch to the first of the next", figures.recoveryMs),
    ...histogram("rollback, the age of the checkpoint that a room was opened from", figures.rollbackMs),
    ...histogram("players away, each time", figures.awayMs),
  );
  const joins = [...refusedJoins].sort(([, one], [, other]) => other - one);
  for (const [why, count] of joins.slice(0, SHOWN_MAX)) lines.push(`join refused ${count} times: ${why}`);
  const starts = Map.groupBy(startFailures, (why) => why);
  for (const [why, { length }] of starts) lines.push(`node start tried again ${length} times: ${why}`);
  const level = history.aftermath?.levels.map(({ name, before, after }) => `${name} ${before} -> ${after}`);
  if (level !== undefined) lines.push(`levels   ${level.join(", ")}`);
  const odd = complaints.filter((line) =>
    /fatal|uncaught|unhandled|TypeError|ReferenceError|AssertionError/i.test(line),
  );
  for (const line of odd.slice(0, SHOWN_MAX)) lines.push(`said: ${line.slice(0, 600)}`);
  return lines.join("\n");
}

function tally(faults: readonly FaultRecord[]): string {
  const counts = new Map<string, number>();
  for (const { name, skipped } of faults)
    if (skipped === undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

function skips(faults: readonly FaultRecord[]): string[] {
  const why = new Map<string, number>();
  for (const { name, skipped } of faults) {
    if (skipped !== undefined) why.set(`${name}: ${skipped}`, (why.get(`${name}: ${skipped}`) ?? 0) + 1);
  }
  return [...why].map(([text, count]) => `left out ${count} times: ${text}`);
}
