// Loaded by a node before anything else (node --import …/load.ts?name=…): breaks the product as it is being loaded, and leaves its
// files as they are. A text that is not there any more ends the process: a sabotage must not grow harmless unnoticed.

import fs from "node:fs";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import { fileURLToPath } from "node:url";
import { SABOTAGES, type Edit } from "./list.ts";

const ROOT = new URL("../../../", import.meta.url);
const name = new URL(import.meta.url).searchParams.get("name");
const edits = SABOTAGES.find((sabotage) => sabotage.name === name)?.edits ?? [];
const pathOf = ({ file }: Edit): string => fileURLToPath(new URL(file, ROOT));

function broken(path: string, text: string): string {
  return edits
    .filter((edit) => pathOf(edit) === path)
    .reduce((whole, { find, replace }) => whole.replace(find, () => replace), text);
}

for (const edit of edits) {
  if (fs.readFileSync(pathOf(edit), "utf8").split(edit.find).length === 2) continue;
  process.stderr.write(`sabotage ${name}: "${edit.find}" is not once in ${edit.file}\n`);
  process.exit(78);
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith("file:") || loaded.source === undefined || loaded.source === null) return loaded;
    const path = fileURLToPath(url);
    if (!edits.some((edit) => pathOf(edit) === path)) return loaded;
    const source =
      typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source);
    return { ...loaded, source: broken(path, source) };
  },
});

// Statements are read as files.
const readFileSync = fs.readFileSync.bind(fs);
fs.readFileSync = ((path: fs.PathOrFileDescriptor, options?: unknown) => {
  const read = readFileSync(path, options as "utf8") as unknown;
  if (typeof read !== "string" || (typeof path !== "string" && !(path instanceof URL))) return read;
  return broken(typeof path === "string" ? path : fileURLToPath(path), read);
}) as typeof fs.readFileSync; // what it gives is what it gave, but for texts that are to be broken
syncBuiltinESMExports();
