// Frames of the WebSocket protocol as a server sends them.

/** The only and last fragment of a binary message. */
const WHOLE_BINARY = 0x82;

/** A length that stands in the frame's second byte itself. */
const SMALL_BYTES_MAX = 125;

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
