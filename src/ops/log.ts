// The log: one JSON object a line on standard output. Turning points come from the events (events.ts); everything else
// is counted, not logged.

import pino, { type Logger } from "pino";
import type { EventBus, EventName } from "../events.ts";
import type { NodeId } from "../ids.ts";
import type { Clock } from "../runtime/clock.ts";

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
  "proxy:not-trusted": "warn",
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

/** Lines of Colyseus a second: it has one, or a page, for each message of a player that it cannot read. */
const LINES_PER_SECOND = 20;
const LINE_LENGTH_MAX = 500;

/** Colyseus's logger: it passes several arguments, of which pino would keep one. Past its bound only the number is told. */
export function colyseusLogger(
  log: Logger,
  clock: Clock,
): Record<"debug" | "error" | "info" | "trace" | "warn", (...args: unknown[]) => void> {
  let second = 0;
  let lines = 0;
  const mayTell = (): boolean => {
    const now = Math.floor(clock.monotonicMs() / 1_000);
    if (now !== second) {
      if (lines > LINES_PER_SECOND)
        log.warn({ from: "colyseus", leftOut: lines - LINES_PER_SECOND }, "colyseus");
      second = now;
      lines = 0;
    }
    lines += 1;
    return lines <= LINES_PER_SECOND;
  };
  const at =
    (level: "debug" | "warn") =>
    (...args: unknown[]): void => {
      if (!log.isLevelEnabled(level) || !mayTell()) return;
      log[level](
        { from: "colyseus", detail: args.map(String).join(" ").slice(0, LINE_LENGTH_MAX) },
        "colyseus",
      );
    };
  // What it calls information (every join, every room) is our debug.
  return { debug: at("debug"), trace: at("debug"), info: at("debug"), warn: at("warn"), error: at("warn") };
}
