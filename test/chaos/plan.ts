// Which faults a run has, when they begin and how long they last: drawn from the seed before it starts, so that the same
// seed and options give the same plan. Every kind is dealt before one comes again as often. They overlap, and their
// lengths lie about the times that somebody waits, just below and just above.

import { seededRandom } from "../load/random.ts";
import { PACE, SETTINGS } from "./settings.ts";

/** How many of each kind there are in the deck. */
const DECK = {
  kill: 4,
  freeze: 4,
  drain: 2,
  add: 1,
  "kill-next": 2,
  "kill-all": 1,
  "cut-links": 2,
  "reset-links": 1,
  "cut-postgres": 2,
  "reset-postgres": 1,
  isolate: 1,
  "redis-restart": 1,
  "redis-hang": 1,
  "redis-empty": 1,
  "postgres-restart": 1,
  "postgres-hang": 1,
  "postgres-slow": 1,
  "drop-reply": 3,
  "cut-before-commit": 1,
  starve: 1,
  hogs: 1,
  storm: 2,
} as const satisfies Record<string, number>;

export type FaultName = keyof typeof DECK;
export const FAULT_NAMES = Object.keys(DECK) as FaultName[]; // the keys of an object of our own

export interface PlannedFault {
  readonly name: FaultName;
  /** Since the faults began. */
  readonly atMs: number;
  readonly lengthMs: number;
  /** The seed of its own chance: whom it befalls, of those whom it can when it comes, and how. */
  readonly chance: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly lastsMs: number;
  /** Of which kinds; all if not given. */
  readonly only?: readonly FaultName[];
  /** How many times longer than drawn each lasts, and the time between two. */
  readonly stretch?: number;
}

const GAP_MS = { min: 300 * PACE, max: 3_300 * PACE };

export function drawPlan({ seed, lastsMs, only = FAULT_NAMES, stretch = 1 }: PlanOptions): PlannedFault[] {
  const random = seededRandom(seed * 7_919 + 17);
  const plan: PlannedFault[] = [];
  let deck: FaultName[] = [];
  const gap = (): number => stretch * (GAP_MS.min + random() * (GAP_MS.max - GAP_MS.min));
  for (let atMs = gap() / 2; atMs < lastsMs; atMs += gap()) {
    if (deck.length === 0)
      deck = shuffle(
        only.flatMap((name) => Array<FaultName>(DECK[name]).fill(name)),
        random,
      );
    const name = deck.pop();
    if (name === undefined) throw new Error("there is no fault to choose from");
    plan.push({
      name,
      atMs: Math.round(atMs),
      lengthMs: Math.round(lengthMs(random) * stretch),
      chance: Math.floor(random() * 2 ** 32),
    });
  }
  return plan;
}

function lengthMs(random: () => number): number {
  const { leaseRenewMs, leaseMs, storeMs, commitMs, failsafeMs } = SETTINGS;
  const waited = [
    leaseRenewMs,
    leaseMs / 2,
    leaseMs,
    leaseMs,
    leaseMs,
    leaseMs * 2,
    storeMs,
    commitMs,
    commitMs,
    failsafeMs / 2,
  ];
  const about = waited[Math.floor(random() * waited.length)] ?? leaseMs;
  return Math.round(about * (0.7 + random() * 0.6));
}

function shuffle<Item>(items: readonly Item[], random: () => number): Item[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other] as Item, shuffled[last] as Item]; // both are inside
  }
  return shuffled;
}
