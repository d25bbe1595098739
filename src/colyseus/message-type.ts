// The type of a player's message, looked at before Colyseus reads it: of a text that is none it complains on standard error,
// once a message, and then goes on with half of it.

import { isUtf8 } from "node:buffer";
import { Protocol } from "@colyseus/core";
import { decode } from "@colyseus/schema";

/** The low five bits of the first byte are the message's code. */
const CODE_MASK = 0x1f;
const FIXED_TEXT = 0xa0;
const FIXED_TEXT_END = 0xc0;
const LONG_TEXTS: readonly (number | undefined)[] = [0xd9, 0xda, 0xdb];

/** Whether a message's type, where it has one, is a text that is whole, or a number. */
export function hasReadableType(frame: Buffer): boolean {
  const code = (frame[0] ?? 0) & CODE_MASK;
  let at = 1;
  if (code === Protocol.ROOM_REQUEST) {
    const it = { offset: 1 };
    decode.number(frame, it);
    at = it.offset;
  } else if (code !== Protocol.ROOM_DATA && code !== Protocol.ROOM_DATA_BYTES) return true;
  const prefix = frame[at] ?? 0;
  at += 1;
  let end = at;
  if (prefix > FIXED_TEXT && prefix < FIXED_TEXT_END) end += prefix & 0x1f;
  else if (LONG_TEXTS.includes(prefix)) {
    const it = { offset: at };
    const width = prefix === 0xd9 ? "uint8" : prefix === 0xda ? "uint16" : "uint32";
    const length = decode[width](frame, it);
    at = it.offset;
    end = at + length;
  }
  if (end > frame.length) return false;
  for (let byte = at; byte < end; byte++) {
    if ((frame[byte] ?? 0) >= 0x80) return isUtf8(frame.subarray(at, end));
  }
  return true;
}
