// What a gateway must understand of the messages between a player and a room; everything else passes as it is. By its first
// byte a message tells what it is, which costs nothing to look at.

import { ErrorCode, getMessageBytes, Protocol, ResponseStatus } from "@colyseus/core";
import { decode } from "@colyseus/schema";

/** Colyseus's PROTOCOL_CODE_MASK, which core does not export. */
const CODE_MASK = 0x1f;

/** A message that tells only what has changed, and is worth nothing to one who missed the one before. */
export function isPatch(message: Uint8Array): boolean {
  return codeOf(message) === Protocol.ROOM_STATE_PATCH;
}

/** The whole state. */
export function isFullState(message: Uint8Array): boolean {
  return codeOf(message) === Protocol.ROOM_STATE;
}

/** What tells a player that the seat is theirs. */
export function isJoin(message: Uint8Array): boolean {
  return codeOf(message) === Protocol.JOIN_ROOM;
}

/** With what a player leaves the room for good. */
export function isLeave(message: Uint8Array): boolean {
  return codeOf(message) === Protocol.LEAVE_ROOM;
}

export interface Join {
  /** With it the seat opens again. */
  readonly token: string;
  /**
   * Whether the room hears inputs by `defineInput`. The SDK encodes each against the one before, and begins anew only when
   * it has seen its connection end.
   */
  readonly hearsInputs: boolean;
}

/** @returns undefined when it cannot be read */
export function readJoin(message: Uint8Array): Join | undefined {
  const it = { offset: 1 };
  try {
    const token = text(message, it);
    text(message, it); // the serializer's name
    const reflectionBytes = decode.number(message as Buffer, it);
    return { token, hearsInputs: it.offset + reflectionBytes < message.length };
  } catch {
    return undefined;
  }
}

/** The number of a request that a player makes, or that a room answers; undefined when it is neither. */
export function requestId(message: Uint8Array): number | undefined {
  const code = codeOf(message);
  if (code !== Protocol.ROOM_REQUEST && code !== Protocol.ROOM_RESPONSE) return undefined;
  try {
    return decode.number(message as Buffer, { offset: 1 });
  } catch {
    return undefined; // nonsense, which is the room's to refuse
  }
}

/** The answer to a request whose outcome nobody knows. To the SDK it is a failure like one of the room's own. */
export function failedRequest(id: number, message: string): Buffer {
  return getMessageBytes[Protocol.ROOM_RESPONSE](id, ResponseStatus.ERROR, { name: "RoomMoved", message });
}

/** What tells a player that there is no such room. */
export function goneMessage(text: string): Buffer {
  return getMessageBytes[Protocol.ERROR](ErrorCode.MATCHMAKE_EXPIRED, text);
}

/** What tells a player why they may not go on. */
export function refusedMessage(code: number, text: string): Buffer {
  return getMessageBytes[Protocol.ERROR](code, text);
}

function codeOf(message: Uint8Array): number {
  return (message[0] ?? 0) & CODE_MASK;
}

function text(message: Uint8Array, it: { offset: number }): string {
  const length = message[it.offset++] ?? 0;
  if (it.offset + length > message.length) throw new RangeError("cut short");
  return decode.utf8Read(message as Buffer, it, length);
}
