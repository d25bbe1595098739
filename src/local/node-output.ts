// What a node prints, read line by line: JSON with an `event` is a turning point, JSON at error level is for the
// terminal, anything else is for the log file only. Length and rate are bounded, whatever a room may print.

export interface NodeEvent {
  readonly name: string;
  /** Ms since 1970. */
  readonly at: number;
  readonly facts: Readonly<Record<string, unknown>>;
}

export type NodeLine =
  | { readonly kind: "event"; readonly event: NodeEvent }
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "other" };

export const LINE_BYTES_MAX = 64 * 1024;
const TEXT_MAX = 300;
const PINO_ERROR = 50;

export function parseNodeLine(line: string): NodeLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: "other" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { kind: "other" };
  const facts = value as Record<string, unknown>; // any object that is not an array may be read this way
  const { event, time, level, msg } = facts;
  if (typeof event === "string") {
    return { kind: "event", event: { name: event, at: typeof time === "number" ? time : 0, facts } };
  }
  if (level !== "error" && level !== "fatal" && !(typeof level === "number" && level >= PINO_ERROR)) {
    return { kind: "other" };
  }
  const error = facts["error"] ?? facts["err"];
  const detail = typeof error === "object" && error !== null && "message" in error ? error.message : error;
  const text = [msg, detail].filter((part) => typeof part === "string" && part !== "").join(": ");
  return { kind: "error", text: text.slice(0, TEXT_MAX) };
}

/** Cuts a stream of text into lines. What is longer than `LINE_BYTES_MAX` is cut off there. */
export function lineReader(onLine: (line: string) => void): (text: string) => void {
  let rest = "";
  return (text) => {
    const parts = (rest + text).split("\n");
    rest = (parts.pop() ?? "").slice(0, LINE_BYTES_MAX);
    for (const part of parts) if (part !== "") onLine(part.slice(0, LINE_BYTES_MAX));
  };
}
