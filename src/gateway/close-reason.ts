// The reason of a close, as long as a WebSocket's close frame can hold. What a room gives as one may quote its player, and
// what is longer is an exception in the middle of closing: the place would be gone and the connection not.

const REASON_BYTES_MAX = 123;

export function closeReason(reason: string): string {
  let text = reason.slice(0, REASON_BYTES_MAX);
  while (Buffer.byteLength(text) > REASON_BYTES_MAX) text = text.slice(0, -1);
  return text;
}
