// How many rooms players may have made: of one user, of one address, and in all. Colyseus does not say for whom it makes a
// room, so the request that it is for travels along in the asynchronous context, for as long as it is under way. What a
// room or the game does later, out of a timer that began there, is nobody's request; and what servers do by themselves is not
// limited.

import { AsyncLocalStorage } from "node:async_hooks";
import type { ServerResponse } from "node:http";
import { RingsideError } from "../errors.ts";
import type { RedisLink } from "../redis/link.ts";
import { keysOf, type Caller } from "./caller.ts";
import type { DoorCounts, Reason } from "./counts.ts";
import { Rate } from "./rate.ts";

export interface NewRoomLimits {
  readonly roomsPerUser: number;
  readonly roomsPerAddress: number;
  readonly roomsInAll: number;
}

interface Asked {
  readonly caller: () => Promise<Caller>;
  readonly response: ServerResponse;
}

/** All are counted as one. */
const EVERYBODY = "all";

export class NewRooms {
  readonly #counts: DoorCounts;
  readonly #asked = new AsyncLocalStorage<Asked>();
  readonly #byUser: Rate;
  readonly #byAddress: Rate;
  readonly #inAll: Rate;

  constructor(limits: NewRoomLimits, link: Pick<RedisLink, "commands">, counts: DoorCounts) {
    this.#counts = counts;
    this.#byUser = new Rate({ name: "rooms:user", max: limits.roomsPerUser, link });
    this.#byAddress = new Rate({ name: "rooms:address", max: limits.roomsPerAddress, link });
    this.#inAll = new Rate({ name: "rooms", max: limits.roomsInAll, link });
  }

  /** Runs `work`, and whatever it begins, as this caller's. */
  runFor(caller: Asked["caller"], response: ServerResponse, work: () => void): void {
    this.#asked.run({ caller, response }, work);
  }

  /**
   * A room is about to be made.
   *
   * @throws RingsideError TOO_MANY_ROOMS; the answer is told then when to come again
   */
  async count(): Promise<void> {
    const asked = this.#asked.getStore();
    if (asked === undefined || asked.response.writableEnded || asked.response.destroyed) return;
    const { byUser, byAddress } = keysOf(await asked.caller());
    const limits: [Rate, string | undefined, Reason][] = [
      [this.#byUser, byUser, "user-rooms"],
      [this.#byAddress, byAddress, "address-rooms"],
      [this.#inAll, EVERYBODY, "all-rooms"], // last: what one of the others refuses must not count for all
    ];
    for (const [rate, key, why] of limits) {
      const waitMs = await rate.take(key);
      if (waitMs === undefined) continue;
      this.#counts.refused(why);
      if (!asked.response.headersSent)
        asked.response.setHeader("retry-after", String(Math.ceil(waitMs / 1_000)));
      throw new RingsideError("TOO_MANY_ROOMS");
    }
  }
}
