// A run as a page: the verdict, the figures, and a timeline with a lane for each node, each kind of fault, each room, where a
// change of colour is a move to another node, and each player. One file without anything from outside; drawn as SVG, with what each thing is on hover.

import type { Verdict } from "./checker/check.ts";
import { figuresOf, histogram } from "./figures.ts";
import type { History } from "./history.ts";
import type { Run } from "./run.ts";
import { linesAround, timelineOf } from "./timeline.ts";

const WIDTH = 1_400;
const LABEL = 130;
const ROW = 18;

interface Span {
  readonly from: number;
  readonly to: number;
  readonly kind: string;
  readonly title: string;
}

interface Lane {
  readonly name: string;
  readonly spans: readonly Span[];
}

export function htmlReport(run: Run, verdict: Verdict, again: string): string {
  const { history, startedAt, endedAt } = run;
  const { violations, smallestRoom } = verdict;
  const figures = figuresOf(history, violations);
  const isGood = violations.length === 0;
  const found = violations
    .slice(0, 200)
    .map(
      ({ rule, roomId, what, at }) => `${Math.round(at - startedAt)} ms  ${rule}  ${roomId ?? ""}  ${what}`,
    );
  const first = violations.find(({ roomId }) => roomId === smallestRoom);
  const story =
    smallestRoom === undefined
      ? []
      : linesAround(timelineOf(history, smallestRoom), first?.at ?? endedAt, startedAt, 200);
  const figuresText = [
    `double activations ${figures.doubleActivations}, lost commits ${figures.lostCommits}, refused writes ${figures.refusedWrites} of ${figures.acceptedWrites + figures.refusedWrites}, plain entries rolled back ${figures.rolledBack}`,
    ...histogram("recovery", figures.recoveryMs),
    ...histogram("rollback", figures.rollbackMs),
    ...histogram("players away", figures.awayMs),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Chaos: ${isGood ? "nothing is wrong" : `${violations.length} violations`}</title>
<style>
  body { font: 14px system-ui, sans-serif; margin: 2rem; color: #1c2430; background: #fff; }
  h1 { font-size: 1.3rem; color: ${isGood ? "#17703c" : "#b3261e"}; }
  pre { font: 12px ui-monospace, monospace; background: #f4f6f8; padding: .8rem; overflow-x: auto; }
  svg { display: block; background: #fafbfc; border: 1px solid #d8dee4; }
  .up { fill: #9ccfae; } .fault { fill: #e08a3c; opacity: .75; } .skipped { fill: #c9ced4; }
  .frozen { fill: #6aa3e0; } .on-0 { fill: #3f78b5; } .on-1 { fill: #8e6bbf; } .on-2 { fill: #2f9e8f; }
  .on-3 { fill: #b08d2e; } .on-4 { fill: #7a8494; } .away { fill: #d65c5c; }
  .refused { fill: #7a1212; } .violation { stroke: #b3261e; stroke-width: 1.5; } text { font-size: 11px; fill: #4a5563; }
</style></head><body>
<h1>${isGood ? "Nothing is wrong" : `${violations.length} violations`}</h1>
<pre>${escape(again)}</pre>
${found.length === 0 ? "" : `<pre>${escape(found.join("\n"))}</pre>`}
${timeline(history, verdict, startedAt, endedAt)}
<pre>${escape(figuresText.join("\n"))}</pre>
${story.length === 0 ? "" : `<h2>The smallest failing room, ${escape(smallestRoom ?? "")}</h2><pre>${escape(story.join("\n"))}</pre>`}
</body></html>
`;
}

function timeline(history: History, { violations }: Verdict, startedAt: number, endedAt: number): string {
  const lanes = [
    ...nodeLanes(history, endedAt),
    ...faultLanes(history),
    ...roomLanes(history),
    ...playerLanes(history),
  ];
  const x = (at: number): number =>
    LABEL + ((WIDTH - LABEL) * (at - startedAt)) / Math.max(1, endedAt - startedAt);
  const height = (lanes.length + 1) * ROW + 10;
  const rows = lanes.map(({ name, spans }, index) => {
    const y = (index + 1) * ROW;
    const bars = spans.map(({ from, to, kind, title }) => {
      const width = Math.max(2, x(to) - x(from));
      return `<rect class="${kind}" x="${x(from).toFixed(1)}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 6}"><title>${escape(title)}</title></rect>`;
    });
    return `<text x="4" y="${y + 13}">${escape(name)}</text>${bars.join("")}`;
  });
  const marks = violations.slice(0, 50).map(({ at, what }) => {
    const place = x(Math.max(startedAt, at)).toFixed(1);
    return `<line class="violation" x1="${place}" x2="${place}" y1="0" y2="${height}"><title>${escape(what)}</title></line>`;
  });
  const healedAt = history.aftermath?.healedAt;
  const healed =
    healedAt === undefined
      ? ""
      : `<line x1="${x(healedAt)}" x2="${x(healedAt)}" y1="0" y2="${height}" stroke="#17703c"/><text x="${x(healedAt) + 3}" y="${height - 6}">healed</text>`;
  const seconds = Math.ceil((endedAt - startedAt) / 1_000);
  const ticks = Array.from({ length: Math.floor(seconds / 10) + 1 }, (_, index) => {
    return `<text x="${x(startedAt + index * 10_000).toFixed(1)}" y="12">${index * 10} s</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="100%">${ticks.join("")}${rows.join("")}${healed}${marks.join("")}</svg>`;
}

function nodeLanes({ lives, faults }: History, endedAt: number): Lane[] {
  const names = [...new Set(lives.map(({ nodeId }) => nodeId))].sort();
  return names.map((name) => {
    const up = lives
      .filter(({ nodeId }) => nodeId === name)
      .map(({ pid, from, to, exit }): Span => {
        return {
          from,
          to: to ?? endedAt,
          kind: "up",
          title: `${name}, process ${pid}${exit === undefined ? "" : `, ended with ${exit}`}`,
        };
      });
    const frozen = faults
      .filter(({ name: fault, target }) => fault === "freeze" && target === name)
      .map(({ from, to }): Span => ({
        from,
        to,
        kind: "frozen",
        title: `${name} frozen for ${to - from} ms`,
      }));
    return { name, spans: [...up, ...frozen] };
  });
}

function faultLanes({ faults }: History): Lane[] {
  return [...Map.groupBy(faults, ({ name }) => name)].map(([name, own]) => ({
    name,
    spans: own.map(({ target, from, to, bit, skipped }): Span => {
      const title = `${name} of ${target}, ${to - from} ms: ${skipped ?? bit ?? "without effect"}`;
      return { from, to, kind: skipped === undefined ? "fault" : "skipped", title };
    }),
  }));
}

/** A bar for each epoch that players heard of. */
function roomLanes({ frames, openings, lives }: History): Lane[] {
  const names = [...new Set(lives.map(({ nodeId }) => nodeId))].sort();
  const ownerOf = new Map(openings.map(({ roomId, epoch, nodeId }) => [`${roomId} ${epoch}`, nodeId]));
  return [...Map.groupBy(frames, ({ roomId }) => roomId)].map(([roomId, own]) => {
    const spans = [...Map.groupBy(own, ({ epoch }) => epoch)].map(([epoch, heard]): Span => {
      const times = heard.map(({ saidAt }) => saidAt);
      const [from, to] = [Math.min(...times), Math.max(...times)];
      const owner = ownerOf.get(`${roomId} ${epoch}`) ?? "?";
      const title = `${roomId}, epoch ${epoch}, ${owner}, process ${heard[0]?.pid}`;
      return { from, to, kind: `on-${names.indexOf(owner)}`, title };
    });
    return { name: roomId, spans };
  });
}

function playerLanes({ absences }: History): Lane[] {
  const byClient = [...Map.groupBy(absences, ({ client }) => client)];
  byClient.sort(([one], [other]) => one.localeCompare(other));
  return byClient.map(([client, own]) => ({
    name: client,
    spans: own.map(({ from, to, end, code, reason }): Span => {
      const title = `${client} away for ${to - from} ms, ${end} ${code ?? ""} ${reason ?? ""}`;
      return { from, to, kind: end === "resumed" ? "away" : "refused", title };
    }),
  }));
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
