// The local cluster's smaller decisions: commands, settings, restarts, a node's lines.

import { describe, expect, test } from "vitest";
import { parseCommand } from "../../src/local/commands.ts";
import { withProcesses } from "../../src/local/management.ts";
import { LINE_BYTES_MAX, lineReader, parseNodeLine } from "../../src/local/node-output.ts";
import { afterEnd } from "../../src/local/restart.ts";
import { readLocalSettings } from "../../src/local/settings.ts";

describe("[LOC1] starting and stopping leaves nothing behind", () => {
  test.each([
    [null, "SIGKILL", "killed", 0, undefined],
    [0, null, "drained", 0, undefined],
    [75, null, "drained", 0, undefined],
    [1, null, "drained", 0, 500],
    [75, null, undefined, 0, 0],
    [75, null, undefined, 2, 2_000],
    [1, null, undefined, 0, 500],
    [null, "SIGSEGV", undefined, 1, 1_000],
    [1, null, undefined, 40, 10_000],
  ] as const)(
    "[LOC1] an end with code %s, signal %s, doom %s after %s quick ends",
    (code, name, doom, quick, ms) => {
      const next = afterEnd(code, name, doom, quick);
      expect(next.kind === "restart" ? next.afterMs : undefined).toBe(ms);
    },
  );

  test("[LOC1] every fault in the settings is told at once, and no password", () => {
    const env = { PORT: "70000", NODES: "0", DATABASE_URL: "mysql://u:hunter2@h/d", REDIS_URI: "hunter3" };
    let message = "";
    try {
      readLocalSettings(env, "/srv/x");
    } catch (error) {
      message = String(error);
    }
    for (const name of ["PORT=70000", "NODES=0", "DATABASE_URL must", "REDIS_URI must"])
      expect(message).toContain(name);
    expect(message).not.toMatch(/hunter|\n/);
  });

  test("[LOC1] REDIS_URI is REDIS_URL by another name, and blank settings are unset", () => {
    const settings = readLocalSettings({ REDIS_URI: "redis://h", DATABASE_URL: " ", PORT: "" }, "/srv/x");
    expect(settings).toMatchObject({
      redisUrl: "redis://h",
      databaseUrl: undefined,
      port: 2_567,
      dataDir: "/srv/x/.ringside",
    });
  });
});

describe("[LOC3] the story tells what happened", () => {
  test.each([
    ["k b", { name: "kill", nodeId: "node-b" }],
    ["kb", { name: "kill", nodeId: "node-b" }],
    ["KILL node-b", { name: "kill", nodeId: "node-b" }],
    ["  freeze   c ", { name: "freeze", nodeId: "node-c" }],
    ["a", { name: "add" }],
    ["add", { name: "add" }],
    ["q", { name: "quit" }],
  ])("[LOC3] %j is understood", (line, command) => {
    expect(parseCommand(line)).toEqual(command);
  });

  test.each([
    ["", /first letters/],
    ["k", /which node/],
    ["sudo rm", /not known/],
  ])("[LOC3] %j gets a hint", (line, hint) => {
    const command = parseCommand(line);
    expect(command.name === "none" ? command.hint : "").toMatch(hint);
  });

  test("[LOC3] a node's lines: events, errors, and everything else", () => {
    expect(parseNodeLine('{"event":"node:ready","time":7,"readyMs":3}')).toMatchObject({
      kind: "event",
      event: { name: "node:ready", at: 7 },
    });
    expect(parseNodeLine('{"level":50,"msg":"bad","err":{"message":"why"}}')).toEqual({
      kind: "error",
      text: "bad: why",
    });
    expect(parseNodeLine('{"level":"error","msg":"bad"}')).toEqual({ kind: "error", text: "bad" });
    for (const line of ["hello", "{", "[1]", "null", '{"level":30,"msg":"fine"}'])
      expect(parseNodeLine(line)).toEqual({ kind: "other" });
  });

  test("[LOC3] a line in pieces is one line, and an endless one is cut", () => {
    const lines: string[] = [];
    const read = lineReader((line) => lines.push(line));
    for (const piece of ["a", "b\nc", "\n", "x".repeat(LINE_BYTES_MAX), "y".repeat(LINE_BYTES_MAX), "\nd\n"])
      read(piece);
    expect(lines.map((line) => line.length)).toEqual([2, 1, LINE_BYTES_MAX, 1]);
  });

  test("[LOC3] a node's earlier incarnation counts as exited, whatever runs under its name now", () => {
    const shown = withProcesses(
      {
        nodes: [
          { nodeId: "node-a", pid: 1 },
          { nodeId: "node-a", pid: 2 },
        ],
      },
      [
        {
          nodeId: "node-a",
          pid: 2,
          publicPort: 0,
          managementPort: 0,
          isDraining: false,
          isReady: true,
          state: "frozen",
        },
      ],
    );
    expect(shown).toEqual({
      nodes: [
        { nodeId: "node-a", pid: 1, process: "exited" },
        { nodeId: "node-a", pid: 2, process: "frozen" },
      ],
    });
  });
});
