// What has happened, for whoever reads a failure: the last events, put into words only then. With a digest of all of them,
// by which two runs of one seed are found to be the same.

import { crc32 } from "node:zlib";

const KEPT = 400;

interface Note {
  readonly atMs: number;
  readonly what: string;
  readonly who: string;
  readonly facts: unknown;
}

export class Trace {
  readonly #kept: Note[] = [];
  #count = 0;
  #digest: number | undefined;

  /** From now on everything is counted into the digest, which costs as much as the rest of a run. */
  digestAll(): void {
    this.#digest = 0;
  }

  get digest(): number {
    return this.#digest ?? 0;
  }

  note(atMs: number, what: string, who: string, facts: unknown): void {
    const note = { atMs, what, who, facts };
    this.#kept[this.#count++ % KEPT] = note;
    if (this.#digest !== undefined) this.#digest = crc32(inWords(note), this.#digest);
  }

  /** The last `count` events, the newest last. */
  last(count: number): string[] {
    const from = Math.max(0, this.#count - Math.min(count, KEPT));
    return Array.from(
      { length: this.#count - from },
      (_, index) => inWords(this.#kept[(from + index) % KEPT] as Note), // it is inside
    );
  }
}

function inWords({ atMs, what, who, facts }: Note): string {
  const detail = facts === undefined ? "" : ` ${typeof facts === "string" ? facts : JSON.stringify(facts)}`;
  return `${atMs.toFixed(3).padStart(10)} ${who.padEnd(8)} ${what}${detail}`;
}
