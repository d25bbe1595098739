// The timeline of a run as one drawing: a lane for each node, each kind of fault, each room and each player, under one clock. A
// room's bar has the colour of the node that speaks for it, so that a move is a change of colour; what each thing is stands in
// its title.

import type { History, Violation } from "./history.ts";

const WIDTH = 1_400;
const LABEL = 120;
const ROW = 17;
const HEADING = 26;
const AXIS = 20;
const FOOT = 6;
const LINES_MAX = 50;
/** What a label in a bar takes; where there is less, there is none. */
const LETTER = 5.6;
const LABEL_PAD = 7;
const TICKS_MS = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 300_000];
const TICKS_MAX = 20;

interface Span {
  readonly from: number;
  readonly to: number;
  readonly kind: string;
  readonly title: string;
  readonly label?: string;
}

interface Lane {
  readonly name: string;
  readonly spans: readonly Span[];
}

export interface Window {
  readonly from: number;
  readonly to: number;
}

export function timelineSvg(history: History, violations: readonly Violation[], window: Window): string {
  const names = nodeNames(history);
  const groups: readonly (readonly [string, readonly Lane[]])[] = [
    ["Nodes", nodeLanes(history, names, window.to)],
    ["Faults", faultLanes(history)],
    ["Rooms: a bar for each epoch, in the colour of its node", roomLanes(history, names)],
    ["Players: when they were cut off", playerLanes(history)],
  ];
  const x = (at: number): number =>
    LABEL + ((WIDTH - LABEL) * (at - window.from)) / Math.max(1, window.to - window.from);
  const parts: string[] = [];
  let y = AXIS;
  for (const [title, lanes] of groups) {
    parts.push(`<text class="heading" x="4" y="${y + HEADING - 8}">${escapeHtml(title)}</text>`);
    y += HEADING;
    for (const lane of lanes) {
      parts.push(drawLane(lane, y, x));
      y += ROW;
    }
  }
  const height = y + FOOT;
  const { aftermath } = history;
  const healed =
    aftermath === undefined
      ? ""
      : `<line class="healed" x1="${n(x(aftermath.healedAt))}" x2="${n(x(aftermath.healedAt))}" y1="${AXIS}" y2="${height}"/><text class="healed" x="${n(x(aftermath.healedAt) + 4)}" y="${AXIS + 12}">healed</text>`;
  const wrong = violations.slice(0, LINES_MAX).map(({ at, rule, what }) => {
    const place = n(x(Math.max(window.from, at)));
    return `<line class="violation" x1="${place}" x2="${place}" y1="${AXIS}" y2="${height}"><title>${escapeHtml(`${rule}: ${what}`)}</title></line>`;
  });
  return `<svg class="timeline" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Timeline">${axis(window, height, x)}${parts.join("")}${healed}${wrong.join("")}</svg>`;
}

function axis({ from, to }: Window, height: number, x: (at: number) => number): string {
  const everyMs = TICKS_MS.find((ms) => (to - from) / ms <= TICKS_MAX) ?? 600_000;
  const ticks = Array.from({ length: Math.floor((to - from) / everyMs) + 1 }, (_, index) => {
    const place = n(x(from + index * everyMs));
    return `<line class="tick" x1="${place}" x2="${place}" y1="${AXIS - 4}" y2="${height}"/><text class="tick" x="${place}" y="12">${(index * everyMs) / 1_000} s</text>`;
  });
  return ticks.join("");
}

function drawLane({ name, spans }: Lane, y: number, x: (at: number) => number): string {
  const bars = spans.map(({ from, to, kind, title, label }) => {
    const width = Math.max(2, x(to) - x(from));
    const bar = `<rect class="${kind}" x="${n(x(from))}" y="${y + 2}" width="${n(width)}" height="${ROW - 4}" rx="2"><title>${escapeHtml(title)}</title></rect>`;
    if (label === undefined || width < LABEL_PAD + LETTER * label.length) return bar;
    return `${bar}<text class="in" x="${n(x(from) + 4)}" y="${y + 12}">${escapeHtml(label)}</text>`;
  });
  return `<text class="name" x="4" y="${y + 12}">${escapeHtml(name)}</text><line class="lane" x1="${LABEL}" x2="${WIDTH}" y1="${y + ROW / 2}" y2="${y + ROW / 2}"/>${bars.join("")}`;
}

function nodeNames({ lives }: History): string[] {
  return [...new Set(lives.map(({ nodeId }) => nodeId))].sort();
}

/** What befell a node's own process is drawn over its life. */
const ON_NODES: ReadonlySet<string> = new Set(["freeze", "starve", "drain", "isolate"]);

function nodeLanes({ lives, faults }: History, names: readonly string[], endedAt: number): Lane[] {
  return names.map((name, index) => {
    const up = lives
      .filter(({ nodeId }) => nodeId === name)
      .map(({ pid, from, to, exit }): Span => {
        const title = `${name}, process ${pid}${exit === undefined ? "" : `, ended with ${exit}`}`;
        return { from, to: to ?? endedAt, kind: `on-${index}`, title };
      });
    const befell = faults
      .filter((fault) => ON_NODES.has(fault.name) && fault.target === name)
      .map(({ name: fault, from, to, bit }): Span => {
        const title = `${name}: ${fault} for ${to - from} ms (${bit ?? "without effect"})`;
        const life = lives.find((own) => own.nodeId === name && own.from <= from && (own.to ?? to) > from);
        return { from, to: Math.min(to, life?.to ?? to), kind: "befell", title, label: fault };
      });
    return { name, spans: [...up, ...befell] };
  });
}

function faultLanes({ faults }: History): Lane[] {
  return [...Map.groupBy(faults, ({ name }) => name)].map(([name, own]) => ({
    name,
    spans: own.map(({ target, from, to, bit, skipped }): Span => {
      const title = `${name} of ${target}, ${to - from} ms: ${skipped ?? bit ?? "without effect"}`;
      const kind = skipped !== undefined ? "skipped" : bit === undefined ? "toothless" : "fault";
      return { from, to, kind, title, ...(skipped === undefined ? { label: target } : {}) };
    }),
  }));
}

/** A bar for each epoch that players heard of. */
function roomLanes({ frames, openings }: History, names: readonly string[]): Lane[] {
  const ownerOf = new Map(openings.map(({ roomId, epoch, nodeId }) => [`${roomId} ${epoch}`, nodeId]));
  return [...Map.groupBy(frames, ({ roomId }) => roomId)].map(([roomId, own]) => {
    const spans = [...Map.groupBy(own, ({ epoch }) => epoch)].map(([epoch, heard]): Span => {
      const times = heard.map(({ saidAt }) => saidAt);
      const [from, to] = times.reduce(
        ([first, last], at) => [Math.min(first, at), Math.max(last, at)],
        [Infinity, 0],
      );
      const owner = ownerOf.get(`${roomId} ${epoch}`) ?? "?";
      const title = `${roomId}, epoch ${epoch}, ${owner}, process ${heard[0]?.pid}, ${to - from} ms`;
      return { from, to, kind: `on-${names.indexOf(owner)}`, title, label: String(epoch) };
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

function n(number: number): string {
  return number.toFixed(1);
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
