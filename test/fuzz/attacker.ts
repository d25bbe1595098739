// The attacker's own thread, so that what it costs to attack is not taken for what it costs to be attacked.

import { parentPort, workerData } from "node:worker_threads";
import { bout, KINDS, type Field, type Kind } from "./bouts.ts";

export interface Orders {
  readonly field: Field;
  /** How many of each kind are to be sent. */
  readonly wanted: Readonly<Record<Kind, number>>;
  /** The number of the first bout of each kind. */
  readonly from: number;
  readonly atOnce: Readonly<Record<Kind, number>>;
  /** These bouts and no others. */
  readonly only?: readonly (readonly [Kind, number])[] | undefined;
}

export interface Progress {
  readonly sent: Readonly<Record<Kind, number>>;
  readonly ends: Readonly<Record<string, number>>;
  /** The bouts that are under way or have just ended, the newest last. */
  readonly recent: readonly (readonly [Kind, number])[];
  /** Of each seat that was taken, the number of the bout; with the last word only. */
  readonly seats: ReadonlyMap<string, number>;
  /** The number after the last bout of any kind. */
  readonly next: number;
  readonly isDone: boolean;
}

const RECENT = 60;
const TELL_EVERY_MS = 250;

const { field, wanted, from, atOnce, only } = workerData as Orders;
const sent: Record<Kind, number> = { http: 0, frames: 0, ipc: 0 };
const ends: Record<string, number> = {};
const recent: (readonly [Kind, number])[] = [];
const next: Record<Kind, number> = { http: from, frames: from, ipc: from };
const seats = new Map<string, number>();
const NONE: ReadonlyMap<string, number> = new Map();
let isStopped = false;
parentPort?.on("message", () => (isStopped = true));

async function fight(kind: Kind, index: number): Promise<void> {
  recent.push([kind, index]);
  if (recent.length > RECENT) recent.shift();
  const outcome = await bout(field, kind, index);
  sent[kind] += outcome.sent;
  if (outcome.sessionId !== undefined) seats.set(outcome.sessionId, index);
  if (kind === "frames") ends[outcome.end] = (ends[outcome.end] ?? 0) + 1;
}

async function keepFighting(kind: Kind): Promise<void> {
  while (sent[kind] < wanted[kind] && !isStopped) {
    const index = next[kind];
    next[kind] += 1;
    await fight(kind, index);
  }
}

const tell = (isDone: boolean): void => {
  const progress: Progress = {
    sent,
    ends,
    recent,
    seats: isDone ? seats : NONE,
    next: Math.max(...Object.values(next)),
    isDone,
  };
  parentPort?.postMessage(progress);
};
const telling = setInterval(() => tell(false), TELL_EVERY_MS);
if (only !== undefined) for (const [kind, index] of only) await fight(kind, index);
else
  await Promise.all(KINDS.flatMap((kind) => Array.from({ length: atOnce[kind] }, () => keepFighting(kind))));
clearInterval(telling);
tell(true);
parentPort?.close();
