// Who is just leaving which room: from when the author's hook is called until it has kept the seat, or the seat is given up
// for good. A room that moved in between would be told of the same leave again by its next owner.

import type { Client, Room } from "@colyseus/core";

export class Leaves {
  readonly #leaving = new WeakMap<Room, Map<Client, PromiseWithResolvers<void>>>();

  begin(room: Room, client: Client): void {
    let ofRoom = this.#leaving.get(room);
    if (ofRoom === undefined) this.#leaving.set(room, (ofRoom = new Map()));
    if (!ofRoom.has(client)) ofRoom.set(client, Promise.withResolvers());
  }

  /** It is settled what becomes of the seat. */
  end(room: Room, client: Client): void {
    const ofRoom = this.#leaving.get(room);
    ofRoom?.get(client)?.resolve();
    ofRoom?.delete(client);
  }

  /** Resolves when all leaves are settled that are under way now. */
  async none(room: Room): Promise<void> {
    await Promise.all([...(this.#leaving.get(room)?.values() ?? [])].map(({ promise }) => promise));
  }
}
