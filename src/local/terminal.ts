// The terminal: what is printed, and commands typed into it. Commands are read only from a real terminal, line by
// line, in its ordinary mode: Ctrl-C stays what it is, and a start in a pipeline never waits for input.

import { createInterface } from "node:readline";
import { parseCommand, type Command } from "./commands.ts";
import type { LocalSettings } from "./settings.ts";
import { MANAGEMENT_OFFSET } from "./settings.ts";
import type { NodeProcess } from "./nodes.ts";
import { seconds } from "./story-words.ts";

export interface Terminal {
  readonly say: (line: string) => void;
  close(): void;
}

export function openTerminal(onCommand: (command: Command) => void): Terminal {
  // A closed terminal or pipe must not end the cluster halfway through stopping.
  for (const stream of [process.stdin, process.stdout, process.stderr]) stream.on("error", () => undefined);
  const lines = process.stdin.isTTY ? createInterface({ input: process.stdin, terminal: false }) : undefined;
  lines?.on("line", (line) => onCommand(parseCommand(line)));
  return {
    say: (line) => void process.stdout.write(`${line}\n`),
    close: () => {
      lines?.close();
      process.stdin.unref?.();
    },
  };
}

/** What the user sees when all is up. */
export function greeting(
  settings: LocalSettings,
  nodes: readonly NodeProcess[],
  startMs: number,
  help: string | undefined,
): string[] {
  const at = `http://localhost:${settings.port}`;
  const stores = [
    settings.databaseUrl === undefined ? "a private Postgres" : "Postgres at DATABASE_URL",
    settings.redisUrl === undefined ? "a private Redis" : "Redis at REDIS_URL",
  ];
  return [
    "",
    `  Ringside is up: ${nodes.length} ${nodes.length === 1 ? "node" : "nodes"} behind one address, after ${seconds(startMs)}.`,
    "",
    `  play     ${at}`,
    `  cluster  http://localhost:${settings.port + MANAGEMENT_OFFSET}/api/cluster`,
    `  nodes    ${nodes.map((node) => `${node.nodeId} (pid ${node.pid})`).join(", ")}`,
    `  stores   ${stores.join(", ")}`,
    `  files    ${settings.dataDir}`,
    "",
    ...(help === undefined ? [] : [`  Type: ${help}`]),
    "  Ctrl-C stops everything.",
    "",
  ];
}

/** The answer to `list`. */
export function listing(nodes: readonly NodeProcess[]): string[] {
  return nodes.map((node) => {
    const state =
      node.state === "running"
        ? node.isDraining
          ? "leaving"
          : node.isReady
            ? "running"
            : "starting"
        : node.state;
    return `  ${node.nodeId}  ${state}${node.state === "exited" ? "" : `  pid ${node.pid}`}`;
  });
}
