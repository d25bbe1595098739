// Builds the demo page, when it is missing or older than what it is made from. In a process of its own and while the
// servers start, because bundling takes a core for a moment.

import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const BUILD_MS = 120_000;
const WORDS_MAX = 4_096;

/**
 * @returns a line to show when there will be no page, or only an old one; undefined when all is well
 */
export async function buildDemo(
  root: string,
  execArgv: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const home = join(root, "client-demo");
  const page = join(home, "dist", "index.html");
  if (statSync(join(home, "index.html"), { throwIfNoEntry: false }) === undefined) {
    return "there is no demo page: client-demo/index.html is missing";
  }
  const builtAt = statSync(page, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = [home, join(root, "rooms"), join(root, "package-lock.json")];
  if (builtAt > Math.max(...sources.map(newestIn))) return undefined;

  const without = builtAt > 0 ? "the demo page is an old one" : "there is no demo page";
  let vite: string;
  try {
    // The JavaScript API through a small script, so that nothing but errors is printed, whatever vite's own settings.
    vite = import.meta.resolve("vite");
  } catch {
    return `${without}: vite is not installed (a production install); \`npm install\` without --omit=dev brings it`;
  }
  // "native": Node reads vite.config.ts itself. Else vite writes a copy below node_modules, which may not be ours.
  const script = `import { build } from ${JSON.stringify(vite)};
    await build({ root: ${JSON.stringify(home)}, logLevel: "error", configLoader: "native" });`;
  const child = spawn(process.execPath, [...execArgv, "--input-type=module", "--eval", script], {
    cwd: root,
    stdio: ["ignore", "ignore", "pipe"],
    signal: AbortSignal.any([signal, AbortSignal.timeout(BUILD_MS)]),
  });
  let words = "";
  child.stderr
    .setEncoding("utf8")
    .on("data", (chunk: string) => (words = (words + chunk).slice(0, WORDS_MAX)));
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code) => resolve(code === 0 ? undefined : firstWords(words)));
  });
  return failure === undefined ? undefined : `${without}: building it failed (${failure})`;
}

function firstWords(words: string): string {
  const lines = words.split("\n").map((line) => line.trim());
  // The bundler counts its errors in a line of their own before it tells them.
  const telling = lines.filter((line) => /error/i.test(line) && !/with \d+ errors?:?$/.test(line));
  return (telling[0] ?? lines.find((line) => line !== "") ?? "no reason given").slice(0, 200);
}

/** The latest change below a folder; what is built from it is not counted. */
function newestIn(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  const names = readdirSync(path).filter((name) => name !== "dist" && name !== "node_modules");
  return Math.max(0, ...names.map((name) => newestIn(join(path, name))));
}
