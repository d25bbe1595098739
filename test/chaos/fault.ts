// What faults are made of: whom they befall, how long they last, and how they tell that they came to pass.
//
// Each runs from its beginning to its end by itself, beside the others; when the run heals, the signal ends its waiting, and
// it puts right what it has done. Who cannot find anybody to befall, or needs what is not there, says so (Skip).

import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import type { Connection } from "./connection.ts";
import type { FaultName } from "./plan.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

export class Skip extends Error {}

export interface FaultContext {
  readonly world: World;
  /** How long a fault may last without showing that it bites, while nothing else explains that. */
  readonly patienceMs: number;
  readonly lengthMs: number;
  /** This fault's own chance, from the seed: from 0 to below 1. */
  readonly random: () => number;
  /** Healing begins. */
  readonly healing: AbortSignal;
  /** Who is connected, to be cut off. */
  readonly connections: () => readonly Connection[];
}

export interface Befallen {
  /** Whom it befell. */
  readonly target: string;
  /** What shows that it did; undefined when nothing does. */
  readonly bit: string | undefined;
  /** What was seen instead. */
  readonly instead?: string;
}

export type Fault = (context: FaultContext) => Promise<Befallen>;

/** Faults of one kind of thing. */
export type Faults<Name extends FaultName> = Readonly<Record<Name, Fault>>;

export function pickNode({ world, random }: FaultContext, from: readonly TestNode[] = world.able): TestNode {
  const node = pick(from, random());
  if (node === undefined) throw new Skip("no node is able");
  return node;
}

export function pick<Item>(items: readonly Item[], draw: number): Item | undefined {
  return items[Math.min(items.length - 1, Math.floor(draw * items.length))];
}

/** @param atLeastMs also when healing begins: what is over sooner may have befallen nobody */
export async function lasts({ lengthMs, healing }: FaultContext, atLeastMs = 0): Promise<void> {
  await systemClock.sleep(atLeastMs);
  await systemClock.sleep(Math.max(0, lengthMs - atLeastMs), healing).catch(() => {}); // healing ends it sooner
}

export function count(number: number, what: string): string | undefined {
  return number > 0 ? `${number} ${what}` : undefined;
}

/** On a machine that is starved of everything. */
export const PATIENCE_MS = 6_000 * PACE;
const LOOK_EVERY_MS = 20;
/** Whoever is stopped, or has no Postgres, for so many times what a fault may take to show, is let off. */
const EXCUSED_TIMES = 4;

/**
 * Waits until a fault shows that it bites: whom it befalls may be busy, or have another fault. Time for which there is an
 * excuse does not count; what has none and never shows is without effect.
 *
 * @param excuse why nothing can be expected of whom it befalls at this moment
 * @returns whether it has shown
 * @throws Skip when there was an excuse for far too long
 */
export async function untilItShows(
  shows: () => boolean,
  excuse: () => string | undefined,
  patienceMs: number,
  clock: Pick<Clock, "sleep"> = systemClock,
): Promise<boolean> {
  // Counted in looks: time in which this process did not run is nobody's fault.
  let [looksLeft, excused] = [patienceMs / LOOK_EVERY_MS, 0];
  while (!shows()) {
    const why = excuse();
    if (why === undefined) looksLeft -= 1;
    else if ((excused += 1) > (EXCUSED_TIMES * patienceMs) / LOOK_EVERY_MS) throw new Skip(why);
    if (looksLeft < 0) return false;
    await clock.sleep(LOOK_EVERY_MS);
  }
  return true;
}

export async function refuses(ask: () => Promise<unknown>, how: string): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch {
    return how;
  }
}

const inUse = new Set<string>();
/** When each was in use last, by the monotonic clock. */
const freedMs = new Map<string, number>();

export function isInUse(what: string): boolean {
  return inUse.has(what);
}

/** Whether it is, or was at any time since then. @param sinceMs by the monotonic clock */
export function wasInUse(what: string, sinceMs: number): boolean {
  return inUse.has(what) || (freedMs.get(what) ?? -Infinity) >= sinceMs;
}

export const processOf = ({ nodeId }: TestNode): string => `process of ${nodeId}`;

/** Why a node may have nothing to say at this moment. @throws Skip when it never will again */
export function whySilent(node: TestNode): string | undefined {
  if (node.hasExited) throw new Skip("it had ended: it said nothing that could be held");
  if (node.isFrozen || isInUse(processOf(node))) return "it was stopped: it said nothing that could be held";
  return undefined;
}

/** Two of these at a time would undo each other. */
export async function exclusively<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  if (inUse.has(what)) throw new Skip(`${what} has a fault already`);
  inUse.add(what);
  try {
    return await work();
  } finally {
    inUse.delete(what);
    freedMs.set(what, systemClock.monotonicMs());
  }
}
