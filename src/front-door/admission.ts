// How many players are let in at the same time: when a gateway dies, thousands come to the others at once, and each costs a few
// reads, a place at an owner and a full state. Led in all together they would take the node's whole time from those who play.
//
// A few hundred are led in at a time, and the others wait for their turn: who returns to a seat before who takes a new one, and
// that before who asks for one. Whoever is in their room makes room for the next; so does whoever is led in for longer than
// a moment, because then it is not this node that is busy: a room that is moving may hold up its own players, and nobody else's.
// The queue has a bound, and waiting an end; what is beyond them is told to try again, as the SDK does by itself.

import type { Clock } from "../runtime/clock.ts";

/** In the order in which they are let in. */
export const RANKS = ["returning", "seated", "new"] as const;
export type Rank = (typeof RANKS)[number];

/** How long one who is led in counts. In an idle cluster it takes a tenth of that. */
export const LED_MS = 150;
/** One in so many is taken from behind those who go before, so that nobody waits in vain while others keep coming. */
const FAIR_EVERY = 8;

export interface AdmissionParts {
  readonly clock: Clock;
  /** How many are led in at the same time; 0: any number. */
  readonly atOnceMax: number;
  readonly waitingMax: number;
  readonly waitMs: number;
}

export type Admitted =
  /** Let in. To be called when they are in, or gone; may be called twice. */
  | (() => void)
  /** Too many wait already. */
  | "queue"
  /** It was not their turn in time. */
  | "not-in-time"
  /** They have gone, or this node is leaving. */
  | "gone";

interface Waiting {
  readonly settle: (outcome: Admitted) => void;
}

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #queues: Readonly<Record<Rank, Set<Waiting>>> = {
    returning: new Set(),
    seated: new Set(),
    new: new Set(),
  };
  #led = 0;
  #turn = 0;
  #isStopped = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  get waiting(): number {
    return RANKS.reduce((sum, rank) => sum + this.#queues[rank].size, 0);
  }

  /**
   * Waits for a turn.
   *
   * @param onGone is given what to call when whoever waits has gone
   */
  enter(rank: Rank, onGone: (leave: () => void) => void): Promise<Admitted> {
    const { clock, atOnceMax, waitingMax, waitMs } = this.#parts;
    if (this.#isStopped) return Promise.resolve("gone");
    if (atOnceMax === 0) return Promise.resolve(() => {});
    if (this.#led < atOnceMax && this.waiting === 0) return Promise.resolve(this.#lead());
    if (this.waiting >= waitingMax) return Promise.resolve("queue");
    return new Promise((resolve) => {
      const queue = this.#queues[rank];
      const waiting: Waiting = {
        settle: (outcome) => {
          if (!queue.delete(waiting)) return;
          cancel();
          resolve(outcome);
        },
      };
      queue.add(waiting);
      const cancel = clock.after(waitMs, () => waiting.settle("not-in-time"));
      onGone(() => waiting.settle("gone"));
    });
  }

  /** Lets nobody in any more, and sends those who wait away. */
  stop(): void {
    this.#isStopped = true;
    for (const rank of RANKS) for (const { settle } of this.#queues[rank]) settle("gone");
  }

  /** One more is led in, until the returned function is called, or it takes too long to be this node's fault. */
  #lead(): () => void {
    this.#led += 1;
    let counts = true;
    const done = (): void => {
      if (!counts) return;
      counts = false;
      cancel();
      this.#led -= 1;
      this.#next();
    };
    const cancel = this.#parts.clock.after(LED_MS, done);
    return done;
  }

  #next(): void {
    while (this.#led < this.#parts.atOnceMax) {
      this.#turn = (this.#turn + 1) % FAIR_EVERY;
      const order = this.#turn === 0 ? RANKS.toReversed() : RANKS;
      const rank = order.find((each) => this.#queues[each].size > 0);
      const [first] = rank === undefined ? [] : this.#queues[rank];
      if (first === undefined) return;
      first.settle(this.#lead());
    }
  }
}
