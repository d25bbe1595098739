// The node processes: started, ended, frozen, started again. It knows which process a name stands for right now.
//
// Each runs detached, so that a Ctrl-C meant for the launcher does not reach it, and with an IPC channel whose
// closing tells it that its launcher is gone. What a node prints goes to its log file; events go on to the story.

import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import type { Backend } from "./backends.ts";
import { identify, type ProcessId } from "./identity.ts";
import { openLogFile } from "./log-file.ts";
import { lineReader, parseNodeLine } from "./node-output.ts";
import { afterEnd, type Doom } from "./restart.ts";
import { NODES_MAX, nodeName } from "./settings.ts";
import { EXIT, StartError } from "./start-error.ts";
import type { StoryFact } from "./story.ts";

export type ProcessState = "running" | "frozen" | "exited";

export interface NodeProcess extends Backend {
  readonly state: ProcessState;
  readonly isReady: boolean;
}

/** What came of an action; a refusal says what to do instead. */
export type Outcome =
  { readonly ok: true; readonly nodeId: string; readonly pid: number } | { readonly error: string };

export interface Nodes {
  /** One for each name that was ever started. */
  list(): readonly NodeProcess[];
  /** Resolves when this process serves. @throws StartError when it ends before */
  start(nodeId: string): Promise<void>;
  kill(nodeId: string): Outcome;
  freeze(nodeId: string): Outcome;
  thaw(nodeId: string): Outcome;
  drain(nodeId: string): Outcome;
  /** Starts the first name that is not running. */
  add(): Outcome;
  /** The processes that have not ended. */
  ids(): ProcessId[];
  /** Asks all to leave, and ends those that have not after `ms`. No node is started from here on. */
  stop(ms: number): Promise<void>;
  /** Ends all at once. */
  hurry(): void;
}

export interface NodesOptions {
  /** What Node runs: the node's entry, then the game if it is not the demo's. */
  readonly args: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logDir: string;
  readonly clock: Clock;
  readonly onFact: (fact: StoryFact) => void;
  /** A node's error line, for the terminal. */
  readonly onError: (nodeId: string, text: string, logFile: string) => void;
  readonly onStarted: (id: ProcessId) => void;
  readonly onEnded: (pid: number) => void;
}

interface Entry {
  readonly nodeId: string;
  child: ChildProcess;
  id: ProcessId | undefined;
  state: ProcessState;
  isReady: boolean;
  isDraining: boolean;
  publicPort: number;
  managementPort: number;
  doom: Doom;
  quickEnds: number;
  cancelRestart: () => void;
}

/** A node that ran for this long before it ended was fine: its next start is not delayed for the ends before. */
const STEADY_MS = 30_000;

export function createNodes(options: NodesOptions): Nodes {
  const { clock } = options;
  const entries = new Map<string, Entry>();
  let isStopping = false;

  const start = async (nodeId: string): Promise<void> => {
    const log = openLogFile(join(options.logDir, `${nodeId}.log`));
    const child = spawn(process.execPath, [...options.execArgv, ...options.args], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...options.env, NODE_ID: nodeId },
    });
    const before = entries.get(nodeId);
    before?.cancelRestart();
    const entry: Entry = {
      nodeId,
      child,
      id: child.pid === undefined ? undefined : identify(child.pid),
      state: "running",
      isReady: false,
      isDraining: false,
      publicPort: 0,
      managementPort: 0,
      doom: undefined,
      quickEnds: before?.quickEnds ?? 0,
      cancelRestart: () => undefined,
    };
    entries.set(nodeId, entry);
    if (entry.id !== undefined) options.onStarted(entry.id);
    const startedAt = clock.monotonicMs();

    return new Promise((resolve, reject) => {
      child.stdout?.setEncoding("utf8").on(
        "data",
        lineReader((line) => {
          log.append(line);
          const parsed = parseNodeLine(line);
          if (parsed.kind === "error") options.onError(nodeId, parsed.text, log.path);
          if (parsed.kind !== "event") return;
          const { name, at, facts } = parsed.event;
          if (name === "node:started") {
            entry.publicPort = Number(facts["publicPort"]);
            entry.managementPort = Number(facts["managementPort"]);
          } else if (name === "node:ready") {
            entry.isReady = true;
            resolve();
          } else if (name === "node:draining") {
            entry.isDraining = true;
          }
          options.onFact({ kind: "event", at, nodeId, name, facts });
        }),
      );
      let lastWords = "";
      let wordsWeight = 0;
      child.stderr?.setEncoding("utf8").on(
        "data",
        lineReader((line) => {
          log.append(line);
          // Its own line about what is wrong says most, then the first error, then whatever came first.
          const weight = line.startsWith("ringside: ") ? 3 : /^\w*Error\b/.test(line) ? 2 : 1;
          if (weight > wordsWeight) lastWords = line.replace(/^ringside: /, "");
          wordsWeight = Math.max(weight, wordsWeight);
        }),
      );
      child.once("error", (error) =>
        reject(new StartError(EXIT.failed, `${nodeId} cannot be started: ${error.message}`)),
      );
      // "close" and not "exit": the last words have been read by then.
      child.once("close", (code, name) => {
        entry.state = "exited";
        options.onEnded(child.pid ?? 0);
        const wasSteady = clock.monotonicMs() - startedAt > STEADY_MS;
        const next = afterEnd(code, name, entry.doom, wasSteady ? 0 : entry.quickEnds);
        entry.quickEnds = wasSteady ? 0 : entry.quickEnds + 1;
        const how = `${name === null ? `exit code ${String(code)}` : name}${lastWords === "" ? "" : `: ${lastWords}`}`;
        reject(
          new StartError(code ?? EXIT.failed, `${nodeId} did not start (${how}); its log is ${log.path}`),
        );
        if (isStopping) return;
        const restartMs = next.kind === "restart" ? next.afterMs : undefined;
        options.onFact({ kind: "ended", at: clock.nowMs(), nodeId, why: next.why, lastWords, restartMs });
        if (restartMs !== undefined && entries.get(nodeId) === entry) {
          entry.cancelRestart = clock.after(restartMs, () => void start(nodeId).catch(() => undefined)); // told as "ended"
        }
      });
    });
  };

  const act = (
    nodeId: string,
    name: NodeJS.Signals,
    needs: readonly ProcessState[],
    refusal: string,
    done: (entry: Entry) => StoryFact["kind"] & ("killed" | "frozen" | "thawed" | "draining"),
  ): Outcome => {
    const entry = entries.get(nodeId);
    if (entry === undefined || entry.id === undefined) {
      return { error: `there is no ${nodeId}; there are ${[...entries.keys()].join(", ")}` };
    }
    if (!needs.includes(entry.state)) return { error: `${nodeId} is ${entry.state}; ${refusal}` };
    const { pid } = entry.id;
    // Noted first: the end of the process may be seen before kill() returns to us.
    const kind = done(entry);
    options.onFact({ kind, at: clock.nowMs(), nodeId, pid });
    entry.child.kill(name);
    return { ok: true, nodeId, pid };
  };

  return {
    list: () =>
      [...entries.values()].map((entry) => ({
        nodeId: entry.nodeId,
        pid: entry.id?.pid ?? 0,
        publicPort: entry.publicPort,
        managementPort: entry.managementPort,
        isDraining: entry.isDraining,
        isReady: entry.isReady,
        state: entry.state,
      })),
    start,
    kill: (nodeId) =>
      act(nodeId, "SIGKILL", ["running", "frozen"], "`add` starts it again", (entry) => {
        entry.doom = "killed";
        return "killed";
      }),
    freeze: (nodeId) =>
      act(nodeId, "SIGSTOP", ["running"], "only a running node can be frozen", (entry) => {
        entry.state = "frozen";
        return "frozen";
      }),
    thaw: (nodeId) =>
      act(nodeId, "SIGCONT", ["frozen"], "only a frozen node can be thawed", (entry) => {
        entry.state = "running";
        return "thawed";
      }),
    drain: (nodeId) =>
      act(
        nodeId,
        "SIGTERM",
        ["running"],
        "only a running node can drain; thaw a frozen one first",
        (entry) => {
          entry.doom = "drained";
          entry.isDraining = true;
          return "draining";
        },
      ),
    add: () => {
      const names = Array.from({ length: NODES_MAX }, (_, index) => nodeName(index));
      const nodeId = names.find((name) => (entries.get(name)?.state ?? "exited") === "exited");
      if (nodeId === undefined)
        return { error: `there are ${NODES_MAX} nodes already, the most one machine is given` };
      start(nodeId).catch(() => undefined); // told as "ended"
      return { ok: true, nodeId, pid: entries.get(nodeId)?.id?.pid ?? 0 };
    },
    ids: () =>
      living()
        .map((entry) => entry.id)
        .filter((id) => id !== undefined),
    stop: async (ms) => {
      isStopping = true;
      for (const entry of entries.values()) entry.cancelRestart();
      await Promise.all(
        living().map(async (entry) => {
          const closed = new Promise<void>((resolve) => void entry.child.once("close", () => resolve()));
          // A frozen node hears nothing, and has nothing that may still be saved.
          entry.child.kill(entry.state === "frozen" ? "SIGKILL" : "SIGTERM");
          const cancel = clock.after(ms, () => entry.child.kill("SIGKILL"));
          await closed;
          cancel();
        }),
      );
    },
    hurry: () => {
      for (const entry of living()) entry.child.kill("SIGKILL");
    },
  };

  function living(): Entry[] {
    return [...entries.values()].filter((entry) => entry.state !== "exited");
  }
}
