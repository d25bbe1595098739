// Puts into the README what is written elsewhere, so that it cannot differ: node scripts/readme.ts
//
// Between a marker and its end stands a copy: the settings (src/config.ts) and the example (examples/counter.ts).
// test/unit/readme.test.ts fails when the README is behind.

import { readFileSync, writeFileSync } from "node:fs";
import { settingsTable } from "../src/ops/settings-table.ts";

const README = new URL("../README.md", import.meta.url);

/** The README as it should be, from what it is. */
export function refresh(readme: string): string {
  const example = readFileSync(new URL("../examples/counter.ts", import.meta.url), "utf8");
  return [
    ["example", `\`\`\`ts\n${example}\`\`\``],
    ["settings", settingsTable().trimEnd()],
  ].reduce((text, [name, content]) => {
    const begin = `<!-- ${name} -->`;
    const end = `<!-- /${name} -->`;
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from === -1 || to === -1) throw new Error(`README.md has no ${begin} … ${end}`);
    return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
  }, readme);
}

if (import.meta.main) writeFileSync(README, refresh(readFileSync(README, "utf8")));
