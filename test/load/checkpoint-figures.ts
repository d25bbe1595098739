// The checkpoint benchmark's figures, from windows to lines that one can read. A ratio is that of two windows side by side;
// of all pairs the median is told, with the lowest and the highest, so that one sees what the machine's noise amounts to.

import type { EncodeFigures, Timing } from "./checkpoint-encode.ts";
import type { ProfileFigures, ProfileLine } from "./checkpoint-profile.ts";
import type { SceneOptions, Window } from "./checkpoint-scene.ts";
import type { StoredFigures } from "./checkpoint-postgres.ts";
import { percentile } from "./figures.ts";

export interface Pair {
  readonly off: Window;
  readonly on: Window;
}

export interface Measured {
  readonly options: SceneOptions;
  readonly pairs: readonly Pair[];
  readonly stored: StoredFigures;
}

/** "undecided" when the pairs disagree so much that the median is chance: more pairs, or a quieter machine, will tell. */
export type Verdict = "met" | "NOT MET" | "undecided: the pairs disagree";

export function isBelow(limit: number, ratios: readonly number[]): Verdict {
  const below = ratios.filter((ratio) => ratio < limit).length / ratios.length;
  return below >= 0.75 ? "met" : below <= 0.25 ? "NOT MET" : "undecided: the pairs disagree";
}

/** CPU of the nodes' processes, on over off, each by the time its window really took. */
export const cpuRatios = (pairs: readonly Pair[]): number[] =>
  pairs.map(({ off, on }) => on.cpuMs / on.wallMs / (off.cpuMs / off.wallMs));

/** How late the latest hundredth of ticks is, on over off. */
export const lateRatios = (pairs: readonly Pair[]): number[] =>
  pairs.map(({ off, on }) => on.lateP99Us / off.lateP99Us);

/** The median, with the lowest and the highest. */
export function showSpread(values: readonly number[], digits = 3): string {
  const [median, min, max] = [percentile(values, 0.5), Math.min(...values), Math.max(...values)];
  return `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

const timing = ({ medianUs, p99Us }: Timing): string => `${Math.round(medianUs)} / ${Math.round(p99Us)}`;
const kb = (bytes: number): string => (Number.isFinite(bytes) ? (bytes / 1_024).toFixed(2) : "-");
const medianOf = (windows: readonly Window[], value: (window: Window) => number): number =>
  percentile(windows.map(value), 0.5);
const share = (value: number): string => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "-");

/** What one state costs by itself. */
export function encodeTable(rows: readonly (readonly [kb: number, EncodeFigures])[]): string {
  return columns([
    ["state", "encode whole", "encode delta", "restore whole", "restore delta", "body", "whole", "delta"],
    ["KB", "us", "us", "us", "us", "KB", "KB", "KB"],
    ...rows.map(([size, figures]) => [
      String(size),
      timing(figures.encodeWhole),
      timing(figures.encodeDelta),
      timing(figures.restoreWhole),
      timing(figures.restoreDelta),
      kb(figures.bodyBytes),
      kb(figures.wholeBytes),
      kb(figures.deltaBytes),
    ]),
  ]);
}

export function stepTable(rows: readonly (readonly [kb: number, EncodeFigures])[]): string {
  const names = rows[0]?.[1].steps.map(([name]) => name) ?? [];
  return columns([
    [...rows.map(([size]) => `${size} KB`), "median us a round"],
    ...names.map((name, index) => [
      ...rows.map(([, figures]) => (figures.steps[index]?.[1] ?? Number.NaN).toFixed(0)),
      name,
    ]),
  ]);
}

/** What checkpoints cost a node and its Postgres. */
export function sceneTable(rows: readonly Measured[]): string {
  return columns([
    [
      "state",
      "rooms",
      "saves",
      "stored whole",
      "delta",
      "WAL a save",
      "tick late p99",
      "node CPU",
      "on/off",
      "a save",
      "Postgres CPU",
      "a save",
      "idle",
    ],
    [
      "KB",
      "dirty/all",
      "1/s",
      "KB",
      "KB",
      "KB (+ full pages)",
      "ms off > on",
      "off > on",
      "median (min-max)",
      "us",
      "off > on",
      "us",
      "on",
    ],
    ...rows.map((row) => sceneRow(row)),
  ]);
}

function sceneRow({ options, pairs, stored }: Measured): string[] {
  const on = pairs.map((pair) => pair.on);
  const off = pairs.map((pair) => pair.off);
  const ms = (windows: readonly Window[]): string =>
    (medianOf(windows, (window) => window.lateP99Us) / 1_000).toFixed(1);
  const cpu = (windows: readonly Window[]): string =>
    share(medianOf(windows, (window) => window.cpuMs / window.wallMs));
  const postgres = (windows: readonly Window[]): string =>
    share(medianOf(windows, (window) => window.postgresMs / window.wallMs));
  // What the others write (leases, the event log) is in the off window as well, and taken away.
  const wal = (full: boolean): number =>
    percentile(
      pairs.map((pair) => (walOf(pair.on, full) - walOf(pair.off, full)) / pair.on.saved),
      0.5,
    );
  const extra = (value: (window: Window) => number): string => {
    const us = pairs.map(
      (pair) =>
        ((value(pair.on) / pair.on.wallMs - value(pair.off) / pair.off.wallMs) * pair.on.wallMs * 1_000) /
        pair.on.saved,
    );
    const median = percentile(us, 0.5);
    return Number.isFinite(median) ? median.toFixed(0) : "-";
  };
  return [
    String(options.kb),
    `${Math.round(options.rooms * options.dirty)}/${options.rooms}`,
    medianOf(on, (window) => (window.saved * 1_000) / window.wallMs).toFixed(1),
    kb(stored.wholeBytes),
    kb(stored.deltaBytes),
    `${kb(wal(false))} (+ ${kb(wal(true))})`,
    `${ms(off)} > ${ms(on)}`,
    `${cpu(off)} > ${cpu(on)}`,
    showSpread(cpuRatios(pairs)),
    extra((window) => window.cpuMs),
    `${postgres(off)} > ${postgres(on)}`,
    extra((window) => window.postgresMs),
    share(medianOf(on, (window) => window.idle)),
  ];
}

function walOf({ wal }: Window, isFullPages: boolean): number {
  return isFullPages ? wal.fullPageBytes : wal.bytes - wal.fullPageBytes;
}

export function profileLines(figures: ProfileFigures, saved: number): string[] {
  const busy = figures.totalMs - figures.idleMs;
  const each = (ms: number): string => `${((ms * 1_000) / saved).toFixed(1)} us a save`;
  const line = ({ name, ms }: ProfileLine): string => `  ${each(ms).padStart(18)}  ${name}`;
  return [
    `profile   ${saved.toFixed(0)} saves; ${busy.toFixed(0)} ms busy of ${figures.totalMs.toFixed(0)}: checkpointer ` +
      `${figures.checkpointMs.toFixed(0)} ms (${each(figures.checkpointMs)}), driver ${figures.driverMs.toFixed(0)} ms ` +
      `(${each(figures.driverMs)}), all garbage ${figures.gcMs.toFixed(0)} ms`,
    "  with all that it calls:",
    ...figures.whole.map(line),
    "  by itself:",
    ...figures.self.map(line),
  ];
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padStart(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
