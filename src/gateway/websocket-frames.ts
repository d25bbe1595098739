// Frames of the WebSocket protocol as a server sends them, and how the plainest of those that a player sends are read.
//
// ws's own reader is a stream with a state for each part of a frame; for an input of a few bytes that is most of what it
// costs to hear a player. What players send is nearly always whole small binary messages, so these are taken out of the
// chunk right where it comes in. Everything else, and all that follows it until it is over, is ws's: so ws alone decides
// what is an error, and how it ends.

import type { WebSocket } from "ws";

/** The only and last fragment of a binary message. */
const WHOLE_BINARY = 0x82;
const MASKED = 0x80;
/** A length that stands in the frame's second byte itself. */
const SMALL_BYTES_MAX = 125;
/** What stands before the bytes of a small frame: two bytes, and the mask. */
const SMALL_HEAD_BYTES = 6;

/** ws's reader of one connection, as far as is looked at here. test/unit/websocket-frames.test.ts shows that it holds. */
interface Receiver {
  /** Neither ended nor failed. */
  readonly writable: boolean;
  /** 0 between two frames. */
  readonly _state: number;
  readonly _bufferedBytes: number;
  /** The opcode of a message of which more is to come, or 0. */
  readonly _fragmented: number;
  write(chunk: Buffer): boolean;
}

/** A message as one whole WebSocket frame, as a server sends it. */
export function frameOf(message: Uint8Array): Buffer {
  const { length } = message;
  const headBytes = length <= SMALL_BYTES_MAX ? 2 : length < 65_536 ? 4 : 10;
  const framed = Buffer.allocUnsafe(headBytes + length);
  framed[0] = WHOLE_BINARY;
  if (headBytes === 2) framed[1] = length;
  else if (headBytes === 4) {
    framed[1] = 126;
    framed.writeUInt16BE(length, 2);
  } else {
    framed[1] = 127;
    framed.writeBigUInt64BE(BigInt(length), 2);
  }
  framed.set(message, headBytes);
  return framed;
}

/** Whether a WebSocket may be closed with this code. */
export function isSendableCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005) || (code >= 3000 && code <= 4999);
}

/**
 * From now on small messages of this connection, one of a server's, do not go through ws's reader. It tells of them as before.
 *
 * @param onClosing the player has said goodbye, and was answered: nothing may follow
 */
export function readSmallMessagesFast(webSocket: WebSocket, onClosing: () => void): void {
  // Under this name ws keeps its reader, and writes to it whatever comes from the socket.
  const receiver = (webSocket as unknown as { readonly _receiver: Receiver })._receiver;
  const write = receiver.write.bind(receiver);
  const readAll = (chunk: Buffer): boolean => {
    const mayGoOn = write(chunk);
    if (webSocket.readyState !== webSocket.OPEN) onClosing();
    return mayGoOn;
  };
  receiver.write = (chunk) => {
    if (receiver._bufferedBytes > 0 || receiver._state !== 0 || receiver._fragmented !== 0)
      return readAll(chunk);
    if (!receiver.writable) return readAll(chunk);
    let at = 0;
    for (let next = endOfSmall(chunk, 0); next > 0; next = endOfSmall(chunk, at)) {
      const message = chunk.subarray(at + SMALL_HEAD_BYTES, next);
      for (let byte = 0; byte < message.length; byte++) {
        // Both are inside the frame.
        (message[byte] as number) ^= chunk[at + 2 + (byte & 3)] as number;
      }
      at = next;
      webSocket.emit("message", message, true);
    }
    if (at === chunk.length) return true;
    return readAll(at === 0 ? chunk : chunk.subarray(at));
  };
}

/** Where the frame at `at` ends, if it is a small whole message and all of it is there; otherwise 0. */
function endOfSmall(chunk: Buffer, at: number): number {
  if (chunk[at] !== WHOLE_BINARY) return 0;
  const bytes = (chunk[at + 1] ?? 0) - MASKED;
  if (bytes < 0 || bytes > SMALL_BYTES_MAX) return 0;
  const end = at + SMALL_HEAD_BYTES + bytes;
  return end <= chunk.length ? end : 0;
}
