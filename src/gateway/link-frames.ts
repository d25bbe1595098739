// The frames of the link between a gateway and an owner: what they look like on the wire, written and read.
//
// A frame is `length u32 · kind u8 · room-id length u8 · room id · epoch f64 · body`, little-endian; the length counts what
// follows it; an epoch is an integer too large for 32 bits. So every frame names its room and the activation that it is of or for. In the body stands the number of the
// player's place on this link, then what there is to say; a message to players (`down`) holds its bytes once, and then the
// places of all who get it. Numbers of places are the gateway's to give, and are never used twice on a link.
//
// What is written is copied at once, because Colyseus hands out views of a buffer that it uses again. The very same object
// again, within the same stretch of code, adds a recipient to the frame before instead of another copy.
//
// Reading trusts nothing: whatever is no frame throws LinkFault, and costs the link, not the process.

import type { Epoch, RoomId } from "../ids.ts";

/** Raised with every change that the other side could not read. */
export const LINK_VERSION = 1;

export const KIND = {
  // From a gateway to an owner.
  /** A player wants their seat. The epoch is the newest that the gateway has heard of; an older activation must refuse. */
  open: 1,
  /** What a player said. */
  up: 2,
  /** The player is gone, with this close code; or, after `cut`, what the place was is known to be over. */
  gone: 3,
  /** Patches were left out for this player: the full state, please. */
  resync: 4,
  // From an owner to a gateway.
  /** The place is the player's. What follows for it is of this epoch. With how much the room hears in a second, if it says. */
  opened: 17,
  /** The room is not here, or may not speak now: look again. */
  refused: 18,
  /** A message to one or more players. */
  down: 19,
  /** The room closes this player's connection, with a code and a reason. */
  close: 20,
  /** This activation has nothing more to do with the player: look for the room anew. */
  cut: 21,
  /** A message of this player that the room has not heard, given back after `cut`. */
  back: 22,
  /** Nothing more comes back for this place. */
  ended: 23,
  // Either way. Of no room.
  ping: 33,
  pong: 34,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

const KINDS: ReadonlySet<number> = new Set(Object.values(KIND));
/** The largest message between a player and a room that crosses the link: a full state. */
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;
const FRAME_BYTES_MAX = MESSAGE_BYTES_MAX + 4 * 1024 * 1024; // and a million recipients
const ROOM_ID_BYTES_MAX = 64;
const CHUNK_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** What is read is no frame. */
export class LinkFault extends Error {}

/**
 * A view of what came from the socket. Most frames are what a player said, of which a room hears ten thousands a second, and
 * needs only the place and the bytes: what is asked for is read when it is asked for.
 */
export class Frame {
  readonly kind: Kind;
  readonly epoch: Epoch;
  readonly #bytes: Buffer;
  readonly #idAt: number;
  readonly #bodyAt: number;
  readonly #end: number;

  /**
   * @param from where what follows the frame's length begins
   * @throws LinkFault when this is no frame
   */
  constructor(bytes: Buffer, from: number, end: number) {
    this.kind = bytes[from] as Kind; // checked on the next line
    if (!KINDS.has(this.kind)) throw new LinkFault(`a frame of kind ${this.kind}`);
    const idBytes = bytes[from + 1] ?? 0;
    this.#bytes = bytes;
    this.#idAt = from + 2;
    this.#bodyAt = from + 2 + idBytes + 8;
    this.#end = end;
    if (idBytes > ROOM_ID_BYTES_MAX || end < this.#bodyAt) throw new LinkFault("a frame without its room");
    this.epoch = bytes.readDoubleLE(this.#bodyAt - 8) as Epoch;
    if (!Number.isSafeInteger(this.epoch) || this.epoch < 0) throw new LinkFault("a frame of no epoch");
    const bodyBytes = end - this.#bodyAt;
    if (bodyBytes < 4) throw new LinkFault(`a frame of kind ${this.kind} without its place`);
    if (this.kind !== KIND.down) return;
    const recipients = bodyBytes - 4 - this.number;
    if (recipients < 4 || recipients % 4 !== 0) throw new LinkFault("a message without recipients");
  }

  /** Only ever looked up: an id that is none names no room. */
  get roomId(): RoomId {
    return this.#bytes.toString("latin1", this.#idAt, this.#bodyAt - 8) as RoomId;
  }

  /** The place that it is about; of `down`, the length of its message. */
  get number(): number {
    return this.#bytes.readUInt32LE(this.#bodyAt);
  }

  /** What follows that number. */
  get rest(): Buffer {
    return this.#bytes.subarray(this.#bodyAt + 4, this.#end);
  }
}

/** The part of a frame that names the room and its activation, made once for many. */
export function headOf(roomId: RoomId | "", epoch: number): Buffer {
  const head = Buffer.allocUnsafe(1 + roomId.length + 8);
  head[0] = roomId.length;
  head.write(roomId, 1, "latin1");
  head.writeDoubleLE(epoch, 1 + roomId.length);
  return head;
}

/** Of no room. */
export const NO_ROOM = headOf("", 0);

/** Gathers frames in the order in which they are written, until somebody takes them to the socket. */
export class LinkWriter {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** What is before `#from` has been taken, and belongs to the socket until it is sent. */
  #from = 0;
  #at = 0;
  /** The `down` frame that may still get recipients. */
  #open: { readonly source: Uint8Array; readonly head: Buffer } | undefined;
  #openAt = 0;

  /** Bytes that wait to be taken. */
  get bytes(): number {
    return this.#at - this.#from;
  }

  put(kind: Kind, head: Buffer, place = 0, bytes: Uint8Array = EMPTY): void {
    this.#seal();
    const length = 1 + head.length + 4 + bytes.length;
    this.#begin(kind, head, length, 4 + length);
    this.#number(place);
    this.#bytes(bytes);
  }

  /** A message to the player in `place`. The same object for the same activation again is the same message. */
  putDown(head: Buffer, place: number, bytes: Uint8Array): void {
    const open = this.#open;
    if (open !== undefined && open.source === bytes && open.head === head) {
      this.#room(4);
      this.#number(place);
      return;
    }
    this.#seal();
    const length = 1 + head.length + 4 + bytes.length; // and 4 a recipient, known when it is sealed
    this.#begin(KIND.down, head, length, 4 + length + 4);
    this.#openAt = this.#at - head.length - 5;
    this.#number(bytes.length);
    this.#bytes(bytes);
    this.#number(place);
    this.#open = { source: bytes, head };
    // Its maker may write into it again, once the code that runs now is done.
    queueMicrotask(() => this.#seal());
  }

  /** All that was written and not taken yet. Nothing of it is written to again. */
  take(): Buffer {
    this.#seal();
    const taken = this.#chunk.subarray(this.#from, this.#at);
    this.#from = this.#at;
    return taken;
  }

  #seal(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    this.#chunk.writeUInt32LE(this.#at - this.#openAt - 4, this.#openAt);
  }

  #begin(kind: Kind, head: Buffer, length: number, bytes: number): void {
    this.#room(bytes);
    this.#number(length);
    this.#chunk[this.#at++] = kind;
    this.#bytes(head);
  }

  #number(value: number): void {
    this.#at = this.#chunk.writeUInt32LE(value, this.#at);
  }

  #bytes(bytes: Uint8Array): void {
    this.#chunk.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Makes room for `bytes` more, in a new chunk if need be, into which goes what was not taken yet. */
  #room(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return;
    const waiting = this.#at - this.#from;
    const needed = waiting + bytes;
    const chunk = Buffer.allocUnsafeSlow(needed * 2 > CHUNK_BYTES ? needed * 2 : CHUNK_BYTES);
    this.#chunk.copy(chunk, 0, this.#from, this.#at);
    this.#openAt -= this.#from;
    this.#chunk = chunk;
    this.#from = 0;
    this.#at = waiting;
  }
}

/** Puts frames together from what comes off a socket. */
export class LinkReader {
  #parts: Buffer[] = [];
  #bytes = 0;
  /** How many bytes there must be before it is worth looking again. */
  #needed = 4;

  /**
   * Calls `take` for each whole frame.
   *
   * @throws LinkFault when this is no frame; nothing after it can be read
   */
  push(chunk: Buffer, take: (frame: Frame) => void): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    const all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#bytes);
    this.#needed = 4;
    let at = 0;
    while (all.length - at >= 4) {
      const length = all.readUInt32LE(at);
      if (length < 10 || length > FRAME_BYTES_MAX) throw new LinkFault(`a frame of ${length} bytes`);
      const end = at + 4 + length;
      this.#needed = 4 + length;
      if (end > all.length) break;
      take(new Frame(all, at + 4, end));
      at = end;
      this.#needed = 4;
    }
    this.#bytes = all.length - at;
    this.#parts = this.#bytes === 0 ? [] : [all.subarray(at)];
  }
}

/** The place that a frame is about; not for `down`. */
export function placeOf(frame: Frame): number {
  return frame.number;
}

/** What a frame says of its place; not for `down`. */
export function restOf(frame: Frame): Buffer {
  return frame.rest;
}

/** The bytes of a `down` frame. */
export function messageOf(frame: Frame): Buffer {
  return frame.rest.subarray(0, frame.number);
}

/** Calls `give` with the place of each who gets a `down` frame. */
export function eachRecipient(frame: Frame, give: (place: number) => void): void {
  const { number: messageBytes, rest } = frame;
  for (let at = messageBytes; at < rest.length; at += 4) give(rest.readUInt32LE(at));
}

/** A close code and its reason, as the body of `close` and `gone`. */
export function closing(code: number, reason = ""): Buffer {
  const text = Buffer.from(reason.slice(0, 100)); // a WebSocket's close frame holds 123 bytes at most
  const bytes = Buffer.allocUnsafe(2 + text.length);
  bytes.writeUInt16LE(code & 0xffff, 0);
  text.copy(bytes, 2);
  return bytes;
}

export function readClosing(bytes: Buffer): { readonly code: number; readonly reason: string } {
  if (bytes.length < 2) throw new LinkFault("an end without its code");
  return { code: bytes.readUInt16LE(0), reason: bytes.toString("utf8", 2) };
}

/** How many messages of a player a room hears in a second, as the body of `opened`. */
export function rate(perSecond: number | undefined): Buffer {
  if (perSecond === undefined) return EMPTY;
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(perSecond, 0);
  return bytes;
}

/** Undefined where the room has not said. */
export function readRate(bytes: Buffer): number | undefined {
  if (bytes.length === 0) return undefined;
  const perSecond = bytes.length === 8 ? bytes.readDoubleLE(0) : Number.NaN;
  if (!(perSecond >= 0)) throw new LinkFault("a rate that is none");
  return perSecond;
}
