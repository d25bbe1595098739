// One frame of a `defineInput` room can declare a series as long as a number can be; Colyseus then loops that often before
// it finds the frame at its end, and the node stands still. So the count is looked at first.

import { Protocol, ProtocolModifier } from "@colyseus/core";
import { decode } from "@colyseus/schema";

/** The low five bits of the first byte are the message's code, the others its modifiers. */
const CODE_MASK = 0x1f;

/** Whether a player's frame declares more than it can hold: each entry of its series takes at least a byte. */
export function declaresTooMuch(frame: Buffer): boolean {
  const first = frame[0] ?? 0;
  if ((first & CODE_MASK) !== Protocol.ROOM_INPUT_UNRELIABLE || (first & ProtocolModifier.TIMED) === 0)
    return false;
  const count = decode.number(frame, { offset: 1 });
  return !(count >= 1 && count <= frame.length); // so that NaN is too much as well
}
