// Chance, out of the seed in the state: the same state throws the same dice, here and on the next node.

import { FIELD, PILLARS } from "./arena-field.ts";
import type { ArenaState } from "./arena-state.ts";

/** A number in [0, 1) out of the seed in the state, and the next seed into it (mulberry32). */
export function roll(state: ArenaState): number {
  const seed = (state.seed + 0x6d2b79f5) >>> 0;
  state.seed = seed;
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** A place clear of pillars and walls. Gives up being choosy after 20 throws: the field is mostly free. */
export function freeSpot(state: ArenaState, radius: number): { x: number; y: number } {
  const margin = radius + 36;
  let spot = { x: FIELD.width / 2, y: FIELD.height / 2 };
  for (let attempt = 0; attempt < 20; attempt++) {
    spot = {
      x: margin + roll(state) * (FIELD.width - margin * 2),
      y: margin + roll(state) * (FIELD.height - margin * 2),
    };
    const { x, y } = spot;
    if (PILLARS.every((pillar) => Math.hypot(x - pillar.x, y - pillar.y) > pillar.radius + margin)) break;
  }
  return spot;
}
