// Lets go of rooms that were taken from this node (rollback-room.ts). What they would write is refused anyway, by their
// epoch; but a room that has nothing to save would learn of it from nobody, and play on with its players.
//
// It is told when a room was taken, and looks by itself now and then: nothing here depends on being told. One that was taken
// while it was being opened was not among the rooms here: it looks once more when such a one may have been opened.

import type { RoomHost } from "../actor/room-host.ts";
import type { Config } from "../config.ts";
import type { EventBus, Events } from "../events.ts";
import type { Incarnation, RoomId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";

/** Seldom: who was not told was not listening, and looks as soon as it listens again. */
const LOOK_EVERY_MS = 10_000;

export interface TakenRoomsParts {
  readonly config: Pick<Config, "storeMs">;
  readonly clock: Clock;
  readonly events: Pick<EventBus, "listen">;
  readonly database: Database;
  readonly self: Incarnation;
  readonly host: Pick<RoomHost, "activations" | "letGo">;
  /** Some were let go, and may be waiting for a node to open them. */
  readonly onLetGo: () => void;
}

export class TakenRooms {
  readonly #parts: TakenRoomsParts;
  readonly #stopping = new AbortController();
  /** When it was last told that a room was taken, by the monotonic clock. */
  #toldMs = Number.NEGATIVE_INFINITY;
  #listening = (): void => {};
  #loop: Promise<void> | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(parts: TakenRoomsParts) {
    this.#parts = parts;
  }

  start(): void {
    const look = async (): Promise<void> => {
      this.#lookSoon();
      await this.#look;
    };
    this.#listening = this.#parts.events.listen((name, facts) => {
      if (name === "room:restored") this.#opened(facts as Events["room:restored"]);
    });
    this.#loop = repeat(this.#parts.clock, LOOK_EVERY_MS, this.#stopping.signal, look, () => {}); // it never fails
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#listening();
    await this.#loop;
    await this.#look;
  }

  /** A room was taken from somebody: looks now, or once more when a look is under way. */
  hurry(): void {
    this.#toldMs = this.#parts.clock.monotonicMs();
    this.#lookSoon();
  }

  /** Looks again if one was taken since this room was claimed. */
  #opened({ waitedMs, restoreMs }: Events["room:restored"]): void {
    const { clock, config } = this.#parts;
    const answeredMs = clock.monotonicMs() - waitedMs - restoreMs;
    // A claim is two statements; the room is this node's before they are answered.
    if (this.#toldMs >= answeredMs - 2 * config.storeMs) this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#stopping.signal.aborted) return;
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
    const { database, host, self } = this.#parts;
    // Those that are here now: what comes while Postgres is asked was given to this node after the answer, or before.
    const held = new Map(host.activations);
    if (held.size === 0) return;
    const epochs = [...held.values()].map(({ epoch }) => epoch);
    const taken = await database.run<{ room_id: RoomId }>("taken-rooms", [self, [...held.keys()], epochs]);
    for (const { room_id: roomId } of taken) {
      const activation = held.get(roomId);
      if (activation !== undefined) host.letGo(activation, "fenced"); // one that has ended meanwhile stays ended
    }
    if (taken.length > 0) this.#parts.onLetGo();
  }
}
