// Where a run's logs are gathered while it runs.

import type { Absence, ClientOp, FaultRecord, Frame, Life } from "./history.ts";

export class Recorder {
  readonly ops: ClientOp[] = [];
  readonly frames: Frame[] = [];
  readonly absences: Absence[] = [];
  readonly faults: FaultRecord[] = [];
  readonly lives: Life[] = [];
  /** Joins that were refused while things were broken, by what was said. */
  readonly refusedJoins = new Map<string, number>();
  readonly #names = new Map<string, string>();

  /** The same text for the same id, however often it was read: a run reads millions. */
  intern(ids: readonly string[]): string[] {
    return ids.map((id) => {
      const known = this.#names.get(id);
      if (known !== undefined) return known;
      this.#names.set(id, id);
      return id;
    });
  }

  refusedJoin(why: string): void {
    this.refusedJoins.set(why, (this.refusedJoins.get(why) ?? 0) + 1);
  }
}
