// Prometheus's text format, version 0.0.4, read strictly: what a scraper may stumble over is an error here.
// https://prometheus.io/docs/instrumenting/exposition_formats/

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly samples: Sample[];
}

export class Exposition {
  readonly families = new Map<string, Family>();

  /** @throws Error that names the line which is not as it must be */
  constructor(text: string) {
    if (!text.endsWith("\n")) throw new Error("the last line does not end");
    let help: { readonly name: string; readonly text: string } | undefined;
    let family: Family | undefined;
    const seen = new Set<string>();
    for (const [index, line] of text.slice(0, -1).split("\n").entries()) {
      const wrong = (why: string): Error => new Error(`line ${index + 1}, ${why}: ${line}`);
      if (line === "") continue;
      const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
      if (comment !== null) {
        const [, kind, name = "", rest = ""] = comment;
        if (kind === "HELP") {
          help = { name, text: rest };
          family = undefined;
          continue;
        }
        if (help?.name !== name) throw wrong("TYPE without its HELP");
        if (this.families.has(name)) throw wrong("a family told twice");
        if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw wrong("an unknown type");
        family = { name, help: help.text, type: rest as Family["type"], samples: [] };
        this.families.set(name, family);
        continue;
      }
      if (line.startsWith("#")) throw wrong("a comment that is neither HELP nor TYPE");
      const sample = readSample(line);
      if (sample === undefined) throw wrong("not a sample");
      if (family === undefined || !isNameOf(family, sample.name)) throw wrong("a sample outside its family");
      const series = `${sample.name}${keyOf(sample.labels)}`;
      if (seen.has(series)) throw wrong("a series told twice");
      seen.add(series);
      if (family.type === "counter" && !(sample.value >= 0)) throw wrong("a counter below 0");
      family.samples.push(sample);
    }
    for (const each of this.families.values()) if (each.type === "histogram") checkHistogram(each);
  }

  /** The value of one series; undefined when there is none. */
  find(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const wanted = keyOf(labels);
    return [...this.families.values()]
      .flatMap(({ samples }) => samples)
      .find((sample) => sample.name === name && keyOf(sample.labels) === wanted)?.value;
  }

  /** @throws when there is no such series */
  get(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const value = this.find(name, labels);
    if (value === undefined) throw new Error(`there is no ${name}${JSON.stringify(labels)}`);
    return value;
  }
}

/** The same for the same labels, in whatever order they were written. */
function keyOf(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function readSample(line: string): Sample | undefined {
  const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (found === null) return undefined;
  const [, name = "", inBraces, number = ""] = found;
  const labels: Record<string, string> = {};
  let rest = inBraces ?? "";
  while (rest !== "") {
    const label = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\[\\"n])*)"(?:,(?=.)|$)/.exec(rest);
    if (label === null || label[1]! in labels) return undefined;
    labels[label[1]!] = label[2]!;
    rest = rest.slice(label[0].length);
  }
  const value = readNumber(number);
  return value === undefined ? undefined : { name, labels, value };
}

/** As Go's ParseFloat does, which is what the format refers to. */
function readNumber(text: string): number | undefined {
  if (/^nan$/i.test(text)) return Number.NaN;
  const infinite = /^([+-]?)inf$/i.exec(text);
  if (infinite !== null) return infinite[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function isNameOf({ name, type }: Family, sample: string): boolean {
  if (type === "histogram") return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
  if (type === "summary") return [name, `${name}_sum`, `${name}_count`].includes(sample);
  return sample === name;
}

/** Each series of it: buckets that ascend and never shrink, the last one +Inf and equal to the count, and a sum. */
function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>();
  for (const sample of samples) {
    const { le, ...labels } = sample.labels;
    const key = keyOf(labels);
    const one = series.get(key) ?? { buckets: [] };
    series.set(key, one);
    if (sample.name.endsWith("_bucket")) one.buckets.push([readNumber(le ?? "") ?? Number.NaN, sample.value]);
    else if (le !== undefined) throw new Error(`${sample.name} has a le`);
    else one[sample.name.endsWith("_sum") ? "sum" : "count"] = sample.value;
  }
  for (const [key, { buckets, sum, count }] of series) {
    const isAscending = buckets.every(([le, value], index) => {
      const [leBefore, valueBefore] = buckets[index - 1] ?? [-Infinity, 0];
      return le > leBefore && value >= valueBefore;
    });
    const last = buckets.at(-1);
    if (!isAscending || last?.[0] !== Infinity || last[1] !== count || sum === undefined)
      throw new Error(`the histogram ${name}${key} does not add up`);
  }
}
