// Two tools for wrapping a room (hosted-class.ts, hosted-seats.ts).

import type { Room } from "@colyseus/core";
import type { RoomGuard } from "./room-guard.ts";

/** Gives `object` its own property, over what the prototype or a class field says. */
export function override(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
}

/** Undefined when the room is ours now; it must not cost a pause then, because Colyseus counts on what runs at once. */
export function untilOwned(room: Room, guard: RoomGuard): Promise<void> | undefined {
  const waiting = guard.untilOwned(room);
  // It may be lost again before what waits has its turn.
  return waiting?.then(() => untilOwned(room, guard));
}
