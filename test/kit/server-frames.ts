// Reads what a server frames: whole, unmasked WebSocket frames, as many as there are. For players by hand that are many, or
// that send what no library would.

export interface ServerFrame {
  readonly opcode: number;
  readonly message: Buffer;
  /** What comes after it. */
  readonly rest: Buffer;
}

/** @returns the first frame of `bytes`; undefined as long as it is not whole */
export function firstFrame(bytes: Buffer): ServerFrame | undefined {
  const short = (bytes[1] ?? 0) & 127;
  const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < headBytes) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = headBytes + length;
  if (bytes.length < end) return undefined;
  return { opcode: (bytes[0] ?? 0) & 15, message: bytes.subarray(headBytes, end), rest: bytes.subarray(end) };
}
