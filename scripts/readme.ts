// Puts into the README what is written elsewhere, so that it cannot differ: node scripts/readme.ts
//
// Between a marker and its end stands a copy: the settings (src/config.ts), the examples (examples/), and members of the shop's
// room.
// test/unit/readme.test.ts fails when the README is behind.

import { readFileSync, writeFileSync } from "node:fs";
import { settingsTable } from "../src/ops/settings-table.ts";

const README = new URL("../README.md", import.meta.url);

/** The README as it should be, from what it is. */
export function refresh(readme: string): string {
  const example = read("examples/counter.ts");
  const tabs = read("examples/refresh.ts");
  const shop = read("rooms/shop/shop-room.ts");
  const commit = [member(shop, "override messages = {"), member(shop, "#buy(")].join("\n");
  return [
    ["example", `\`\`\`ts\n${example}\`\`\``],
    ["refresh", `\`\`\`ts\n${tabs}\`\`\``],
    ["commit", `\`\`\`ts\n${commit}\`\`\``],
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

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

/** A member of a class, from the line that begins with `start` to the end of its braces, by the indentation. */
function member(source: string, start: string): string {
  const lines = source.split("\n");
  const from = lines.findIndex((line) => line.startsWith(`  ${start}`));
  const to = lines.findIndex((line, at) => at > from && /^ {2}\};?$/u.test(line));
  if (from === -1 || to === -1) throw new Error(`there is no member ${start}`);
  return lines
    .slice(from, to + 1)
    .map((line) => `${line.slice(2)}\n`)
    .join("");
}

if (import.meta.main) writeFileSync(README, refresh(readFileSync(README, "utf8")));
