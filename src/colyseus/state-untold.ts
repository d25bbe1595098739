// Changes that a state's encoder does not tell of, and so no patch announces: of what is @fullStateOnly, and of what
// streams hold. A checkpoint must not miss them. They are found by comparing, where a room has any of the two; elsewhere to
// look costs nothing.
//
// What was changed while tracking was paused (`pauseTracking()`, `untracked()`) is not found so: it is saved with the next
// change that is tracked.

import { serialize } from "node:v8";
import { crc32 } from "node:zlib";
import { $numFields, Metadata, type TypeContext } from "@colyseus/schema";
import type { Room } from "@colyseus/core";
import { internals } from "./room-internals.ts";
import type { StateImage } from "./state-image.ts";
import { captureState } from "./state-tree.ts";

/** By what Colyseus shares among all rooms with a state of one class; how many classes it knows, and whether one of those has any. */
const known = new WeakMap<TypeContext, { readonly classes: number; readonly hasAny: boolean }>();

/**
 * Something small that changes with the state; undefined where the encoder knows of every change.
 *
 * @param image the state as it is now, if it was captured already
 */
export function untoldPrint(room: Room, image?: StateImage): number | undefined {
  const { encoder } = internals(room)._serializer;
  if (encoder === undefined) return undefined;
  if (encoder.root.streamTrees.size === 0 && !hasFullStateOnly(encoder.context)) return undefined;
  return crc32(serialize(image ?? captureState(encoder.state)));
}

function hasFullStateOnly(context: TypeContext): boolean {
  const classes = context.schemas.size;
  const before = known.get(context);
  if (before?.classes === classes) return before.hasAny;
  const hasAny = [...context.schemas.keys()].some(({ [Symbol.metadata]: metadata }) => {
    for (let at = 0; at <= (metadata?.[$numFields] ?? -1); at++) {
      if (Metadata.hasFullStateOnlyAtIndex(metadata, at)) return true;
    }
    return false;
  });
  known.set(context, { classes, hasAny });
  return hasAny;
}
