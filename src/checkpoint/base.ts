// Which checkpoints of a room are whole, and which stand on an older one, their base.
//
// A whole one is written when there is no base yet, and again every `historyEveryMs`; these stay as the room's history.
// What comes between stands on the newest of them, unless so much of the room has changed that this does not pay.

import { COMPRESS_FROM_BYTES, sealOnBase, sealWhole } from "./frame.ts";

/** A whole checkpoint that Postgres has. */
export interface Base {
  readonly seq: number;
  /** When it was made, by the monotonic clock. */
  readonly madeAtMs: number;
  /** How many bytes it takes when it is stored. */
  readonly storedBytes: number;
  /** What others may stand on; undefined where that does not pay (see `worthStandingOn`), or where memory is short. */
  body: Buffer | undefined;
}

export interface Sealed {
  readonly bytes: Uint8Array;
  readonly baseSeq: number | undefined;
  /** Whether it outlives the last generations, as a base and in the room's history. */
  readonly isKept: boolean;
}

/** One that saves less than this part of a whole one is not worth reading two rows for. */
const PAYS_BELOW = 0.5;

/** A body that others may stand on; a small room is written whole for less than it costs to find what differs. */
export function worthStandingOn(body: Buffer): Buffer | undefined {
  return body.length >= COMPRESS_FROM_BYTES ? body : undefined;
}

/** Seals a room's body for storage, on its base if that pays. */
export function sealBody(
  body: Buffer,
  base: Base | undefined,
  nowMs: number,
  historyEveryMs: number,
): Sealed {
  if (base === undefined || nowMs - base.madeAtMs >= historyEveryMs) {
    return { bytes: sealWhole(body), baseSeq: undefined, isKept: true };
  }
  if (base.body !== undefined) {
    const bytes = sealOnBase(body, base.body);
    if (bytes.length < base.storedBytes * PAYS_BELOW) return { bytes, baseSeq: base.seq, isKept: false };
    base.body = undefined; // not tried again before the next base
  }
  return { bytes: sealWhole(body), baseSeq: undefined, isKept: false };
}
