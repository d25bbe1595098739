// One cluster a folder. `.ringside/run.json` names the processes of the run under way, so that a second start is told,
// and so that a start after a kill -9 finds what is left of the run before, waits for it, and if need be ends it.
//
// A left-over Postgres is not found here but by its own postmaster.pid (postgres-leftover.ts).

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { goneWithin, identify, isAlive, parseProcessId, signal, type ProcessId } from "./identity.ts";
import { EXIT, StartError } from "./start-error.ts";

interface Run {
  readonly launcher: ProcessId;
  readonly port: number;
  readonly helper: ProcessId | undefined;
  readonly nodes: readonly ProcessId[];
}

export interface RunFile {
  /** Notes which processes belong to this run. */
  note(parts: { helper?: ProcessId | undefined; nodes: readonly ProcessId[] }): void;
  remove(): void;
}

/** How long what is left of a killed run may take to stop by itself; longer than the helper waits for the nodes. */
const LEFTOVER_MS = 30_000;
const ORPHAN_MS = 3_000;

/**
 * Makes this folder ours.
 *
 * @throws StartError when a cluster runs in it
 */
export async function claimFolder(
  dataDir: string,
  port: number,
  say: (line: string) => void,
): Promise<RunFile> {
  const path = join(dataDir, "run.json");
  const me = identify(process.pid);
  if (me === undefined)
    throw new StartError(EXIT.failed, "this system does not tell when a process was born");
  try {
    // Passable for others, because as root Postgres runs as another user below it. What is secret has its own mode.
    mkdirSync(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    await endLeftovers(read(path), dataDir, say);
    rmSync(path, { force: true });
    const run: Run = { launcher: me, port, helper: undefined, nodes: [] };
    write(path, run, linkSync); // fails if another start was here first
    return {
      note: (parts) => write(path, { ...run, helper: parts.helper, nodes: parts.nodes }, renameSync),
      remove: () => rmSync(path, { force: true }),
    };
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    if (syscall === "link" && code === "EEXIST") {
      throw new StartError(EXIT.portBusy, `another start in ${dataDir} is under way`);
    }
    const hint = code === "EACCES" || code === "EPERM" ? ": was it made by another user? Remove it, or" : ";";
    throw new StartError(
      EXIT.failed,
      `${dataDir} cannot be written to (${code ?? ""})${hint} set RINGSIDE_DATA_DIR`,
    );
  }
}

async function endLeftovers(
  run: Run | undefined,
  dataDir: string,
  say: (line: string) => void,
): Promise<void> {
  if (run === undefined) return;
  if (isAlive(run.launcher)) {
    throw new StartError(
      EXIT.portBusy,
      `a cluster already runs in this folder (pid ${run.launcher.pid}, http://localhost:${run.port}); ` +
        "stop it first, or set RINGSIDE_DATA_DIR and PORT to run another beside it",
    );
  }
  const left = [run.helper, ...run.nodes].filter((id) => id !== undefined).filter(isAlive);
  if (left.length === 0) return;
  say(`the run before was killed and is still stopping; waiting for it (${dataDir})`);
  // The helper ends the nodes and then itself. Without it, nodes end because their launcher is gone.
  if (run.helper !== undefined) await end(run.helper, LEFTOVER_MS);
  await Promise.all(run.nodes.map((id) => end(id, ORPHAN_MS)));
}

async function end(id: ProcessId, ms: number): Promise<void> {
  if (await goneWithin(id, ms)) return;
  signal(id, "SIGKILL");
  await goneWithin(id, 5_000);
}

function read(path: string): Run | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>; // each field is parsed below
  } catch {
    return undefined;
  }
  const launcher = parseProcessId(value["launcher"]);
  if (launcher === undefined) return undefined;
  const nodes = Array.isArray(value["nodes"]) ? value["nodes"].map(parseProcessId) : [];
  return {
    launcher,
    port: Number(value["port"]),
    helper: parseProcessId(value["helper"]),
    nodes: nodes.filter((id) => id !== undefined),
  };
}

/** Whole or not at all: written beside its place and put there in one step. */
function write(path: string, run: Run, place: (from: string, to: string) => void): void {
  const half = `${path}.${process.pid}`;
  try {
    writeFileSync(half, JSON.stringify(run), { mode: 0o600 });
    place(half, path);
  } finally {
    rmSync(half, { force: true });
  }
}
