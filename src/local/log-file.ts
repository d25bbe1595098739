// A log file that stays small: at `LOG_BYTES_MAX` it becomes `<name>.1`, replacing the one before.
// Written at once, so that the last words of a process that dies are there; the lines are turning points, and few.

import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";

const LOG_BYTES_MAX = 5 * 1024 * 1024;

export interface LogFile {
  readonly path: string;
  append(line: string): void;
}

export function openLogFile(path: string): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return {
    path,
    append: (line) => {
      try {
        if (bytes > LOG_BYTES_MAX) {
          renameSync(path, `${path}.1`);
          bytes = 0;
        }
        appendFileSync(path, `${line}\n`, { mode: 0o600 });
        bytes += Buffer.byteLength(line) + 1;
      } catch {
        // A full disk must not end a cluster that can still save and play elsewhere.
      }
    },
  };
}
