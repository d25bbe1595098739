// Keeps what Redis holds of rooms equal to the truth, whatever Redis has lost, kept too long or never heard.
//
// Each node answers for its own: every two seconds, and at once when Redis is back or was emptied, it compares the rows of
// its rooms and writes those that differ. Every ten seconds, and after a write that failed, it also takes out rows that
// name it for rooms it does not have. Rows of nodes that are gone are looked after by the first node of the view: when Postgres knows no such room,
// its row is a ghost and goes. A node that is only slow to answer is in the view, and its rows are its own affair.

import type { RoomId } from "../ids.ts";
import type { View } from "../membership/view.ts";
import type { Location } from "../placement/locate.ts";
import type { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import { toRow, type RoomListing } from "./room-listing.ts";

const EVERY_MS = 2_000;
/** Every so many rounds all rows are looked through. */
const SWEEP_EVERY_ROUNDS = 5;
/** How many ghosts one round looks up in Postgres at most. */
const GHOSTS_MAX = 500;

export interface UpkeepParts {
  readonly clock: Clock;
  readonly link: RedisLink;
  readonly listing: RoomListing;
  /** Colyseus's name for this process. */
  readonly processId: string;
  readonly view: () => View;
  /** Whether this node has anything to do with the room, also when it is only being opened. */
  readonly isKnown: (roomId: RoomId) => boolean;
  /** Where a room is, by Postgres. */
  readonly locate: (roomId: RoomId) => Promise<Location>;
  /** What else this node keeps in Redis is to be written again. @throws when Redis fails */
  readonly renew: () => Promise<unknown>;
}

export class ListingUpkeep {
  readonly #parts: UpkeepParts;
  readonly #ending = new AbortController();
  #loop: Promise<void> | undefined;
  #round: Promise<void> | undefined;
  #rounds = 0;
  /** Whether Redis has been away or emptied since the last round that went well. */
  #isRenewed = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock, link } = this.#parts;
    link.onRenewed = () => {
      this.#isRenewed = true;
      this.#run().catch(() => {}); // the next round does it again
    };
    this.#loop = repeat(
      clock,
      EVERY_MS,
      this.#ending.signal,
      () => this.#run(),
      () => {
        // Redis is away, which the link tells; the next round repairs what is missing
      },
    );
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#loop;
  }

  /** One round at a time; one that is asked for meanwhile follows. */
  async #run(): Promise<void> {
    if (this.#round !== undefined) await this.#round.catch(() => {}); // told to whoever began it
    this.#round ??= this.#keepUp().finally(() => (this.#round = undefined));
    await this.#round;
  }

  async #keepUp(): Promise<void> {
    const { link, listing, view, renew } = this.#parts;
    if (!link.isSound) return;
    const isRenewed = this.#isRenewed;
    this.#isRenewed = false;
    const hasMissed = listing.takeIncomplete() || isRenewed;
    try {
      await listing.writeOwn();
      if (isRenewed) await renew();
      if (hasMissed || this.#rounds++ % SWEEP_EVERY_ROUNDS === 0) {
        await this.#sweep(view().members[0]?.processId === this.#parts.processId);
      }
    } catch (error) {
      this.#isRenewed ||= hasMissed;
      throw error;
    }
  }

  /** Takes out what should not be there. */
  async #sweep(isFirst: boolean): Promise<void> {
    const { listing, processId, view, isKnown, locate } = this.#parts;
    const stored = await listing.stored();
    const members = new Set(view().members.map((member) => member.processId));
    let looked = 0;
    for (const [id, text] of Object.entries(stored)) {
      if (!isFirst && !text.includes(processId)) continue; // that of another, who parses it
      const row = toRow(text);
      const roomId = id as RoomId;
      if (row === undefined || row.roomId !== id) {
        if (isFirst) await listing.takeOut(id);
      } else if (row.processId === processId) {
        if (!isKnown(roomId)) await listing.takeOut(id);
      } else if (isFirst && !members.has(row.processId) && looked++ < GHOSTS_MAX) {
        // One that Postgres knows comes back, and is written by whoever opens it.
        if ((await locate(roomId)).at === "gone") await listing.takeOut(id);
      }
    }
  }
}
