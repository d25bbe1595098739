// A short run of `npm run chaos`, with a seed that does not change: every fault of the catalogue may be in it, several at a
// time. SEED=… chooses another.

import { expect, test } from "vitest";
import { check } from "../chaos/checker/check.ts";
import { chaosRun } from "../chaos/run.ts";
import { textReport } from "../chaos/text-report.ts";

const SEED = 20_261;
const FAULTS_MS = 30_000;

test("[OWN1] [OWN2] [OWN4] [REC1] [REC2] [COM1] [COM4] [SEAT1] [RED1] half a minute of faults upon faults: three logs agree that nothing is wrong", async () => {
  const seed = Number(process.env["SEED"] ?? SEED);
  const run = await chaosRun({
    seed,
    faultsMs: FAULTS_MS,
    nodes: 3,
    party: { ledgers: 3, playersALedger: 3, walkers: 3, buyers: 2 },
    say: () => {},
    signal: AbortSignal.timeout(FAULTS_MS + 120_000),
  });
  const verdict = check(run.history);
  const report = textReport(
    run,
    verdict,
    `SEED=${seed} npx vitest run --project alone test/cluster/chaos.test.ts`,
  );
  if (verdict.violations.length > 0) console.info(report);
  expect(verdict.violations).toEqual([]);
  // That it was a run at all.
  const bitten = new Set(run.history.faults.filter(({ bit }) => bit !== undefined).map(({ name }) => name));
  expect(bitten.size, `faults that bit: ${[...bitten].join()}`).toBeGreaterThan(6);
  const acknowledged = run.history.ops.filter(
    ({ kind, outcome }) => kind === "committed" && outcome === "ok",
  );
  expect(acknowledged.length).toBeGreaterThan(50);
  expect(run.history.openings.filter(({ from }) => from !== undefined).length).toBeGreaterThan(3);
}, 240_000);
