// Which process is meant: a pid alone is reused, so it is kept together with when that process was born.
// Nobody here signals a pid from a file without asking `isAlive` first.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { systemClock, type Clock } from "../runtime/clock.ts";

export interface ProcessId {
  readonly pid: number;
  /** Opaque; equal for the same process only. */
  readonly born: string;
}

/** The identity of the process that has this pid now; undefined when there is none, or only a zombie. */
export function identify(pid: number): ProcessId | undefined {
  const born = process.platform === "linux" ? bornOnLinux(pid) : bornElsewhere(pid);
  return born === undefined ? undefined : { pid, born };
}

export function isAlive(id: ProcessId): boolean {
  return identify(id.pid)?.born === id.born;
}

/** Sends the signal if that very process still runs. @returns whether it was sent */
export function signal(id: ProcessId, name: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false;
  try {
    return process.kill(id.pid, name);
  } catch {
    return false; // it ended between the two lines, or belongs to someone else
  }
}

/** Waits until the process has ended, at most `ms`. @returns whether it has */
export async function goneWithin(id: ProcessId, ms: number, clock: Clock = systemClock): Promise<boolean> {
  const until = clock.monotonicMs() + ms;
  while (isAlive(id)) {
    if (clock.monotonicMs() >= until) return false;
    await clock.sleep(20); // not our child, so there is no event to wait for
  }
  return true;
}

/** What a file said of a process, or undefined when it says nothing usable. */
export function parseProcessId(value: unknown): ProcessId | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, born } = value as Record<string, unknown>; // any object may be read this way
  return Number.isInteger(pid) && Number(pid) > 1 && typeof born === "string"
    ? { pid: Number(pid), born }
    : undefined;
}

function bornOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${fields[19] ?? ""}`;
  } catch {
    return undefined;
  }
}

function bornElsewhere(pid: number): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      timeout: 2_000,
    }).trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
