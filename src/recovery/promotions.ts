// After a standby was promoted: what it had missed is written again, as far as the rooms here know it.
//
// What the lost primary had acknowledged last may be gone. Rooms that this node still owns go on all the same, from memory; but
// their seats may be missing, and their players could not come back after the next failover, and so may checkpoints that later
// ones would stand on. So each room is saved whole at once, with its seats. Rooms that this node does not own any more are found
// by taken-rooms.ts, and a node that the standby had never heard of starts over (heartbeat.ts).
//
// It is told when there is a new connection, and looks by itself now and then: nothing here depends on being told.

import type { Activation } from "../actor/activation.ts";
import type { RoomHost } from "../actor/room-host.ts";
import type { Seats } from "../actor/seats.ts";
import type { EventBus } from "../events.ts";
import type { Epoch } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";

/** Seldom: a promotion breaks every connection, and whoever has a new one looks. */
const LOOK_EVERY_MS = 10_000;

export interface PromotionsParts {
  readonly clock: Clock;
  readonly events: EventBus;
  readonly database: Database;
  readonly host: Pick<RoomHost, "activations" | "seatsOf">;
  readonly seats: Pick<Seats, "keep">;
}

export class Promotions {
  readonly #parts: PromotionsParts;
  readonly #stopping = new AbortController();
  #firstEpoch: Epoch | undefined;
  /** Rooms whose seats are still to be written. */
  #unsure = new Set<Activation>();
  #loop: Promise<void> | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(parts: PromotionsParts) {
    this.#parts = parts;
  }

  /** @throws when Postgres does not answer the first time */
  async start(): Promise<void> {
    this.#firstEpoch = await this.#readFirstEpoch();
    const look = async (): Promise<void> => {
      this.hurry();
      await this.#look;
    };
    this.#loop = repeat(this.#parts.clock, LOOK_EVERY_MS, this.#stopping.signal, look, () => {}); // it never fails
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#look;
  }

  /** There is a new connection: looks now, or once more when a look is under way. */
  hurry(): void {
    if (this.#stopping.signal.aborted || this.#firstEpoch === undefined) return;
    if (this.#look !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#look = this.#lookUntilQuiet().finally(() => (this.#look = undefined));
  }

  async #lookUntilQuiet(): Promise<void> {
    do {
      this.#lookAgain = false;
      try {
        await this.#lookOnce();
      } catch {
        return; // Postgres is away; the heartbeat says so, and the next look comes by itself
      }
    } while (this.#lookAgain && !this.#stopping.signal.aborted);
  }

  async #lookOnce(): Promise<void> {
    const { clock, events, host, seats } = this.#parts;
    const firstEpoch = await this.#readFirstEpoch();
    if (firstEpoch !== undefined && firstEpoch !== this.#firstEpoch) {
      this.#firstEpoch = firstEpoch;
      events.emit("postgres:replaced", { firstEpoch });
      for (const activation of host.activations.values()) {
        activation.base = undefined;
        activation.markChanged(clock.monotonicMs());
        activation.nextDueMs = 0;
        this.#unsure.add(activation);
      }
    }
    if (this.#unsure.size === 0) return;
    const unsure = [...this.#unsure];
    await seats.keep(unsure.flatMap((activation) => host.seatsOf(activation)));
    for (const activation of unsure) this.#unsure.delete(activation);
  }

  async #readFirstEpoch(): Promise<Epoch | undefined> {
    const [row] = await this.#parts.database.run<{ first_epoch: Epoch }>("timeline", []);
    return row?.first_epoch;
  }
}
