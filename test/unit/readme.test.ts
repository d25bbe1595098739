import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { refresh } from "../../scripts/readme.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("the README shows the example and the settings as they are (node scripts/readme.ts)", () => {
  expect(refresh(read("README.md"))).toBe(read("README.md"));
});

test("every guarantee that a test cites is in the list, and every one in the list is cited by a test", async () => {
  const { globSync } = await import("node:fs");
  const listed = new Set(
    [...read("src/GUARANTEES.md").matchAll(/^- \*\*([A-Z]+\d+)\*\*/gm)].map(([, tag]) => tag),
  );
  const cited = new Set(
    globSync("test/**/*.test.ts", { cwd: new URL("../..", import.meta.url) })
      .flatMap((file) => [...read(file).matchAll(/\[([A-Z]{3,4}\d+)\]/g)])
      .map(([, tag]) => tag),
  );
  expect([...cited].filter((tag) => !listed.has(tag))).toEqual([]);
  expect([...listed].filter((tag) => !cited.has(tag))).toEqual([]);
});
