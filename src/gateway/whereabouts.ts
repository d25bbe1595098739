// Where rooms are, as a gateway knows it: by Postgres, or as it was last known when Postgres cannot be asked. After a failover
// every player of the dead node asks at once, so all that ask in one moment share one statement, and who can be led by what
// is remembered does not ask first: whoever they are led to knows better.

import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import { memberOf, type Member, type View } from "../membership/view.ts";
import type { Directory, Ownership } from "../ownership/directory.ts";
import { locate, type Location } from "../placement/locate.ts";
import type { Ring } from "../placement/ring.ts";
import { Batcher } from "../runtime/batcher.ts";

/** How many last known owners are remembered. */
const REMEMBERED_MAX = 20_000;
const LIMITS = { batchMax: 500, waitingMax: 100_000 };

export interface WhereaboutsParts {
  readonly self: Incarnation;
  readonly directory: Pick<Directory, "locateAll">;
  readonly view: () => View;
  readonly ring: () => Ring;
  /** The epoch of the room if it is on this node, ready to be played. */
  readonly epochHere: (roomId: RoomId) => Epoch | undefined;
}

export class Whereabouts {
  readonly #parts: WhereaboutsParts;
  readonly #remembered = new Map<RoomId, Ownership>();
  readonly #reading = new Map<RoomId, Promise<Ownership | undefined>>();
  readonly #questions: Batcher<RoomId, Ownership | undefined>;

  constructor(parts: WhereaboutsParts) {
    this.#parts = parts;
    this.#questions = new Batcher(LIMITS, async (roomIds) => {
      const found = await parts.directory.locateAll(roomIds);
      return roomIds.map((roomId) => found.get(roomId));
    });
  }

  /** @throws the driver's error when Postgres could not be asked, and nothing is remembered */
  async locate(roomId: RoomId): Promise<Location> {
    const { epochHere, ring, self, view } = this.#parts;
    if (epochHere(roomId) !== undefined) return { at: "here" };
    const ownership = await this.#read(roomId);
    return locate({
      self,
      view: view(),
      isHere: epochHere(roomId) !== undefined,
      ownership,
      successor: ring().memberFor(roomId),
    });
  }

  /**
   * Who should have a room that a player of this gateway was in, without a question to Postgres.
   *
   * @param wasLetGo whether the owner sent the player on, and so has the room no more; otherwise only the way to it broke
   */
  guess(roomId: RoomId, wasLetGo: boolean): Member | undefined {
    const { ring, self, view } = this.#parts;
    const known = this.#remembered.get(roomId);
    if (known === undefined || known.owner === null || known.isQuarantined || known.owner === self) {
      return undefined;
    }
    const owner = memberOf(view(), known.owner);
    if (owner !== undefined && !wasLetGo) return owner;
    const member = ring().memberFor(roomId);
    // A ring that still gives the room to whom it has left is behind.
    return member?.incarnation === self || member === owner ? undefined : member;
  }

  /**
   * One question a room, however many players arrive at once: after a failover all of them do. An answer that was under
   * way may be older than the question. Whoever is led astray by it is refused there, and asks again; only that there is
   * no such room is final for a player, so that is asked anew.
   */
  async #read(roomId: RoomId): Promise<Ownership | undefined> {
    const underWay = this.#reading.get(roomId);
    const told = underWay && (await underWay);
    if (told !== undefined) return told;
    const reading = this.#readNow(roomId).finally(() => this.#reading.delete(roomId));
    this.#reading.set(roomId, reading);
    return reading;
  }

  async #readNow(roomId: RoomId): Promise<Ownership | undefined> {
    let ownership: Ownership | undefined;
    try {
      ownership = await this.#questions.add(roomId);
    } catch (error) {
      const remembered = this.#remembered.get(roomId);
      if (remembered === undefined) throw error;
      return remembered;
    }
    this.#remembered.delete(roomId);
    if (ownership !== undefined) {
      this.#remembered.set(roomId, ownership);
      if (this.#remembered.size > REMEMBERED_MAX) {
        for (const oldest of this.#remembered.keys()) {
          this.#remembered.delete(oldest);
          break;
        }
      }
    }
    return ownership;
  }
}
