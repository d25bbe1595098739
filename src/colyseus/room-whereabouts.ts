// Where rooms are, for players who are told where to connect.
//
// Colyseus reads a room's row, has the room itself reserve the seat, and then tells the player what the row had said of its
// place. The row may be older than the room's last move, and the room may move in between. So a row that is handed out
// follows its room: what counts is where the room has answered from since.

import { matchMaker, type IRoomCache } from "@colyseus/core";

/** What players need to be led to a room's owner. */
export interface RoomAddress {
  readonly processId: string;
  /** Missing when a load balancer cannot send players to that node, or should not now: it leaves, or takes no players. */
  readonly publicAddress?: string | undefined;
}

/** How many rooms' last answers are remembered; it takes one for each reservation that is being made. */
const ANSWERS_MAX = 10_000;

export class RoomWhereabouts {
  readonly #own: () => RoomAddress;
  readonly #answers = new Map<string, { readonly count: number; readonly address: RoomAddress }>();
  #count = 0;

  constructor(own: () => RoomAddress) {
    this.#own = own;
  }

  /** This node's address, as others are to be told of it now. */
  get own(): RoomAddress {
    return this.#own();
  }

  /** A room has answered, at that node. */
  answered(roomId: string, address: RoomAddress): void {
    this.#answers.delete(roomId);
    this.#answers.set(roomId, { count: ++this.#count, address });
    if (this.#answers.size <= ANSWERS_MAX) return;
    for (const oldest of this.#answers.keys()) {
      this.#answers.delete(oldest);
      break;
    }
  }

  /** Makes a row say from now on where its room is. Not for the row that a room keeps of itself. */
  follow(row: IRoomCache): IRoomCache {
    const { roomId } = row;
    const told: RoomAddress = { processId: row.processId, publicAddress: row.publicAddress };
    const readAt = this.#count;
    const now = (): RoomAddress => {
      if (isHere(roomId)) return this.#own();
      const answer = this.#answers.get(roomId);
      return answer !== undefined && answer.count > readAt ? answer.address : told;
    };
    Object.defineProperties(row, {
      processId: { get: () => now().processId, enumerable: true, configurable: true },
      publicAddress: { get: () => now().publicAddress, enumerable: true, configurable: true },
    });
    return row;
  }
}

function isHere(roomId: string): boolean {
  // The type leaves out that there may be none.
  return (matchMaker.getLocalRoomById(roomId) as unknown) !== undefined;
}

/** What another node says of itself. */
export function isRoomAddress(value: unknown): value is RoomAddress {
  const { processId, publicAddress } = (value ?? {}) as Partial<Record<keyof RoomAddress, unknown>>;
  return typeof processId === "string" && ["string", "undefined"].includes(typeof publicAddress);
}
