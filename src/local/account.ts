// Postgres refuses to run as root. When we are root, it runs as another OS user, and whatever it reads must be
// reachable for that user: a clone below a 0700 home is not, so such things live in a folder of the system instead.
//
// That folder is used only while root owns it and nobody else can write to it: programs are started from there.

import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { messageOf } from "../errors.ts";
import { EXIT, StartError } from "./start-error.ts";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The OS user that Postgres runs as; undefined when that is simply us. */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8").split("\n").map(parseUser);
  const found = ["postgres", "nobody"].map((name) => users.find((user) => user?.name === name)).find(Boolean);
  return found ?? { name: "nobody", uid: 65_534, gid: 65_534 };
}

function parseUser(line: string): Account | undefined {
  const [name, , uid, gid] = line.split(":");
  return name === undefined || !(Number(uid) > 0) ? undefined : { name, uid: Number(uid), gid: Number(gid) };
}

/** Whether this user may go down to `path` and, a folder, stand in it, or, a file, read it. `path` must exist. */
export function mayReach(path: string, account: Account | undefined): boolean {
  if (account === undefined) return true; // ourselves; a refusal then shows as what it is
  let at = realpathSync(path);
  if (!may(account, at, statSync(at).isDirectory() ? 1 : 4)) return false;
  while (at !== dirname(at)) {
    at = dirname(at);
    if (!may(account, at, 1)) return false;
  }
  return true;
}

function may(account: Account, path: string, bit: number): boolean {
  const { mode, uid, gid } = statSync(path);
  const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0;
  return ((mode >> shift) & bit) !== 0;
}

/** A folder of our own outside the project: for root a place all users can go down to, else a private one. */
export function outsideFolder(account: Account | undefined): string {
  const places =
    account === undefined
      ? [join(tmpdir(), `ringside-${process.getuid?.() ?? "user"}`)]
      : ["/var/lib/ringside", "/var/tmp/ringside-root"];
  const refusals: string[] = [];
  for (const place of places) {
    try {
      mkdirSync(place, { recursive: true, mode: 0o755 });
      const found = lstatSync(place);
      if (
        !found.isDirectory() ||
        found.uid !== (process.getuid?.() ?? found.uid) ||
        (found.mode & 0o022) !== 0
      ) {
        throw new Error(`${place} is not only ours to write to`);
      }
      if (account !== undefined) chmodSync(place, 0o755); // the umask may have taken it away
      if (mayReach(place, account)) return place;
      refusals.push(`${place} is not reachable for ${account?.name ?? "us"}`);
    } catch (error) {
      refusals.push(messageOf(error));
    }
  }
  throw new StartError(EXIT.failed, `there is no safe place for Postgres's files (${refusals.join("; ")})`);
}

/** `dataDir` itself if Postgres's user can go there, else its place outside, the same at each start. */
export function reachableDataDir(dataDir: string, account: Account | undefined): string {
  const wanted = resolve(dataDir);
  mkdirSync(wanted, { recursive: true, mode: account === undefined ? 0o700 : 0o711 });
  if (mayReach(wanted, account)) return wanted;
  const key = createHash("sha256").update(realpathSync(wanted)).digest("hex").slice(0, 12);
  const outside = join(outsideFolder(account), `data-${key}`);
  mkdirSync(outside, { recursive: true, mode: 0o711 });
  if (account !== undefined) chmodSync(outside, 0o711);
  return outside;
}
