// Carries out a plan: begins each fault in its time, whatever the others are doing, and keeps the record of what came of it.

import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { seededRandom } from "../load/random.ts";
import type { Connection } from "./connection.ts";
import { PATIENCE_MS, Skip } from "./fault.ts";
import { FAULTS } from "./faults.ts";
import type { FaultRecord } from "./history.ts";
import type { PlannedFault } from "./plan.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

/** A fault that has not put right what it did by then is given up, and told of. */
const HEALS_MS = 150_000 * PACE;

export interface NemesisParts {
  readonly world: World;
  readonly connections: () => readonly Connection[];
  readonly say: (line: string) => void;
}

/** @param over ends the faults before the plan does. Resolves when all that was broken is whole again. */
export async function unleash(
  plan: readonly PlannedFault[],
  lastsMs: number,
  parts: NemesisParts,
  over: AbortSignal,
): Promise<void> {
  const healing = new AbortController();
  const signal = AbortSignal.any([over, healing.signal]);
  const startedMs = systemClock.monotonicMs();
  const running: Promise<void>[] = [];
  for (const planned of plan) {
    const waitMs = startedMs + planned.atMs - systemClock.monotonicMs();
    await systemClock.sleep(Math.max(0, waitMs), over).catch(() => {});
    if (over.aborted) break;
    running.push(carryOut(planned, parts, signal));
  }
  await systemClock.sleep(Math.max(0, startedMs + lastsMs - systemClock.monotonicMs()), over).catch(() => {});
  healing.abort();
  await Promise.race([
    Promise.all(running),
    systemClock
      .sleep(HEALS_MS)
      .then(() => Promise.reject(new Error(`a fault has not ended after ${HEALS_MS} ms`))),
  ]);
}

async function carryOut(
  planned: PlannedFault,
  { world, connections, say }: NemesisParts,
  healing: AbortSignal,
): Promise<void> {
  const { name, lengthMs, chance } = planned;
  const random = seededRandom(chance);
  const from = systemClock.nowMs();
  const record = (rest: Omit<FaultRecord, "name" | "from" | "to">): void => {
    world.recorder.faults.push({ name, from, to: systemClock.nowMs(), ...rest });
    const instead = rest.instead === undefined ? "" : `: ${rest.instead}`;
    say(`${name} of ${rest.target}: ${rest.bit ?? rest.skipped ?? `WITHOUT EFFECT${instead}`}`);
  };
  try {
    record(await FAULTS[name]({ world, patienceMs: PATIENCE_MS, lengthMs, random, healing, connections }));
  } catch (error) {
    // What is no Skip was not foreseen: nobody can say what it has left behind, and the run is not one to believe in.
    if (error instanceof Skip) record({ target: "-", bit: undefined, skipped: messageOf(error) });
    else record({ target: "?", bit: undefined, instead: `it failed with ${messageOf(error)}` });
  }
}
