// The layout of a state on the wire: which number stands for which class and field. A player's decoder is told of it when
// they join, and not again when the SDK comes back by itself; after a deploy that changed the state's classes it would read
// the new room's bytes by the old numbers, and show garbage.

import { crc32 } from "node:zlib";
import type { Room } from "@colyseus/core";
import { internals } from "./room-internals.ts";

/** A number that changes with the layout; undefined for a room without a Schema state. */
export function layoutOf(room: Room): number | undefined {
  const handshake = internals(room)._serializer.handshake?.();
  return handshake === undefined ? undefined : crc32(handshake);
}
