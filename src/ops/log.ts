// The log: one JSON object a line on standard output. Turning points come from the events (events.ts); everything else
// is counted, not logged.

import pino, { type Logger } from "pino";
import type { EventBus, EventName } from "../events.ts";
import type { NodeId } from "../ids.ts";

export type { Logger };

/** Events that somebody should look at, and those that healed but count. The rest are turning points. */
const LEVELS: Partial<Record<EventName, "error" | "warn" | "debug">> = {
  "node:fenced": "warn",
  "node:lost": "warn",
  "lease:lapsed": "warn",
  "failsafe:entered": "warn",
  "failsafe:denied": "warn",
  "room:fenced": "warn",
  "room:threw": "error",
  "room:unreadable": "error",
  "room:quarantined": "error",
  "checkpoint:refused": "warn",
  "checkpoint:failed": "warn",
  "checkpoint:saved": "debug",
  "postgres:lost": "error",
  "postgres:replaced": "warn",
  "redis:lost": "error",
  "seat:guessed": "warn",
  "seat:taken": "debug",
  "seat:relinked": "debug",
  "link:lost": "warn",
  "link:refused": "warn",
  "link:fell-behind": "warn",
  "player:cut-off": "warn",
  "door:refused": "warn",
  "player:expelled": "debug",
  "login:ended": "debug",
};

export function openLog(level: string, nodeId: NodeId): Logger {
  return pino({ level, base: { nodeId }, formatters: { level: (label) => ({ level: label }) } });
}

/** Logs every event, with its facts as fields. */
export function logEvents(log: Logger, events: EventBus): () => void {
  return events.listen((name: EventName, facts: object) =>
    log[LEVELS[name] ?? "info"]({ event: name, ...facts }, name),
  );
}

/** Colyseus's logger: it passes several arguments, of which pino would keep one. */
export function colyseusLogger(
  log: Logger,
): Record<"debug" | "error" | "info" | "trace" | "warn", (...args: unknown[]) => void> {
  const at =
    (level: "debug" | "error" | "warn") =>
    (...args: unknown[]): void =>
      log[level]({ from: "colyseus", detail: args.map(String).join(" ").slice(0, 2_000) }, "colyseus");
  // What it calls information (every join, every room) is our debug.
  return { debug: at("debug"), trace: at("debug"), info: at("debug"), warn: at("warn"), error: at("warn") };
}
