// Who listens on a port, to say it to somebody whose start it blocks. A courtesy: undefined whenever it cannot be told.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** For example "node (pid 4711)"; Linux only, and without root only for one's own processes. */
export function portOwner(port: number): string | undefined {
  const inodes = new Set([...listeners("/proc/net/tcp", port), ...listeners("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return undefined;
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of list(`/proc/${pid}/fd`)) {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode === undefined || !inodes.has(inode)) continue;
        return `${readFileSync(`/proc/${pid}/comm`, "utf8").trim()} (pid ${pid})`;
      } catch {
        continue; // closed or gone meanwhile
      }
    }
  }
  return undefined;
}

function listeners(file: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  try {
    const rows = readFileSync(file, "utf8").split("\n").slice(1);
    return rows
      .map((row) => row.trim().split(/\s+/))
      .filter((row) => row[1]?.endsWith(wanted) === true && row[3] === "0A") // 0A: it listens
      .map((row) => row[9] ?? "");
  } catch {
    return [];
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
