// A snapshot: what a room is made of again, in one piece. Its body is a structured clone (node:v8), which is exact where
// JSON is not: NaN, -0, bigint, undefined, Map, Set, Date, typed arrays, cycles. What it would lose in silence is refused
// instead (lossless.ts). That goes for what onCacheRoom() returned, a room's metadata, a client's userData and what timers
// carry; the Schema state is an image of plain data already.
//
// A damaged checkpoint is refused, never half-read: reading gives a whole Snapshot or throws SNAPSHOT_UNREADABLE. Whether
// its state fits the room's classes is for restoreState to say. How bodies become stored bytes is frame.ts.

import { deserialize, serialize } from "node:v8";

import type { StateImage } from "../colyseus/state-image.ts";
import type { SavedView } from "../colyseus/state-views.ts";
import { messageOf, RingsideError } from "../errors.ts";
import { openFrame, sealWhole, type Body } from "./frame.ts";
import { placeOf, refuseLossy } from "./lossless.ts";

/** What a snapshot keeps of each player, under the session id. */
export interface SavedPlayer {
  readonly userData: unknown;
  /** What they may see, if they have a StateView. Players who share one share this object. */
  readonly view?: SavedView;
  /** By which layout their page knows the state, where it is not the room's. */
  readonly layout?: number;
  /** Set when the author's onJoin was still running: the state may have heard half of this player. */
  readonly joining?: true;
  /** Set when they were away, and the room's own hook had kept their seat. */
  readonly away?: SavedAbsence;
}

/** A seat that the room keeps for a player whose connection broke. */
export interface SavedAbsence {
  /** When it was kept, by the room's clock, in ms. */
  readonly sinceMs: number;
  /** For how long, in ms; Infinity for as long as the room's author likes. */
  readonly heldMs: number;
}

/** A durable timer that was armed (actor/durable-timers.ts). */
export interface SavedTimer {
  readonly name: string;
  /** By the room's clock, as `elapsedMs` is. */
  readonly dueAtMs: number;
  /** Set when it repeats. */
  readonly everyMs?: number;
  readonly payload: unknown;
}

/** An answer to a command (commit/answers.ts). */
export interface SavedAnswer {
  readonly key: string;
  /** By the room's clock, in ms. */
  readonly atMs: number;
  readonly reply: unknown;
}

export interface Snapshot {
  /** The `checkpointVersion` of the room class that wrote this; 0 for one that has none. */
  readonly classVersion: number;
  /** The layout by which players know the state (colyseus/state-layout.ts); undefined where there are none, or no state. */
  readonly layout: number | undefined;
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
  /** Everyone whom the state knows, by session id. */
  readonly players: Readonly<Record<string, SavedPlayer>>;
  /** The durable timers that were armed; undefined when the room's class declared none. */
  readonly timers: readonly SavedTimer[] | undefined;
  /** What the room has answered to commands; undefined when nothing. */
  readonly answers: readonly SavedAnswer[] | undefined;
}

/**
 * @param bytesMax the largest body allowed, in bytes, before compression
 * @throws RingsideError ROOM_TOO_LARGE over `bytesMax`; INTERNAL when something cannot be saved exactly
 */
export function serializeSnapshot(snapshot: Snapshot, bytesMax: number): Buffer {
  const { classVersion, layout, state, cached, room, elapsedMs, players, timers, answers } = snapshot;
  refuseLossy({ cached, "room.metadata": room.metadata, players, timers, answers });
  // Named one by one: what else the caller's object may carry is not part of the format.
  const { metadata, locked, private: isPrivate, unlisted, maxClients } = room;
  const saved: Snapshot = {
    classVersion,
    layout,
    state,
    cached,
    room: { metadata, locked, private: isPrivate, unlisted, maxClients },
    elapsedMs,
    players,
    timers,
    answers,
  };
  let body: Buffer;
  try {
    body = serialize(saved);
  } catch (error) {
    // What refuseLossy cannot know by itself: a Promise, a WeakMap, a Proxy; or a custom type's value.
    const place = placeOf({ state, cached, "room.metadata": metadata, players, timers, answers });
    throw new RingsideError("INTERNAL", { why: "this cannot be saved in a checkpoint", place }, error);
  }
  if (body.length > bytesMax) throw new RingsideError("ROOM_TOO_LARGE", { bytes: body.length, bytesMax });
  return body;
}

/** @throws RingsideError SNAPSHOT_UNREADABLE for anything but what serializeSnapshot made, in this or the previous format */
export function deserializeSnapshot({ version, bytes }: Body): Snapshot {
  const facts = { bytes: bytes.length };
  let value: unknown;
  try {
    value = deserialize(bytes);
  } catch (error) {
    // The checksum was right, so these bytes were written so: by a Node with a later v8 format, most likely.
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why: messageOf(error), ...facts }, error);
  }
  if (version === 1 && isObject(value)) value = fromVersion1(value);
  if (!isSnapshot(value)) {
    throw new RingsideError("SNAPSHOT_UNREADABLE", { why: "something else was saved here", ...facts });
  }
  return value;
}

/** A snapshot as bytes that stand by themselves. */
export function encodeSnapshot(snapshot: Snapshot, bytesMax: number): Uint8Array {
  return sealWhole(serializeSnapshot(snapshot, bytesMax));
}

/**
 * @param base the stored bytes of the checkpoint on which this one stands, if it stands on one
 * @throws RingsideError SNAPSHOT_UNREADABLE for anything but what was encoded; never anything else
 */
export function decodeSnapshot(bytes: Uint8Array, base?: Uint8Array): Snapshot {
  return deserializeSnapshot(openFrame(bytes, base && openFrame(base).bytes));
}

/** The first format: no class versions, no timers, no answers, and players under the name of the one thing that was kept of them. */
function fromVersion1({ userData, ...rest }: Record<string, unknown>): unknown {
  return {
    ...rest,
    classVersion: 0,
    layout: undefined,
    players: userData,
    timers: undefined,
    answers: undefined,
  };
}

function isSnapshot(value: unknown): value is Snapshot {
  if (!isObject(value) || !isObject(value["room"]) || !isObject(value["players"])) return false;
  const { state, room, timers, answers } = value;
  const isState =
    state === undefined ||
    (isObject(state) && Array.isArray(state["shapes"]) && Array.isArray(state["collections"]));
  return (
    isState &&
    (timers === undefined || (Array.isArray(timers) && timers.every(isTimer))) &&
    (answers === undefined || (Array.isArray(answers) && answers.every(isAnswer))) &&
    typeof value["classVersion"] === "number" &&
    typeof value["elapsedMs"] === "number" &&
    typeof room["maxClients"] === "number" &&
    ["locked", "private", "unlisted"].every((flag) => typeof room[flag] === "boolean")
  );
}

function isTimer(value: unknown): boolean {
  return isObject(value) && typeof value["name"] === "string" && typeof value["dueAtMs"] === "number";
}

function isAnswer(value: unknown): boolean {
  return isObject(value) && typeof value["key"] === "string" && typeof value["atMs"] === "number";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
