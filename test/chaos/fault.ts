// What faults are made of: whom they befall, how long they last, and how they tell that they came to pass.
//
// Each runs from its beginning to its end by itself, beside the others; when the run heals, the signal ends its waiting, and
// it puts right what it has done. Who cannot find anybody to befall, or needs what is not there, says so (Skip).

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import type { Connection } from "./connection.ts";
import type { FaultName } from "./plan.ts";
import type { World } from "./world.ts";

export class Skip extends Error {}

export interface FaultContext {
  readonly world: World;
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

export async function refuses(ask: () => Promise<unknown>, how: string): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch {
    return how;
  }
}

const inUse = new Set<string>();

export function isInUse(what: string): boolean {
  return inUse.has(what);
}

/** Two of these at a time would undo each other. */
export async function exclusively<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  if (inUse.has(what)) throw new Skip(`${what} has a fault already`);
  inUse.add(what);
  try {
    return await work();
  } finally {
    inUse.delete(what);
  }
}
