// What a full state tells that is sent between two patches, the next patch tells again. Of most changes that is as good as once,
// but an array that was shifted loses one more, or keeps what came in twice, and stays wrong. Stock Colyseus leaves it at that.
// Here whoever joined, returned or caught up at such a moment is told the full state once more, in place of that one patch.

import type { Client, Room } from "@colyseus/core";
import { ArraySchema } from "@colyseus/schema";
import { statesMayChange } from "./full-states.ts";
import { override } from "./override.ts";
import { internals, resendState } from "./room-internals.ts";

/** Players to whom the next patch would tell something twice. */
const ahead = new WeakMap<Room, WeakSet<Client>>();

/** To be called after `shareFullStates`. */
export function tellNothingTwice(room: Room): void {
  const inside = internals(room);
  const { broadcastPatch } = room;
  const { sendFullState } = inside;

  override(room, "sendFullState", (client: Client) => {
    if (hasUnsentArrays(room)) {
      const those = ahead.get(room);
      if (those === undefined) ahead.set(room, new WeakSet([client]));
      else those.add(client);
    }
    sendFullState.call(room, client);
  });

  override(room, "broadcastPatch", () => {
    statesMayChange(); // an author's onBeforePatch comes first
    const those = ahead.get(room);
    if (those === undefined) return broadcastPatch.call(room);
    const serializer = inside._serializer;
    const { applyPatches } = serializer;
    // Only while this patch is made; not called where the room may not act, and they are ahead of the next one then.
    override(serializer, "applyPatches", (clients: Client[], ...rest: unknown[]) => {
      ahead.delete(room);
      const listeners = Array.from(clients, (client) => (those.has(client) ? deaf(client) : client));
      const hadChanges = applyPatches.call(serializer, listeners, ...rest);
      statesMayChange();
      for (const client of room.clients) if (those.has(client)) resendState(room, client);
      return hadChanges;
    });
    try {
      return broadcastPatch.call(room);
    } finally {
      delete (serializer as Partial<typeof serializer>).applyPatches; // the class's own, again
    }
  });
}

/** For whom a patch is encoded and goes nowhere: what their view has to tell is forgotten only by being encoded. */
function deaf(client: Client): Client {
  return Object.create(client, { raw: { value: () => {} } }) as Client;
}

function hasUnsentArrays(room: Room): boolean {
  const { encoder } = internals(room)._serializer;
  if (encoder === undefined) return false;
  for (let { next } = encoder.root.changes; next !== undefined; next = next.next) {
    if (next.changeTree.ref instanceof ArraySchema) return true;
  }
  return false;
}
