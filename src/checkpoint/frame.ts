// The bytes of a checkpoint as they are stored (CKP2): a body behind a header that tells what it is and whether it is whole.
//
//   version 2:  "RSCP"  2 u8  codec u8  body length u32  crc32 of the base's body, or 0, u32  crc32 u32  payload
//   version 1:  "RSCP"  1 u8  crc32 u32  body
//
// Numbers are little-endian; the checksum is over the header before it but for the name, and the payload. A payload is the body
// itself, the body compressed, or the body compressed against that of an older checkpoint of the same room, its base: what
// both have in common then costs nothing, so that a large room of which little changed weighs little (the saving is measured
// by `npm run bench:checkpoint`). A base is always whole itself, so reading takes two rows at most.

import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";

import { messageOf, RingsideError } from "../errors.ts";

const MAGIC = Buffer.from("RSCP", "latin1");
const VERSION = 2;
const READS = [1, VERSION];
const HEADER_BYTES = MAGIC.length + 1 + 1 + 4 + 4 + 4;
const HEADER_BYTES_1 = MAGIC.length + 1 + 4;

const PLAIN = 0;
const ZSTD = 1;
const ZSTD_ON_BASE = 2;

/** Level 1 costs least; higher ones gain a few per cent and take up to twice as long. */
const FAST = { [constants.ZSTD_c_compressionLevel]: 1 };
/**
 * What a long body has in common with its base is found by level 3 only, whose table is larger: at 100 KB a delta of 0.3 KB
 * instead of 29, for 0.17 ms more.
 */
const THOROUGH = { [constants.ZSTD_c_compressionLevel]: 3 };
const THOROUGH_FROM_BYTES = 64 * 1024;
/**
 * Below this, compressing gains nothing worth its fixed cost of some 30 us: Postgres keeps rows of up to 2 KB in one piece.
 */
export const COMPRESS_FROM_BYTES = 2_048;

export interface Body {
  /** The format of the body: that of the frame it came in. */
  readonly version: number;
  readonly bytes: Buffer;
}

/** Seals a body that can be read by itself. */
export function sealWhole(body: Uint8Array): Buffer {
  if (body.length >= COMPRESS_FROM_BYTES) {
    const packed = zstdCompressSync(body, { params: FAST });
    if (packed.length < body.length) return seal(ZSTD, body.length, packed);
  }
  return seal(PLAIN, body.length, body);
}

/** Seals a body that can be read with `base` only: the body of an older checkpoint. */
export function sealOnBase(body: Uint8Array, base: Uint8Array): Buffer {
  const params = body.length < THOROUGH_FROM_BYTES ? FAST : THOROUGH;
  const packed = zstdCompressSync(body, { params, dictionary: base });
  return seal(ZSTD_ON_BASE, body.length, packed, crc32(base));
}

/** Whether these bytes can be read with the body of their base only. Says nothing about whether they can be read at all. */
export function needsBase(bytes: Uint8Array): boolean {
  return bytes[MAGIC.length] === VERSION && bytes[MAGIC.length + 1] === ZSTD_ON_BASE;
}

/**
 * @param base the body of the checkpoint that this one was sealed on; not looked at when it stands by itself
 * @returns the body, as a copy: the caller's bytes may be used again
 * @throws RingsideError SNAPSHOT_UNREADABLE for anything but what was sealed, or with another base; never anything else
 */
export function openFrame(bytes: Uint8Array, base?: Uint8Array): Body {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = all.length > MAGIC.length ? all.readUInt8(MAGIC.length) : 0;
  const refuse = (why: string, facts: Record<string, unknown> = {}, cause?: unknown): never => {
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why, bytes: all.length, ...facts }, cause);
  };
  const headerBytes = version === 1 ? HEADER_BYTES_1 : HEADER_BYTES;
  if (all.length <= MAGIC.length || !all.subarray(0, MAGIC.length).equals(MAGIC))
    refuse("this is not a checkpoint");
  if (!READS.includes(version))
    refuse("its format is not one that this release reads", { version, reads: READS });
  if (all.length < headerBytes) refuse("it was cut short");

  const payload = all.subarray(headerBytes);
  const sum = crc32(payload, crc32(all.subarray(MAGIC.length, headerBytes - 4)));
  if (sum !== all.readUInt32LE(headerBytes - 4)) refuse("its checksum is wrong: it was damaged or cut short");
  let body: Buffer;
  if (version === 1) body = copyOf(payload);
  else {
    const codec = all.readUInt8(MAGIC.length + 1);
    const bodyBytes = all.readUInt32LE(MAGIC.length + 2);
    // One byte more than is right, so that a payload that goes on is found out.
    const limits = { maxOutputLength: bodyBytes + 1 };
    if (codec > ZSTD_ON_BASE) refuse("its header is damaged");
    if (codec === ZSTD_ON_BASE) {
      if (base === undefined) refuse("the checkpoint that it stands on is missing");
      else if (crc32(base) !== all.readUInt32LE(MAGIC.length + 6)) refuse("it stands on another checkpoint");
    }
    try {
      if (codec === PLAIN) body = copyOf(payload);
      else if (codec === ZSTD) body = zstdDecompressSync(payload, limits);
      else body = zstdDecompressSync(payload, { ...limits, dictionary: base });
    } catch (error) {
      return refuse(`it does not decompress: ${messageOf(error)}`, {}, error);
    }
    if (body.length !== bodyBytes) refuse("its length is wrong");
  }
  return { version, bytes: body };
}

function seal(codec: number, bodyBytes: number, payload: Uint8Array, baseSum = 0): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  MAGIC.copy(bytes);
  bytes.writeUInt8(VERSION, MAGIC.length);
  bytes.writeUInt8(codec, MAGIC.length + 1);
  bytes.writeUInt32LE(bodyBytes, MAGIC.length + 2);
  bytes.writeUInt32LE(baseSum, MAGIC.length + 6);
  const sum = crc32(payload, crc32(bytes.subarray(MAGIC.length, HEADER_BYTES - 4)));
  bytes.writeUInt32LE(sum, HEADER_BYTES - 4);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** On memory of its own: what is read from it may be views of it. */
function copyOf(bytes: Uint8Array): Buffer {
  return Buffer.from(new Uint8Array(bytes).buffer);
}
