import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { drawPlan, FAULT_NAMES } from "../chaos/plan.ts";
import { SABOTAGES } from "../chaos/sabotage/list.ts";
import { SETTINGS } from "../chaos/settings.ts";

test("a seed has one plan, and another seed another", () => {
  const plan = drawPlan({ seed: 7, lastsMs: 60_000 });
  expect(drawPlan({ seed: 7, lastsMs: 60_000 })).toEqual(plan);
  expect(drawPlan({ seed: 8, lastsMs: 60_000 })).not.toEqual(plan);
});

test("faults begin in order and in time, overlap, and last about as long as somebody waits", () => {
  const plan = drawPlan({ seed: 3, lastsMs: 120_000 });
  for (const [index, { atMs }] of plan.entries()) {
    expect(atMs).toBeGreaterThanOrEqual(plan[index - 1]?.atMs ?? 0);
    expect(atMs).toBeLessThan(120_000);
  }
  const overlapping = plan.filter(({ atMs }, index) => {
    const before = plan[index - 1];
    return before !== undefined && before.atMs + before.lengthMs > atMs;
  });
  expect(overlapping.length).toBeGreaterThan(5);
  const about = (ms: number): number =>
    plan.filter(({ lengthMs }) => Math.abs(lengthMs - ms) < 0.3 * ms).length;
  expect(about(SETTINGS.leaseMs)).toBeGreaterThan(3);
  expect(about(SETTINGS.commitMs)).toBeGreaterThan(3);
});

test("every kind of fault is dealt in a run of three minutes, and only those that are asked for", () => {
  for (let seed = 0; seed < 20; seed++) {
    const dealt = new Set(drawPlan({ seed, lastsMs: 140_000 }).map(({ name }) => name));
    expect(
      FAULT_NAMES.filter((name) => !dealt.has(name)),
      `seed ${seed}`,
    ).toEqual([]);
  }
  const only = drawPlan({ seed: 1, lastsMs: 60_000, only: ["kill", "freeze"] }).map(({ name }) => name);
  expect(new Set(only)).toEqual(new Set(["kill", "freeze"]));
});

test.each(SABOTAGES.flatMap(({ name, edits }) => edits.map((edit) => [name, edit] as const)))(
  "sabotage %s finds what it breaks, once",
  (_name, { file, find }) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
    expect(text.split(find)).toHaveLength(2);
  },
);
