// The CPU time that processes have used, as Linux counts it. Of what a wall clock says on a machine that others use too, this
// is what can be compared.

import { readFileSync } from "node:fs";

/** What `getconf CLK_TCK` says on every Linux there is. */
const TICKS_PER_SECOND = 100;

/** In ms, by process id; a process that is gone has none. */
export function cpuMsOf(pids: readonly number[]): Map<number, number> {
  const times = new Map<number, number>();
  for (const pid of pids) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The name, in brackets, may hold anything; what is counted from is behind it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      times.set(pid, ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND);
    } catch {
      continue;
    }
  }
  return times;
}
