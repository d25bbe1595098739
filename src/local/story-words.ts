// Numbers and names as the story says them. What comes from a node's line is checked here, once.

/** "312 ms", "3.1 s". */
export function millis(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : seconds(ms);
}

/** "0.8 s". */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** "1 room", "2 rooms". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A name from a node's line, without control characters: it goes to a terminal. */
export function text(value: unknown): string {
  // oxlint-disable-next-line no-control-regex
  return typeof value === "string" ? value.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "").slice(0, 64) : "?";
}

export function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
