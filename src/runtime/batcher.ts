// Group commit: what many ask for in the same moment goes out as one batch, and while a batch is under way the next
// one gathers. Bounded; past the bound the asker is refused at once.

import { RingsideError } from "../errors.ts";

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchLimits<Item> {
  readonly batchMax: number;
  readonly waitingMax: number;
  /** How large a batch may be in all, unless it is of one item. */
  readonly size?: { readonly of: (item: Item) => number; readonly max: number };
}

export class Batcher<Item, Result> {
  readonly #work: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #limits: BatchLimits<Item>;
  #waiting: Waiting<Item, Result>[] = [];
  #running: Promise<void> | undefined;

  /** @param work does a batch; gives one result an item, in the same order, or rejects for all of them */
  constructor(limits: BatchLimits<Item>, work: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#limits = limits;
    this.#work = work;
  }

  /** @throws RingsideError TOO_MANY when too many wait already; otherwise what the batch throws */
  add(item: Item): Promise<Result> {
    if (this.#waiting.length >= this.#limits.waitingMax) {
      return Promise.reject(new RingsideError("TOO_MANY", { waiting: this.#waiting.length }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await new Promise(setImmediate); // whatever else this turn of the event loop brings goes along
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#countOfNext());
      try {
        const results = await this.#work(batch.map(({ item }) => item));
        // The contract of `work`: one result an item.
        batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = undefined;
  }

  /** How many go into the next batch. */
  #countOfNext(): number {
    const { batchMax, size } = this.#limits;
    if (size === undefined) return batchMax;
    let total = 0;
    const index = this.#waiting.findIndex(({ item }, before) => {
      total += size.of(item);
      return before === batchMax || (before > 0 && total > size.max);
    });
    return index < 0 ? batchMax : index;
  }
}
