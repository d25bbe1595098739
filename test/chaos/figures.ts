// The figures of a run, out of its history: how long rooms stood still, what was rolled back, and what must be nought.

import { percentile } from "../load/figures.ts";
import { silences } from "./checker/cluster-rules.ts";
import type { History, Violation } from "./history.ts";

export interface Figures {
  /** From the last word of an epoch to the first of the next, as players heard them; moves on purpose included. */
  readonly recoveryMs: readonly number[];
  /** How old the checkpoint was from which a room was opened again. */
  readonly rollbackMs: readonly number[];
  /** Plain entries that an epoch did not take over. */
  readonly rolledBack: number;
  readonly awayMs: readonly number[];
  readonly doubleActivations: number;
  readonly lostCommits: number;
  readonly refusedWrites: number;
  readonly acceptedWrites: number;
  readonly epochs: number;
  /** Messages that gateways let through to players, and how many of them without a link between. */
  readonly passed: { readonly all: number; readonly direct: number };
  readonly ops: Readonly<Record<string, number>>;
}

export function figuresOf(history: History, violations: readonly Violation[]): Figures {
  const { ops, frames, gatewayFrames, openings, absences, writes, refusedWrites } = history;
  const counts: Record<string, number> = {};
  for (const { kind, outcome } of ops) {
    const name = `${kind} ${outcome}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  const ruleCount = (...rules: string[]): number =>
    violations.filter(({ rule }) => rules.includes(rule)).length;
  const restored = openings.flatMap(({ from }) => (from === undefined ? [] : [from]));
  return {
    recoveryMs: [...Map.groupBy(frames, ({ roomId }) => roomId).values()].flatMap((own) =>
      silences(own).map(({ from, to }) => to - from),
    ),
    rollbackMs: restored.map(({ checkpointAgeMs }) => checkpointAgeMs),
    rolledBack: rolledBack(history),
    awayMs: absences.filter(({ end }) => end === "resumed").map(({ from, to }) => to - from),
    doubleActivations: ruleCount("double-activation", "one-writer"),
    lostCommits: ruleCount("commits-stand", "rows-agree"),
    refusedWrites,
    acceptedWrites: writes.length,
    epochs: openings.length,
    passed: { all: gatewayFrames.length, direct: gatewayFrames.filter(({ isDirect }) => isDirect).length },
    ops: counts,
  };
}

/** Answered at an epoch, at a place that the next one did not begin with. */
function rolledBack({ ops }: History): number {
  const bases = new Map<string, Map<number, number>>();
  for (const op of ops) {
    if (op.kind !== "read" || op.got === undefined) continue;
    const ofRoom = bases.get(op.roomId) ?? new Map<number, number>();
    bases.set(op.roomId, ofRoom.set(op.got.epoch, op.got.base.plain));
  }
  return ops.filter((op) => {
    if (op.kind !== "plain" || op.at === undefined) return false;
    const { epoch, index } = op.at;
    return [...(bases.get(op.roomId) ?? [])].some(([later, base]) => later > epoch && index >= base);
  }).length;
}

const BUCKETS_MS = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
const BAR = 40;

export interface Bucket {
  readonly from: number;
  readonly upTo: number;
  readonly count: number;
}

export interface Histogram {
  /** Undefined when there are no values. */
  readonly percentiles: { readonly p50: number; readonly p99: number; readonly max: number } | undefined;
  /** From the first that is not empty to the last. */
  readonly buckets: readonly Bucket[];
}

export function histogramOf(values: readonly number[]): Histogram {
  if (values.length === 0) return { percentiles: undefined, buckets: [] };
  const at = (share: number): number => Math.round(percentile(values, share));
  const buckets = [...BUCKETS_MS, Infinity].map((upTo, index): Bucket => {
    const from = BUCKETS_MS[index - 1] ?? 0;
    return { from, upTo, count: values.filter((value) => value >= from && value < upTo).length };
  });
  const [first, last] = [
    buckets.findIndex(({ count }) => count > 0),
    buckets.findLastIndex(({ count }) => count > 0),
  ];
  return {
    percentiles: { p50: at(0.5), p99: at(0.99), max: at(1) },
    buckets: buckets.slice(first, last + 1),
  };
}

/** Lines of text: a bar for each span of time, and the percentiles. */
export function histogram(name: string, values: readonly number[]): string[] {
  const { percentiles, buckets } = histogramOf(values);
  if (percentiles === undefined) return [`${name}: none`];
  const { p50, p99, max } = percentiles;
  const most = Math.max(...buckets.map(({ count }) => count));
  const bars = buckets
    .filter(({ count }) => count > 0)
    .map(({ from, upTo, count }) => {
      const range = `${from} to ${upTo === Infinity ? "…" : upTo} ms`.padStart(18);
      return `  ${range}  ${String(count).padStart(4)}  ${"#".repeat(Math.ceil((BAR * count) / most))}`;
    });
  return [`${name}: n ${values.length}, p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`, ...bars];
}
