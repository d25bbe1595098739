// npm run chaos: everything at once, until something gives, or does not.
//
//   npm run chaos -- [--minutes 3] [--seed N] [--nodes 3] [--faults kill,freeze,…] [--report chaos.html]
//                    [--history chaos.json] [--sabotage all|one|name,…]
//
// CHAOS_PACE=3 makes leases, faults and the rest last three times as long, for a machine that is busy with other things.
// --history writes all logs of the round that --report is about, for what the reports do not tell.
//
// A seed is a round of three minutes or less, on a cluster of its own; --minutes 60 plays as many rounds, one seed after the
// other. Which faults there are and how long they last is decided by the seed; which room is where, and what the machine
// makes of it all, is not.
//
// --sabotage runs the product with one thing broken (sabotage/), for up to five seeds, and succeeds when that is found; "one"
// is another with each seed.
// Exit code 0 when nothing is wrong, 1 when something is, 2 when the run itself failed.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { check, type Verdict } from "./checker/check.ts";
import { htmlReport } from "./html-report.ts";
import { FAULT_NAMES, type FaultName } from "./plan.ts";
import { chaosRun, type Run } from "./run.ts";
import { PACE } from "./settings.ts";
import { SABOTAGES, sabotageUrl, type Sabotage } from "./sabotage/list.ts";
import { textReport } from "./text-report.ts";

const ROUND_MS = 180_000;
/** What a round takes beside the faults: start, warming up, healing, reading everything. */
const ASIDE_MS = 40_000;
const FAULTS_MIN_MS = 10_000;
const SEEDS_A_SABOTAGE = 5;
const SABOTAGED_MS = 40_000 * PACE;
/** Slewing by NTP is less in a round; what was set by more makes the order of the logs a guess. */
const CLOCK_SET_MAX_MS = 150;

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly only: readonly FaultName[] | undefined;
  readonly report: string | undefined;
  readonly history: string | undefined;
  readonly sabotage: string | undefined;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "3" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
      nodes: { type: "string", default: "3" },
      faults: { type: "string" },
      report: { type: "string" },
      history: { type: "string" },
      sabotage: { type: "string" },
    },
  });
  const only = values.faults?.split(",") as FaultName[] | undefined; // looked at in the next line
  const unknown = only?.filter((name) => !FAULT_NAMES.includes(name)) ?? [];
  if (unknown.length > 0) throw new Error(`--faults ${unknown.join()}: there are ${FAULT_NAMES.join(", ")}`);
  const [minutes, seed, nodes] = [Number(values.minutes), Number(values.seed), Number(values.nodes)];
  if (!(minutes > 0)) throw new Error("--minutes must be above 0");
  if (!Number.isInteger(seed)) throw new Error("--seed must be a whole number");
  if (!(nodes >= 2 && nodes <= 5)) throw new Error("--nodes must be from 2 to 5");
  return {
    minutes,
    seed,
    nodes,
    only,
    report: values.report,
    history: values.history,
    sabotage: values.sabotage,
  };
}

function say(line: string): void {
  process.stderr.write(`${new Date(systemClock.nowMs()).toISOString().slice(11, 19)} ${line}\n`);
}

async function round(
  options: Options,
  seed: number,
  faultsMs: number,
  sabotage?: Sabotage,
): Promise<{ run: Run; verdict: Verdict }> {
  const { nodes, only } = options;
  const run = await chaosRun({
    seed,
    faultsMs,
    nodes,
    say,
    signal: stopping.signal,
    party: { ledgers: 4, playersALedger: 3, walkers: 6, buyers: 4 },
    ...(only === undefined ? {} : { only }),
    ...(sabotage === undefined
      ? {}
      : {
          sabotage: sabotageUrl(sabotage.name),
          only: only ?? sabotage.faults ?? FAULT_NAMES,
          stretch: sabotage.stretch ?? 1,
        }),
  });
  return { run, verdict: check(run.history) };
}

/** How to have the same again. */
function again(options: Options, seed: number, minutes: number): string {
  const { nodes, only } = options;
  return (
    `${PACE === 1 ? "" : `CHAOS_PACE=${PACE} `}npm run chaos -- --seed ${seed} --minutes ${minutes} --nodes ${nodes}` +
    (only === undefined ? "" : ` --faults ${only.join()}`)
  );
}

async function play(options: Options): Promise<boolean> {
  const rounds = Math.max(1, Math.round((options.minutes * 60_000) / ROUND_MS));
  const minutes = options.minutes / rounds;
  const faultsMs = Math.max(FAULTS_MIN_MS, minutes * 60_000 - ASIDE_MS);
  const wrong: number[] = [];
  for (let number = 0; number < rounds && !stopping.signal.aborted; number++) {
    const seed = options.seed + number;
    let { run, verdict } = await round(options, seed, faultsMs);
    if (run.clockSetMs > CLOCK_SET_MAX_MS && verdict.violations.length > 0) {
      say(`the machine's clock was set by ${run.clockSetMs} ms meanwhile: this round is played again, once`);
      ({ run, verdict } = await round(options, seed, faultsMs));
    }
    const isRight = verdict.violations.length === 0;
    if (!isRight) wrong.push(seed);
    process.stdout.write(`${textReport(run, verdict, again(options, seed, minutes))}\n\n`);
    // The report of the round that failed is worth more than that of a later one that did not.
    if (isRight && wrong.length > 0) continue;
    if (options.report !== undefined)
      writeFileSync(options.report, htmlReport(run, verdict, again(options, seed, minutes)));
    if (options.history !== undefined)
      writeFileSync(options.history, JSON.stringify({ ...run.history, violations: verdict.violations }));
  }
  if (rounds > 1) {
    const seeds =
      wrong.length === 0 ? "nothing is wrong in any" : `something is wrong with seeds ${wrong.join(", ")}`;
    process.stdout.write(`${rounds} rounds from seed ${options.seed} on: ${seeds}\n`);
  }
  return wrong.length === 0;
}

function chooseSabotages(which: string, seed: number): readonly Sabotage[] {
  if (which === "all") return SABOTAGES;
  if (which === "one")
    return SABOTAGES.filter((_sabotage, index) => index === Math.abs(seed) % SABOTAGES.length);
  const named = which.split(",");
  const chosen = SABOTAGES.filter(({ name }) => named.includes(name));
  if (chosen.length === named.length) return chosen;
  throw new Error(`--sabotage ${which}: there are ${SABOTAGES.map(({ name }) => name).join(", ")}`);
}

async function hunt(options: Options, sabotages: readonly Sabotage[]): Promise<boolean> {
  let foundAll = true;
  for (const sabotage of sabotages) {
    let found: string | undefined;
    let tries = 0;
    while (found === undefined && tries < SEEDS_A_SABOTAGE && !stopping.signal.aborted) {
      const { verdict } = await round(options, options.seed + tries, SABOTAGED_MS, sabotage);
      tries += 1;
      const rules = [...new Set(verdict.violations.map(({ rule }) => rule))];
      say(`${sabotage.name}, seed ${options.seed + tries - 1}: ${rules.join(", ") || "nothing"}`);
      if (rules.includes(sabotage.by)) found = rules.join(", ");
    }
    foundAll &&= found !== undefined;
    process.stdout.write(
      `sabotage ${sabotage.name}: ${found === undefined ? "NOT FOUND" : `found by ${found}`}, in ${tries} of ${SEEDS_A_SABOTAGE} seeds (${sabotage.what})\n`,
    );
  }
  return foundAll;
}

try {
  const options = readOptions();
  const { sabotage } = options;
  const isRight =
    sabotage === undefined
      ? await play(options)
      : await hunt(options, chooseSabotages(sabotage, options.seed));
  process.exit(isRight ? 0 : 1); // the SDK's retries would keep it
} catch (error) {
  process.stderr.write(
    `chaos: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`,
  );
  process.exit(2);
}
