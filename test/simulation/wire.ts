// The network: how long something takes from one place to another, if it gets there. Directions fail one by one.
//
// What runs over a connection is not lost by a cut: it is sent again when the cut is over, if both ends still wait by then.

import type { World } from "./world.ts";

export interface Weather {
  /** The longest that something takes, in ms. */
  readonly delayMs: number;
  /** How often a frame is lost, and how often it arrives twice. */
  readonly loss: number;
  readonly duplication: number;
}

export const FAIR: Weather = { delayMs: 3, loss: 0, duplication: 0 };

export class Wire {
  readonly #world: World;
  readonly #cuts = new Map<string, number>();
  weather: Weather = FAIR;
  /** How much longer than usual a statement takes to get to Postgres. */
  heldMs: (from: string, statement: string) => number = () => 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Nothing gets from `from` to `to` until then. */
  cut(from: string, to: string, untilMs: number): void {
    const key = `${from} ${to}`;
    this.#cuts.set(key, Math.max(untilMs, this.#cuts.get(key) ?? 0));
  }

  /** Ends all cuts but those for good. */
  heal(): void {
    for (const [key, untilMs] of this.#cuts) if (untilMs !== Infinity) this.#cuts.delete(key);
  }

  /** How long something takes by a connection; undefined when it does not get there. */
  delayMs(from: string, to: string): number | undefined {
    const { chance, nowMs } = this.#world;
    const usualMs = chance.between(0.2, this.weather.delayMs);
    const leftMs = (this.#cuts.get(`${from} ${to}`) ?? 0) - nowMs;
    if (leftMs <= 0) return usualMs;
    if (leftMs === Infinity || chance.is(0.5)) return undefined;
    return leftMs + usualMs;
  }

  /** When copies of a frame arrive: none, one or two. */
  frameDelaysMs(from: string, to: string): number[] {
    const { chance } = this.#world;
    const { duplication, loss } = this.weather;
    if (loss > 0 && chance.is(loss)) return [];
    const delayMs = this.delayMs(from, to);
    if (delayMs === undefined) return [];
    return duplication > 0 && chance.is(duplication)
      ? [delayMs, delayMs + chance.between(0, 500)]
      : [delayMs];
  }
}
