// What an operator types, as they type it: a script in a process of its own, with nothing but its settings.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const SCRIPTS = new URL("../../scripts/", import.meta.url);

/** Runs scripts/rollback.ts to its end. */
export function runRollback(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Told> {
  return run("rollback.ts", env, args);
}

/** Runs scripts/sessions.ts to its end. */
export function runSessions(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Told> {
  return run("sessions.ts", env, args);
}

function run(script: string, env: Readonly<Record<string, string>>, args: readonly string[]): Promise<Told> {
  const path = fileURLToPath(new URL(script, SCRIPTS));
  const child = spawn(process.execPath, [path, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += String(text)));
  child.stderr.on("data", (text) => (stderr += String(text)));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
