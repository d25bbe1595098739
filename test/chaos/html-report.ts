// A run as a page: the verdict, how to have the same again, the figures, the timeline, and the smallest failing room's story.
// One file without anything from outside.

import type { Verdict } from "./checker/check.ts";
import { figuresOf, histogramOf, type Bucket } from "./figures.ts";
import { escapeHtml, timelineSvg } from "./html-timeline.ts";
import type { FaultRecord, Level, Violation } from "./history.ts";
import type { Run } from "./run.ts";
import { linesAround, timelineOf } from "./timeline.ts";

const STORY_LINES = 200;
const VIOLATIONS_SHOWN = 200;

export function htmlReport(run: Run, verdict: Verdict, again: string): string {
  const { history, startedAt, endedAt } = run;
  const { violations, smallestRoom } = verdict;
  const figures = figuresOf(history, violations);
  const isGood = violations.length === 0;
  const title = isGood ? "Nothing is wrong" : `${violations.length} violations`;
  const begunAt = Math.min(endedAt, ...history.lives.map(({ from }) => from));
  const acted = history.faults.filter(({ skipped }) => skipped === undefined);
  const { epochs, acceptedWrites, refusedWrites, doubleActivations, lostCommits, rolledBack, passed } =
    figures;
  const acknowledged = figures.ops["committed ok"] ?? 0;
  const tiles: readonly (readonly [string | number, string])[] = [
    [acted.length, `faults of ${new Set(acted.map(({ name }) => name)).size} kinds`],
    [epochs, "activations of rooms"],
    [acknowledged, "commits acknowledged"],
    [lostCommits, "of them lost"],
    [doubleActivations, "double activations"],
    [rolledBack, "uncommitted entries rolled back"],
    [acceptedWrites, "writes that Postgres took"],
    [refusedWrites, "refused by epoch"],
    [passed.all, "messages through gateways"],
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Chaos: ${escapeHtml(title.toLowerCase())}</title><style>${STYLE}</style></head>
<body class="${isGood ? "good" : "bad"}">
<header><h1>${escapeHtml(title)}</h1>
<p>${Math.round((endedAt - startedAt) / 1_000)} s from ${new Date(startedAt).toISOString().slice(0, 19)}Z, on ${run.isRedisReal ? "redis-server" : "js-redis-server"}; the run's own timers were up to ${run.lateMs.max} ms late (99 %: ${run.lateMs.p99}). The same again: <code>${escapeHtml(again)}</code></p></header>
<dl class="tiles">${tiles.map(([value, name]) => `<div><dd>${value}</dd><dt>${escapeHtml(name)}</dt></div>`).join("")}</dl>
${isGood ? "" : found(violations, startedAt)}
<section><h2>Timeline</h2><div class="scroll">${timelineSvg(history, violations, { from: begunAt, to: endedAt })}</div></section>
<section><h2>How long</h2><div class="histograms">
${bars("Recovery: the last word of an epoch to the first of the next", figures.recoveryMs)}
${bars("Rollback: the age of the checkpoint that a room was opened from", figures.rollbackMs)}
${bars("Players away, each time", figures.awayMs)}
</div></section>
${smallestRoom === undefined ? "" : story(run, violations, smallestRoom)}
<section><h2>Faults</h2>${faultTable(history.faults)}</section>
${history.aftermath === undefined ? "" : `<section><h2>After healing, as before</h2>${levelTable(history.aftermath.levels)}</section>`}
</body></html>
`;
}

function found(violations: readonly Violation[], startedAt: number): string {
  const rows = violations.slice(0, VIOLATIONS_SHOWN).map(({ rule, roomId, what, at }) => {
    const cells = [`${Math.round(at - startedAt)} ms`, rule, roomId ?? "", what];
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`;
  });
  return `<section><h2>What is wrong</h2><table>${rows.join("")}</table></section>`;
}

function story(
  { history, startedAt, endedAt }: Run,
  violations: readonly Violation[],
  roomId: string,
): string {
  const first = violations.find((violation) => violation.roomId === roomId);
  const lines = linesAround(timelineOf(history, roomId), first?.at ?? endedAt, startedAt, STORY_LINES);
  return `<section><h2>The smallest failing room, ${escapeHtml(roomId)}</h2><pre>${escapeHtml(lines.join("\n"))}</pre></section>`;
}

function bars(name: string, values: readonly number[]): string {
  const { percentiles, buckets } = histogramOf(values);
  const most = Math.max(1, ...buckets.map(({ count }) => count));
  const rows = buckets.map(({ from, upTo, count }: Bucket) => {
    const range = `${from} to ${upTo === Infinity ? "…" : upTo} ms`;
    return `<tr><th>${range}</th><td><span style="width:${((100 * count) / most).toFixed(1)}%"></span></td><td>${count || ""}</td></tr>`;
  });
  const head = percentiles
    ? `n ${values.length}, half within ${percentiles.p50} ms, 99 % within ${percentiles.p99} ms, at most ${percentiles.max} ms`
    : "none";
  return `<figure><figcaption><b>${escapeHtml(name)}</b><br>${head}</figcaption><table class="bars">${rows.join("")}</table></figure>`;
}

function faultTable(faults: readonly FaultRecord[]): string {
  const rows = [...Map.groupBy(faults, ({ name }) => name)].map(([name, own]) => {
    const bitten = own.filter(({ bit }) => bit !== undefined);
    const toothless = own.filter(({ bit, skipped }) => bit === undefined && skipped === undefined).length;
    const example = bitten[0];
    const cells = [
      name,
      String(bitten.length),
      toothless === 0 ? "" : `${toothless} without effect`,
      example === undefined ? (own[0]?.skipped ?? "") : `${example.target}: ${example.bit}`,
    ];
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`;
  });
  return `<table><tr><th>fault</th><th>bit</th><th></th><th>for example</th></tr>${rows.join("")}</table>`;
}

function levelTable(levels: readonly Level[]): string {
  const rows = levels.map(({ name, before, after, atMost }) => {
    const kind = after > atMost ? ' class="wrong"' : "";
    return `<tr${kind}><td>${escapeHtml(name)}</td><td>${before}</td><td>${after}</td><td>${atMost}</td></tr>`;
  });
  return `<table><tr><th></th><th>before</th><th>after</th><th>at most</th></tr>${rows.join("")}</table>`;
}

const STYLE = `
  :root { color-scheme: light dark; --ink: #1c2430; --dim: #5d6876; --line: #dde2e8; --paper: #fff; --soft: #f5f7f9;
    --good: #17703c; --bad: #b3261e; --fault: #dd8231; --away: #d65c5c; --refused: #7a1212; --befell: #1c2430; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #97a1ae; --line: #333b46; --paper: #14181d;
    --soft: #1c2229; --good: #5fc98b; --bad: #ff8a80; --refused: #ff5a5a; --befell: #000; } }
  body { font: 14px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem 2rem 4rem; max-width: 1500px; color: var(--ink); background: var(--paper); }
  h1 { font-size: 1.6rem; margin: 0; } .good h1 { color: var(--good); } .bad h1 { color: var(--bad); }
  h2 { font-size: 1rem; margin: 2rem 0 .6rem; } header p { color: var(--dim); margin: .3rem 0 1rem; }
  code { background: var(--soft); padding: .15rem .4rem; border-radius: 4px; color: var(--ink); user-select: all; }
  .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.4rem, 1fr)); gap: .6rem; margin: 0; }
  .tiles div { background: var(--soft); border-radius: 6px; padding: .5rem .8rem; }
  .tiles dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .tiles dt { color: var(--dim); font-size: .8rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; }
  th { color: var(--dim); font-weight: 400; } tr.wrong td { color: var(--bad); font-weight: 600; }
  pre { font: 12px/1.5 ui-monospace, monospace; background: var(--soft); padding: .8rem; border-radius: 6px; overflow-x: auto; }
  .scroll { overflow-x: auto; } .timeline { display: block; min-width: 900px; width: 100%; background: var(--soft); border-radius: 6px; }
  .timeline text { font-size: 10.5px; fill: var(--dim); } .timeline .name { fill: var(--ink); } .timeline .heading { font-weight: 600; fill: var(--ink); }
  .timeline .in { fill: #fff; font-size: 9.5px; pointer-events: none; } .timeline line.tick { stroke: var(--line); } .timeline text.tick { text-anchor: middle; }
  .timeline line.lane { stroke: var(--line); stroke-dasharray: 1 3; } .timeline line.healed { stroke: var(--good); } .timeline text.healed { fill: var(--good); }
  .violation { stroke: var(--bad); stroke-width: 1.5; } .fault { fill: var(--fault); } .toothless { fill: var(--bad); } .skipped { fill: var(--line); }
  .befell { fill: var(--befell); fill-opacity: .45; } .away { fill: var(--away); } .refused { fill: var(--refused); }
  .on-0 { fill: #3f78b5; } .on-1 { fill: #8e6bbf; } .on-2 { fill: #2f9e8f; } .on-3 { fill: #a9812a; } .on-4 { fill: #b85c80; } .on--1 { fill: #8b95a1; }
  .histograms { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; } figure { margin: 0; } figcaption { margin-bottom: .4rem; color: var(--dim); } figcaption b { color: var(--ink); font-weight: 500; }
  .bars { width: 100%; } .bars th { white-space: nowrap; width: 8.5rem; text-align: right; } .bars td { width: 100%; } .bars td + td { width: 3rem; }
  .bars span { display: block; height: .8rem; margin-top: .25rem; background: #3f78b5; border-radius: 2px; min-width: 0; }
`;
