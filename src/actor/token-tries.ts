// Wrong reconnection tokens, counted: whoever guesses is answered ever later. A right token is never held up by the wrong ones
// of others, and so is not counted here at all; that it cannot be guessed is for its 128 bits to see to. What is counted is
// bounded, and what is forgotten first is what was tried longest ago.

/** So many wrong tokens for one seat, or for one room from one address, are answered at once: pages that were left open. */
const FREE_TRIES = { seat: 5, address: 20 };
const WINDOW_MS = 60_000;
/** Then each waits twice as long as the one before. An answer over HTTP has 2 s to cross between nodes. */
const FIRST_WAIT_MS = 125;
const WAIT_MS_MAX = 1_000;
/** Who comes when so many wait is answered at once: holding them all would be the greater harm. */
const WAITING_MAX = 500;
const COUNTS_MAX = 10_000;

interface Count {
  readonly sinceMs: number;
  tries: number;
}

export interface WrongTry {
  /** How long it is not answered. */
  readonly waitMs: number;
  /** By this seat's or this address's count, whichever has more over its limit. */
  readonly tries: number;
  /** Whether that has just become too many. */
  readonly isNews: boolean;
}

export class TokenTries {
  readonly #counts = new Map<string, Count>();
  #waiting = 0;

  /**
   * @param sessionId whose seat; undefined when none was named
   * @param address from where; undefined when that is not known
   */
  wrong(roomId: string, sessionId: string | undefined, address: string | undefined, nowMs: number): WrongTry {
    const seat = sessionId === undefined ? 0 : this.#count(`seat ${roomId} ${sessionId}`, nowMs);
    const from = this.#count(`from ${roomId} ${address ?? ""}`, nowMs);
    const over = Math.max(seat - FREE_TRIES.seat, from - FREE_TRIES.address);
    const tries = Math.max(seat, from);
    if (over <= 0 || this.#waiting >= WAITING_MAX) return { waitMs: 0, tries, isNews: false };
    return { waitMs: Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (over - 1)), tries, isNews: over === 1 };
  }

  /** Somebody waits for their answer, until the returned function is called. */
  wait(): () => void {
    this.#waiting += 1;
    return () => void (this.#waiting -= 1);
  }

  #count(key: string, nowMs: number): number {
    const before = this.#counts.get(key);
    const count =
      before !== undefined && nowMs - before.sinceMs < WINDOW_MS ? before : { sinceMs: nowMs, tries: 0 };
    count.tries += 1;
    this.#counts.delete(key); // to the end: the one tried longest ago comes first
    this.#counts.set(key, count);
    if (this.#counts.size > COUNTS_MAX) {
      for (const oldest of this.#counts.keys()) {
        this.#counts.delete(oldest);
        break;
      }
    }
    return count.tries;
  }
}
