// Figures of a drill, as one reads them: p50, p99 and the worst. Percentiles are by nearest rank, so each is a value that
// was measured.

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export interface Figure {
  readonly name: string;
  readonly from: string;
  readonly values: readonly number[];
}

/** A table of figures in ms. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, from, values }) => [
    name,
    String(values.length),
    ...[0.5, 0.99, 1].map((share) => show(percentile(values, share))),
    from,
  ]);
  const all = [["ms", "n", "p50", "p99", "max", "measured"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || column === row.length - 1
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function show(ms: number): string {
  if (Number.isNaN(ms)) return "-";
  return ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : String(Math.round(ms));
}

/** How often each value occurs, the smallest first: "1: 96 %, 2: 4 %". */
export function shares(values: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([value, count]) => `${value}: ${((100 * count) / values.length).toFixed(1)} %`)
    .join(", ");
}
