// Chance from a seed. Each bout has its own, from the seed and its number, so that one bout can be had again without those
// before it.

import { seededRandom } from "../load/random.ts";

/** What Buffer makes of its own. */
export type Bytes = Buffer<ArrayBuffer>;

export class Chance {
  readonly #random: () => number;

  constructor(seed: number, kind: string, index: number) {
    let mixed = seed >>> 0;
    for (const code of Buffer.from(`${kind}:${index}`)) mixed = Math.imul(mixed ^ code, 0x01000193) >>> 0;
    this.#random = seededRandom(mixed);
    this.#random(); // seeds that are near each other begin alike
  }

  /** From `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#random() * (max - min + 1));
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.#random() * times < 1;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.int(0, values.length - 1)] as Value; // none of the lists is empty
  }

  /** Of makers with weights, what one of them makes. */
  weighted<Value>(makers: readonly (readonly [weight: number, make: () => Value])[]): Value {
    let at = this.#random() * makers.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of makers) if ((at -= weight) < 0) return make();
    return (makers[0] as (typeof makers)[number])[1]();
  }

  bytes(min: number, max: number): Bytes {
    const bytes: Bytes = Buffer.allocUnsafe(this.int(min, max));
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.int(0, 255);
    return bytes;
  }

  /** A text of visible ASCII, or of anything. */
  text(max: number): string {
    if (this.oneIn(4)) return this.bytes(0, max).toString("latin1");
    return Array.from({ length: this.int(0, max) }, () => String.fromCharCode(this.int(33, 126))).join("");
  }
}
