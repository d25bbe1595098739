// Row locks: who comes second waits until the first one's transaction is over. No two of the statements' locks go together
// (FOR SHARE does with itself, and is only asked for by statements that are not here), so there is one kind.

import { postgresError } from "./postgres-error.ts";

interface Waiter {
  readonly holder: object;
  readonly grant: () => void;
}

interface Lock {
  holder: object;
  readonly waiters: Waiter[];
}

export class Locks {
  readonly #locks = new Map<string, Lock>();
  readonly #after: (ms: number, work: () => void) => () => void;

  constructor(after: (ms: number, work: () => void) => () => void) {
    this.#after = after;
  }

  /** @throws Postgres's 55P03 after `waitMs`; the holder has not got it then */
  async take(key: string, holder: object, waitMs: number): Promise<void> {
    const lock = this.#locks.get(key);
    if (lock === undefined) {
      this.#locks.set(key, { holder, waiters: [] });
      return;
    }
    if (lock.holder === holder) return;
    await new Promise<void>((resolve, reject) => {
      const cancel = this.#after(waitMs, () => {
        lock.waiters.splice(lock.waiters.indexOf(waiter), 1);
        reject(postgresError("55P03", "canceling statement due to lock timeout"));
      });
      const waiter: Waiter = {
        holder,
        grant: () => {
          cancel();
          resolve();
        },
      };
      lock.waiters.push(waiter);
    });
  }

  /** Its transaction is over. */
  release(key: string, holder: object): void {
    const lock = this.#locks.get(key);
    if (lock?.holder !== holder) return;
    const next = lock.waiters.shift();
    if (next === undefined) {
      this.#locks.delete(key);
      return;
    }
    lock.holder = next.holder;
    next.grant();
  }

  /** The server has crashed: nobody holds anything, and nobody waits. */
  clear(): void {
    this.#locks.clear();
  }
}
