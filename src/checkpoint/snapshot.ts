// The byte format of a checkpoint (CKP2): what a room is made of again, in one piece.
//
//   "RSCP"  version u8  crc32 u32 (little-endian, over the version and the body)  body: node:v8 serialize
//
// A structured clone is exact where JSON is not (NaN, -0, bigint, undefined, Map, Set, Date, typed arrays,
// cycles). What it would lose in silence is refused instead, naming the place: functions, and objects with
// properties under symbols, as every Schema instance is (keep its key, or its `toJSON()`). Instances of an
// author's own classes come back as plain objects, without their methods. That goes for what onCacheRoom()
// returned, a room's metadata and a client's userData; the Schema state is an image of plain data already.
//
// A damaged checkpoint is refused, never half-read: decodeSnapshot gives a whole Snapshot or throws
// SNAPSHOT_UNREADABLE. Whether its state fits the room's classes is for restoreState to say.

import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";

import type { StateImage } from "../colyseus/state-image.ts";
import { messageOf, RingsideError } from "../errors.ts";

export interface Snapshot {
  /** Undefined for a room without a Schema state. */
  readonly state: StateImage | undefined;
  /** What onCacheRoom() returned. */
  readonly cached: unknown;
  readonly room: {
    readonly metadata: unknown;
    readonly locked: boolean;
    readonly private: boolean;
    readonly unlisted: boolean;
    readonly maxClients: number;
  };
  /** The room's clock: ms since it was created, over all its activations. */
  readonly elapsedMs: number;
  /** `client.userData`, by session id. */
  readonly userData: Readonly<Record<string, unknown>>;
}

const MAGIC = Buffer.from("RSCP", "latin1");
const VERSION = 1;
const HEADER_BYTES = MAGIC.length + 1 + 4;

/**
 * @param bytesMax the largest checkpoint allowed, in bytes, header included
 * @throws RingsideError ROOM_TOO_LARGE over `bytesMax`; INTERNAL when something cannot be saved exactly
 */
export function encodeSnapshot(snapshot: Snapshot, bytesMax: number): Uint8Array {
  const { cached, room, userData } = snapshot;
  refuseLossy({ cached, "room.metadata": room.metadata, userData });
  const body = serializeBody(snapshot);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  if (bytes.length > bytesMax) {
    throw new RingsideError("ROOM_TOO_LARGE", { bytes: bytes.length, bytesMax });
  }
  MAGIC.copy(bytes);
  bytes[MAGIC.length] = VERSION;
  bytes.writeUInt32LE(checksum(VERSION, body), MAGIC.length + 1);
  body.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** @throws RingsideError SNAPSHOT_UNREADABLE for anything but what encodeSnapshot made; never anything else */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const facts = { bytes: all.length };
  if (all.length <= HEADER_BYTES || !all.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why: "this is not a checkpoint", ...facts });
  }
  const version = all.readUInt8(MAGIC.length);
  if (version !== VERSION) {
    const why = "its format is not one that this release reads";
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why, version, reads: [VERSION], ...facts });
  }
  // A copy: typed arrays come back as views of what was read, and the caller's buffer may be used again.
  const body = Buffer.from(new Uint8Array(all.subarray(HEADER_BYTES)).buffer);
  if (checksum(version, body) !== all.readUInt32LE(MAGIC.length + 1)) {
    const why = "its checksum is wrong: it was damaged or cut short";
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why, ...facts });
  }
  let value: unknown;
  try {
    value = deserialize(body);
  } catch (error) {
    // The checksum was right, so these bytes were written so: by a Node with a later v8 format, most likely.
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why: messageOf(error), ...facts }, error);
  }
  if (!isSnapshot(value)) {
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why: "something else was saved here", ...facts });
  }
  return value;
}

function checksum(version: number, body: Uint8Array): number {
  return crc32(body, crc32(Uint8Array.of(version)));
}

function isSnapshot(value: unknown): value is Snapshot {
  if (!isObject(value) || !isObject(value["room"]) || !isObject(value["userData"])) return false;
  const { state, room } = value;
  const isState =
    state === undefined ||
    (isObject(state) && Array.isArray(state["shapes"]) && Array.isArray(state["collections"]));
  return (
    isState &&
    typeof value["elapsedMs"] === "number" &&
    typeof room["maxClients"] === "number" &&
    ["locked", "private", "unlisted"].every((flag) => typeof room[flag] === "boolean")
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function serializeBody(snapshot: Snapshot): Buffer {
  const { state, cached, room, elapsedMs, userData } = snapshot;
  try {
    // Named one by one: what else the caller's object may carry is not part of the format.
    const { metadata, locked, private: isPrivate, unlisted, maxClients } = room;
    const saved: Snapshot = {
      state,
      cached,
      room: { metadata, locked, private: isPrivate, unlisted, maxClients },
      elapsedMs,
      userData,
    };
    return serialize(saved);
  } catch (error) {
    // What refuseLossy cannot know by itself: a Promise, a WeakMap, a Proxy; or a custom type's value.
    const place = placeOf({ state, cached, "room.metadata": room.metadata, userData });
    throw new RingsideError("INTERNAL", { why: "this cannot be saved in a checkpoint", place }, error);
  }
}

/** Finds what serialize would drop in silence, and functions, which it reports without a place. */
function refuseLossy(parts: Record<string, unknown>): void {
  const seen = new Set<object>();
  const visit = (value: unknown, place: string): void => {
    if (typeof value === "function" || typeof value === "symbol") {
      throw new RingsideError("INTERNAL", {
        why: `a ${typeof value} cannot be saved in a checkpoint`,
        place,
      });
    }
    if (!isObject(value) || seen.has(value) || ArrayBuffer.isView(value)) return;
    seen.add(value);
    if (Object.getOwnPropertySymbols(value).length > 0) {
      const type = Object.getPrototypeOf(value)?.constructor?.name;
      const why = "an object with symbol properties cannot be saved in a checkpoint (a Schema instance?)";
      throw new RingsideError("INTERNAL", { why, place, type });
    }
    for (const [name, child] of childrenOf(value, place)) visit(child, name);
  };
  for (const [name, part] of Object.entries(parts)) visit(part, name);
}

/** The place of the innermost value that cannot be serialized. */
function placeOf(parts: Record<string, unknown>): string {
  const seen = new Set<object>();
  const find = (value: unknown, place: string): string | undefined => {
    if (isObject(value) && seen.has(value)) return undefined;
    try {
      serialize(value);
      return undefined;
    } catch {
      // The failure itself is the answer; the caller throws it with the place.
      if (!isObject(value)) return place;
      seen.add(value);
      for (const [name, child] of childrenOf(value, place)) {
        const inner = find(child, name);
        if (inner !== undefined) return inner;
      }
      return place;
    }
  };
  for (const [name, part] of Object.entries(parts)) {
    const place = find(part, name);
    if (place !== undefined) return place;
  }
  return "?";
}

function* childrenOf(value: object, place: string): Generator<[string, unknown]> {
  if (value instanceof Map) {
    for (const [key, child] of value) {
      yield [`${place} key`, key];
      yield [`${place}.get(${typeof key === "object" ? "…" : String(key)})`, child];
    }
  } else if (value instanceof Set) {
    for (const child of value) yield [`${place} entry`, child];
  } else {
    const isArray = Array.isArray(value);
    for (const [name, child] of Object.entries(value))
      yield [isArray ? `${place}[${name}]` : `${place}.${name}`, child];
  }
}
