// The layout of a state on the wire: which number stands for which class and field. A player's decoder is told of it when
// they join, and not again when the SDK comes back by itself; after a deploy that changed the state's classes it would read
// the new room's bytes by the old numbers, and show garbage.

import { crc32 } from "node:zlib";
import type { Room } from "@colyseus/core";
import { internals } from "./room-internals.ts";

/** By what Colyseus shares among all rooms with a state of one class; how many classes it knows, and the layout of those. */
const known = new WeakMap<object, { readonly classes: number; readonly layout: number }>();

/** A number that changes with the layout; undefined for a room without a Schema state. */
export function layoutOf(room: Room): number | undefined {
  const { _serializer: serializer } = internals(room);
  const context = serializer.encoder?.context;
  const classes = context?.schemas.size ?? 0;
  const before = context && known.get(context);
  if (before?.classes === classes) return before.layout;
  const handshake = serializer.handshake?.();
  if (handshake === undefined) return undefined;
  const layout = crc32(handshake);
  // To describe a state costs as much as to save it a few times, and after a failover it is asked of each room.
  if (context !== undefined) known.set(context, { classes, layout });
  return layout;
}
