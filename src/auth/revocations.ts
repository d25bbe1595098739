// Whose login has ended, and who may not play. Postgres decides; what was asked of it is remembered for some seconds, and what
// changes there is read every two seconds and applied to what is remembered, and to the players who are connected (AUTH4).
// Word from Redis only makes a node look at once.
//
// How old an answer may be: 5 s, Redis or no Redis, as long as this node reaches Postgres. Without Postgres what is known
// stays known, and who is not known is let pass by the signature; they are looked up as soon as Postgres answers.

import { LRUCache } from "lru-cache";
import type { Database } from "../postgres/query.ts";
import { Batcher } from "../runtime/batcher.ts";
import type { Clock } from "../runtime/clock.ts";
import { refusal, suspended, type Login, type Refusal } from "./login.ts";

/** How long somebody who is let in waits for Postgres to be asked of them; then the signature counts alone. */
const WAIT_MS = 1_000;
/** How long "not that I know of" is believed. */
const BELIEVED_MS = 5_000;
/** A change may show this much later than the time it bears: by its transaction, and by a lookup that was under way. */
const OVERLAP_MS = 20_000;
const REMEMBERED_MAX = 50_000;
const UNCHECKED_MAX = 50_000;
const BATCH = { batchMax: 500, waitingMax: 50_000 };

export interface RevocationParts {
  readonly clock: Clock;
  readonly database: Pick<Database, "run">;
  /** How long somebody who was let in may be on their way before they can be found among those who are connected. */
  readonly lateMs: number;
  /** Something is revoked that was not long ago: whoever is connected may have to go. */
  readonly onRevoked: () => void;
}

interface Suspension {
  readonly endsAtMs: number;
  readonly refusal: Refusal;
}

interface Row extends Record<string, unknown> {
  readonly login_id: string | null;
  readonly user_id: string;
  readonly is_ended?: boolean;
  readonly suspended_ms: number | null;
  readonly reason: string | null;
}

export class Revocations {
  readonly #parts: RevocationParts;
  readonly #ended = new LRUCache<string, true>({ max: REMEMBERED_MAX });
  readonly #suspended = new LRUCache<string, Suspension>({ max: REMEMBERED_MAX });
  /** When it was last asked of whom, by the monotonic clock. */
  readonly #asked = new LRUCache<string, number>({ max: REMEMBERED_MAX });
  readonly #unchecked = new Map<string, Login>();
  readonly #lookups: Batcher<Login, undefined>;
  #lookedAtMs: number | undefined;

  constructor(parts: RevocationParts) {
    this.#parts = parts;
    this.#lookups = new Batcher(BATCH, async (logins) => {
      await this.#lookUp(logins);
      return logins.map(() => undefined);
    });
  }

  /** What is known without asking anybody. */
  known({ loginId, userId }: Login): Refusal | undefined {
    const suspension = this.#suspended.get(userId);
    if (suspension !== undefined && suspension.endsAtMs > this.#parts.clock.monotonicMs()) {
      return suspension.refusal;
    }
    return this.#ended.has(loginId) ? refusal("SESSION_REVOKED") : undefined;
  }

  /** Whether they must go; by an answer that is at most five seconds old, if Postgres can be asked. */
  async check(login: Login): Promise<Refusal | undefined> {
    const known = this.known(login);
    if (known !== undefined) return known;
    const askedAtMs = this.#asked.get(nameOf(login)) ?? Number.NEGATIVE_INFINITY;
    if (this.#parts.clock.monotonicMs() - askedAtMs < BELIEVED_MS) return undefined;
    if (!(await this.#isLookedUp(login)) && this.#unchecked.size < UNCHECKED_MAX) {
      // Postgres is away. The signature says who they are; the rest is made good.
      this.#unchecked.set(nameOf(login), login);
    }
    return this.known(login);
  }

  /** Whether they must go, by Postgres's own word now. @throws when it cannot be asked */
  async fresh(login: Login): Promise<Refusal | undefined> {
    await this.#lookUp([login]);
    return this.known(login);
  }

  /** Reads what has changed. @throws when Postgres cannot be asked */
  async look(): Promise<void> {
    const { clock, database, lateMs, onRevoked } = this.#parts;
    const startedMs = clock.monotonicMs();
    const sinceMs = startedMs - (this.#lookedAtMs ?? startedMs) + OVERLAP_MS + lateMs;
    const rows = await database.run<Row>("read-revocations", [Math.ceil(sinceMs)]);
    for (const row of rows) this.#apply(row, row.suspended_ms === null);
    const unchecked = [...this.#unchecked.values()];
    for (let from = 0; from < unchecked.length; from += BATCH.batchMax) {
      const some = unchecked.slice(from, from + BATCH.batchMax);
      await this.#lookUp(some);
      for (const login of some) this.#unchecked.delete(nameOf(login));
    }
    this.#lookedAtMs = startedMs;
    if (rows.length > 0 || unchecked.length > 0) onRevoked();
  }

  async #isLookedUp(login: Login): Promise<boolean> {
    let cancel = (): void => {};
    const late = new Promise<false>((resolve) => {
      cancel = this.#parts.clock.after(WAIT_MS, () => resolve(false));
    });
    const isDone = this.#lookups.add(login).then(
      () => true,
      () => false,
    );
    return Promise.race([isDone, late]).finally(cancel);
  }

  async #lookUp(logins: readonly Login[]): Promise<void> {
    const { clock, database } = this.#parts;
    const askedAtMs = clock.monotonicMs();
    const rows = await database.run<Row>("check-logins", [
      logins.map(({ loginId }) => loginId),
      logins.map(({ userId }) => userId),
    ]);
    for (const row of rows) this.#apply(row, row.is_ended === true);
    for (const login of logins) this.#asked.set(nameOf(login), askedAtMs);
  }

  #apply({ login_id, user_id, suspended_ms, reason }: Row, isEnded: boolean): void {
    const { clock } = this.#parts;
    if (isEnded && login_id !== null) this.#ended.set(login_id, true); // for good
    if (suspended_ms === null) return;
    if (suspended_ms <= 0) this.#suspended.delete(user_id);
    else {
      this.#suspended.set(user_id, {
        endsAtMs: clock.monotonicMs() + suspended_ms,
        refusal: suspended(clock.nowMs(), suspended_ms, reason ?? ""),
      });
    }
  }
}

function nameOf({ loginId, userId }: Login): string {
  return `${loginId} ${userId}`;
}
