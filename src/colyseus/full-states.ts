// One full state for all who come back in one breath. After a failover the players of a room acknowledge their return almost
// at once, and Colyseus encodes the whole state for each of them anew, because by then it has changed since the last patch.
// Here those who acknowledge in one stretch of code share the first one's, which then crosses a gateway's link once as well.
//
// Shared only while nothing of the room's author can have run in between. A player with a view of their own has a state of
// their own, and so has one in a room that hears inputs, whose full states tell each player another time.

import type { Client, Room } from "@colyseus/core";
import { override } from "./override.ts";
import { internals } from "./room-internals.ts";

const shared = new Map<Room, Uint8Array>();

export function shareFullStates(room: Room): void {
  const inside = internals(room);
  const { sendFullState } = inside;
  override(room, "sendFullState", (client: Client) => {
    const { getFullState } = inside._serializer;
    if (client.view !== undefined || inside._inputController !== undefined || getFullState === undefined) {
      sendFullState.call(room, client);
      return;
    }
    let bytes = shared.get(room);
    if (bytes === undefined) {
      bytes = getFullState.call(inside._serializer, client);
      if (shared.size === 0) {
        // Whichever comes first, before a promise goes on: in a callback the one, in a promise's the other.
        process.nextTick(statesMayChange);
        queueMicrotask(statesMayChange);
      }
      shared.set(room, bytes);
    }
    client.raw(bytes);
  });
}

/** To be called before anything of an author runs that a player has caused: what was encoded may not be true after it. */
export function statesMayChange(): void {
  if (shared.size > 0) shared.clear();
}
