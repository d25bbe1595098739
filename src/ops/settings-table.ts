// The tables of settings, as the README shows them, from the rows of config.ts.

import { SETTING_GROUPS } from "../config.ts";
import type { NumberRow, TextRow } from "../config/rows.ts";

export function settingsTable(): string {
  return SETTING_GROUPS.map(({ title, texts, numbers }) =>
    [
      `**${title}**`,
      "",
      "| variable | default | what for |",
      "| --- | --- | --- |",
      ...Object.values(texts).map(textLine),
      ...Object.values(numbers).map(numberLine),
      "",
    ].join("\n"),
  ).join("\n");
}

function textLine({ env, fallback, why }: TextRow): string {
  const otherwise = fallback === undefined ? "must be set" : fallback === "" ? "none" : `\`${fallback}\``;
  return `| \`${env.join("`, `")}\` | ${otherwise} | ${why} |`;
}

function numberLine({ env, fallback, min, max, why }: NumberRow): string {
  return `| \`${env}\` | ${group(fallback)} (${group(min)} to ${group(max)}) | ${why} |`;
}

function group(value: number): string {
  // Not for ports: 2567 is a name, not an amount.
  return value < 10_000 ? String(value) : String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
