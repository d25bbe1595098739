// The table of settings, as the README shows it, from the rows of config.ts.

import { NUMBERS, TEXTS } from "../config.ts";

export function settingsTable(): string {
  const texts = Object.values(TEXTS).map(
    ({ env, fallback, why }) =>
      `| \`${env.join("`, `")}\` | ${fallback === undefined ? "must be set" : fallback === "" ? "none" : `\`${fallback}\``} | ${why} |`,
  );
  const numbers = Object.values(NUMBERS).map(({ env, fallback, min, max, why }) => {
    return `| \`${env}\` | ${group(fallback)} (${group(min)} to ${group(max)}) | ${why} |`;
  });
  return ["| variable | default | what for |", "| --- | --- | --- |", ...texts, ...numbers, ""].join("\n");
}

function group(value: number): string {
  // Not for ports: 2567 is a name, not an amount.
  return value < 10_000 ? String(value) : String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
