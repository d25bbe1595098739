// Seats in Postgres. A seat is durable before the player is told of having joined (SEAT1); many joins at once share
// one statement.

import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import { Batcher } from "../runtime/batcher.ts";

export interface NewSeat {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly sessionId: string;
  /** SHA-256 of the reconnection token, in hex. */
  readonly tokenHash: string;
  readonly options: unknown;
  readonly auth: unknown;
}

interface Place {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly sessionId: string;
}

const LIMITS = { batchMax: 200, waitingMax: 10_000 };

export class Seats {
  readonly #saving: Batcher<NewSeat, boolean>;
  readonly #givingUp: Batcher<Place, boolean>;

  constructor(database: Database, self: Incarnation) {
    type Row = { room_id: string; session_id: string };
    const answer = (places: readonly Place[], rows: readonly Row[]): boolean[] => {
      const done = new Set(rows.map((row) => `${row.room_id} ${row.session_id}`));
      return places.map((place) => done.has(`${place.roomId} ${place.sessionId}`));
    };
    this.#saving = new Batcher(LIMITS, async (seats) => {
      // One row cannot be written twice in one statement; the newest stands.
      const newest = [...new Map(seats.map((seat) => [`${seat.roomId} ${seat.sessionId}`, seat])).values()];
      const rows = await database.run<Row>("save-seats", [
        newest.map((seat) => seat.roomId),
        newest.map((seat) => seat.epoch),
        newest.map((seat) => seat.sessionId),
        newest.map((seat) => Buffer.from(seat.tokenHash, "hex")),
        newest.map((seat) => toJson(seat.options)),
        newest.map((seat) => toJson(seat.auth)),
        self,
      ]);
      return answer(seats, rows);
    });
    this.#givingUp = new Batcher(LIMITS, async (places) => {
      const rows = await database.run<Row>("give-up-seats", [
        places.map((place) => place.roomId),
        places.map((place) => place.epoch),
        places.map((place) => place.sessionId),
        self,
      ]);
      return answer(places, rows);
    });
  }

  /** @returns when it is durable: true; false when a newer activation exists, and nothing was written */
  save(seat: NewSeat): Promise<boolean> {
    return this.#saving.add(seat);
  }

  /** Forgets a seat. What fails here is found when the room is restored: a seat that its state has never heard of. */
  giveUp(place: Place): Promise<boolean> {
    return this.#givingUp.add(place);
  }

  /** Resolves when no write waits any more. */
  async idle(): Promise<void> {
    await Promise.all([this.#saving.idle(), this.#givingUp.idle()]);
  }
}

function toJson(value: unknown): string | null {
  return value === undefined ? null : (JSON.stringify(value) ?? null);
}
