// Putting a saved state back into a room, under the refIds that its players' clients know (CKP1).
//
// Called right after the author's onCreate. The root instance stays, because the author's closures hold it, and
// so does all beneath it that is of the right class and in the right place; the rest is created. What onCreate
// put there and the image does not have is removed. Then every instance has a new change tree, so that nothing
// is left of the first encoder (parents, reference counts, view bitmaps, queued changes), and the room is given
// its own state again, which makes Colyseus build a new encoder around it.
//
// A returning client's decoder (Decoder.decodeResync in 5.0.34) reconciles collections but not absent or hidden fields:
// state-absent.ts tells it those. What stays out of reach:
// - Stream contents that no view shows are no part of a full state: all are sent again. In a t.stream() an entry that the
//   client has is left alone, but one that was added after the checkpoint, or shown by a view since, stays on the client
//   as a ghost. The contents of a streamed map or set leave the client first, and come again.
// - A @patchOnly collection is no part of a full state either: a client keeps what it had there.
// - A Schema field that was replaced after the checkpoint leaks its later instance in the client's `refs`; so does one
//   that is replaced and shown by a view in one tick, with no restore about. Shown again, it has its former contents.
// - In an array of which a view shows a part, the instances that a client has keep their former order there.
// - Callbacks for a field that is NaN, or of a custom type whose values are objects, are called though nothing differs.
// - One collection instance held by two fields is one here, and two on any client (the decoder clones it).
// - A map's or set's entry that comes back to a client is the last in its order there.
// - A StateView made in onCreate is carried over to the new encoder, but shows only what is still there; the views of
//   players are not that object (state-views.ts makes theirs).
// - An instance that onCreate attached and detached again keeps its old refId where we cannot see it; attached
//   once more after the restore, it could meet that id's owner.

import type { Room, SchemaSerializer } from "@colyseus/core";
import type { Encoder, Ref, Schema } from "@colyseus/schema";

import { RingsideError } from "../errors.ts";
import { tellAbsentFields } from "./state-absent.ts";
import { fitImage, type Fitted, type SavedCollection } from "./state-fit.ts";
import type { CollectionKind, StateImage } from "./state-image.ts";
import {
  createCollection,
  createSchema,
  isCollectionOf,
  type RawArray,
  type RawMap,
  rawOf,
  type RawSchema,
  type RawSet,
  type RawStream,
  readField,
  refIdOf,
  renewTracking,
  type SchemaClass,
  setChildType,
  setRefId,
  treeOf,
  writeField,
} from "./state-internals.ts";
import { liftViews } from "./state-views.ts";

/**
 * How many refIds, and indexes of maps, sets and streams, are skipped by a restore.
 *
 * The dead owner may have issued ids after the checkpoint, and clients still hold what they meant: an id met
 * again with another meaning would put one instance in the place of another; a set's decoder ignores an index
 * it has, and a map's keeps the former index of a key that has come back, so that a deletion there hits it. So many in one checkpoint interval would be 6,500 new instances a second for 10 s. More is
 * dear: ids from 65,536 take five bytes in a patch.
 */
export const REF_ID_GAP = 65_536;

/** An epoch may be far from the one before it: each timeline of Postgres has epochs of its own. */
const GAPS_MAX = 16;

/**
 * Makes the room's state equal to the image, instance for instance, with nothing pending but stream contents.
 * Only for a room that no client has joined yet.
 *
 * @param epochsSince how many epochs after that of the image this is. Those between may have spoken to clients too, each
 *   with ids of its own, though they never saved anything
 * @throws RingsideError SNAPSHOT_UNREADABLE when the room has no Schema state or the image does not fit its
 *   classes; then nothing has changed
 */
export function restoreState(room: Room, image: StateImage, epochsSince = 1): void {
  const state: unknown = room.state;
  if (state === undefined || state === null || refIdOf(state) === undefined) {
    throw new RingsideError("SNAPSHOT_UNREADABLE", {
      why: "a Schema state was saved, but onCreate left the room without one",
      roomName: room.roomName,
    });
  }
  const root = state as Schema; // only Schema instances have a refId and are a room's state
  const { types } = encoderOf(room).root;
  const fitted = fitImage(image, root.constructor as SchemaClass, types);

  const putViewsBack = liftViews(encoderOf(room).root);
  const before = everythingBelow(root);
  const gap = REF_ID_GAP * Math.min(Math.max(epochsSince, 1), GAPS_MAX);
  const restore = new Restore(fitted, treeOf(root).root, gap);
  restore.fill(image.rootRefId, root);
  let nextRefId = image.nextRefId + gap;
  for (const instance of restore.newcomers()) setRefId(instance, nextRefId++);
  forget(before, restore.kept);
  for (const instance of restore.kept) {
    const { ref } = treeOf(instance);
    treeOf(instance).forEachChild((child, at: number) => child.addParent(ref, at));
  }

  room.state = state;
  const encoder = encoderOf(room);
  encoder.discardChanges(); // attaching counts as a change
  if (encoder.root.pendingFilterRefresh.length > 0) {
    // Instances that several parents share are sorted into public and filtered by the next encode, which may
    // count that as a change too. With nothing queued it emits nothing else.
    encoder.encode();
    encoder.discardChanges();
    encoder.discardUnreliableChanges();
  }
  encoder.root["nextUniqueId"] = nextRefId;
  for (const instance of restore.kept) sendStreamAgain(instance);
  putViewsBack(encoder.root);
  tellAbsentFields(encoder);
}

class Restore {
  readonly #fitted: ReadonlyMap<number, Fitted>;
  readonly #oldRoot: unknown;
  readonly #gap: number;
  /** By refId, in the order found: the walk goes along it. */
  readonly #live = new Map<number, Ref>();
  /** Everything that the state will hold. */
  readonly kept = new Set<Ref>();
  /** What is left in fields that the image does not have. */
  readonly #defaults: Ref[] = [];

  constructor(fitted: ReadonlyMap<number, Fitted>, oldRoot: unknown, gap: number) {
    this.#fitted = fitted;
    this.#oldRoot = oldRoot;
    this.#gap = gap;
  }

  fill(rootRefId: number, root: Ref): void {
    this.#claim(rootRefId, root);
    for (const [refId, instance] of this.#live) {
      const fitted = this.#fitted.get(refId) as Fitted; // #claim saw it
      if (fitted.kind === "schema") this.#fillSchema(instance, fitted);
      else this.#fillCollection(instance, fitted);
    }
  }

  /** The instances below fields that the image does not have: part of the state, and new to every client. */
  newcomers(): Ref[] {
    const found: Ref[] = [];
    for (const top of this.#defaults) {
      for (const instance of everythingBelow(top)) {
        if (this.kept.has(instance)) continue;
        this.kept.add(instance);
        renewTracking(instance);
        found.push(instance);
      }
    }
    return found;
  }

  #claim(refId: number, candidate: unknown): Ref {
    let instance = this.#live.get(refId);
    if (instance !== undefined) return instance;
    const fitted = this.#fitted.get(refId) as Fitted; // fitImage followed every link
    instance = this.#mayReuse(candidate, fitted) ? candidate : create(fitted);
    renewTracking(instance);
    setRefId(instance, refId);
    this.#live.set(refId, instance);
    this.kept.add(instance);
    return instance;
  }

  #mayReuse(candidate: unknown, fitted: Fitted): candidate is Ref {
    if (candidate === undefined || candidate === null || this.kept.has(candidate as Ref)) return false;
    const fits =
      fitted.kind === "schema"
        ? (candidate as object).constructor === fitted.plan.klass
        : isCollectionOf(fitted.kind, candidate);
    if (!fits) return false;
    // A constructor may have put an instance there that another room shares.
    const { root } = treeOf(candidate);
    return root === undefined || root === this.#oldRoot;
  }

  #fillSchema(instance: Ref, { plan, columns, row }: Fitted & { kind: "schema" }): void {
    const raw = rawOf<RawSchema>(instance);
    for (const { field, at } of columns) {
      const saved = row[at];
      const isLink = field.declared.kind !== "value" && saved !== undefined && saved !== null;
      // fitImage checked that a link is a refId.
      writeField(raw, field, isLink ? this.#claim(saved as number, readField(raw, field)) : saved);
    }
    if (columns.length === plan.fields.length) return;
    for (const field of plan.links) {
      const left = readField(raw, field);
      if (left === undefined || left === null || columns.some((column) => column.field === field)) continue;
      this.#defaults.push(left as Ref); // a field that is no value holds a Ref
    }
  }

  #fillCollection(instance: Ref, { declared, saved }: Fitted & { kind: CollectionKind }): void {
    setChildType(instance, declared.rawChild);
    const raw = rawOf<RawArray | RawMap | RawSet | RawStream>(instance);
    const holdsValues = declared.child.kind === "value";
    // fitImage checked that a link is a refId.
    const entries = saved.entries.map((entry, i) =>
      holdsValues ? entry : this.#claim(entry as number, entryOf(raw, saved, i)),
    );
    if ("items" in raw) {
      raw.items = entries;
      raw.tmpItems = [...entries];
      raw.deletedIndexes = [];
      raw.isMovingItems = false;
    } else if ("journal" in raw) fillMap(raw, saved, entries, this.#gap);
    else fillIndexed(raw, saved, entries, this.#gap);
  }
}

/** What a collection has now where the saved one has its entry at that position. */
function entryOf(raw: RawArray | RawMap | RawSet | RawStream, saved: SavedCollection, at: number): unknown {
  if ("items" in raw) return raw.items[at];
  if ("journal" in raw) return raw.$items.get(saved.keys[at] ?? "");
  return raw.$items.get(saved.indexes[at] ?? -1);
}

function create(fitted: Fitted): Ref {
  return fitted.kind === "schema" ? createSchema(fitted.plan.klass) : createCollection(fitted.kind);
}

function fillMap(raw: RawMap, saved: SavedCollection, entries: unknown[], gap: number): void {
  raw.$items.clear();
  raw.journal.reset();
  saved.keys.forEach((key, i) => {
    raw.$items.set(key, entries[i]);
    raw.journal.indexByKey[key] = saved.indexes[i] as number; // fitImage compared the lengths
  });
  // A full state is sent in the order of this map, which the library fills by ascending index.
  const byIndex = saved.keys.map((key, i) => [saved.indexes[i] as number, key] as const);
  for (const [index, key] of byIndex.sort(([a], [b]) => a - b)) raw.journal.keyByIndex.set(index, key);
  raw.journal.nextIndex = saved.nextIndex + gap;
  keepCounting(raw.journal);
  startStreamOver(raw, saved.perTick);
}

/**
 * clear() starts a map's indexes over. A player who is away at that moment still has keys at the first ones, which the dead
 * owner gave; so here they only ever rise.
 */
function keepCounting(journal: RawMap["journal"]): void {
  if (Object.hasOwn(journal, "reset")) return;
  const { reset } = journal;
  journal.reset = () => {
    const { nextIndex } = journal;
    reset.call(journal);
    journal.nextIndex = nextIndex;
  };
}

function fillIndexed(raw: RawSet | RawStream, saved: SavedCollection, entries: unknown[], gap: number): void {
  raw.$items.clear();
  saved.indexes.forEach((index, i) => raw.$items.set(index, entries[i]));
  if ("$nextPosition" in raw) {
    raw._itemIndex.clear();
    saved.indexes.forEach((index, i) => raw._itemIndex.set(entries[i], index));
    raw.$nextPosition = saved.nextIndex + gap;
  } else {
    raw.deletedItems = {};
    raw.$refId = saved.nextIndex + gap;
  }
  startStreamOver(raw, saved.perTick);
}

/** Who was sent what is forgotten; what the author set stays. */
function startStreamOver(raw: RawMap | RawSet | RawStream, perTick: number | undefined): void {
  const priority = raw._stream?.priority;
  raw._stream = undefined;
  if (perTick !== undefined) raw.maxPerTick = perTick;
  if (priority !== undefined) raw.priority = priority;
}

/** Streamed entries go out in patches only, so every client is sent all of them; it ignores what it has. */
function sendStreamAgain(instance: Ref): void {
  if (!treeOf(instance).isStreamCollection) return;
  const raw = rawOf<RawMap | RawSet | RawStream>(instance);
  const indexes = "journal" in raw ? raw.journal.keyByIndex.keys() : raw.$items.keys();
  for (const index of indexes) raw._stream?.broadcastPending.add(index);
}

function everythingBelow(top: Ref): Set<Ref> {
  const found = new Set<Ref>([top]);
  for (const instance of found) treeOf(instance).forEachChild((child: { ref: Ref }) => found.add(child.ref));
  return found;
}

/** What the author may still hold of the former state must come back as new, should it be attached again. */
function forget(before: Iterable<Ref>, kept: ReadonlySet<Ref>): void {
  for (const instance of before) {
    if (kept.has(instance)) continue;
    renewTracking(instance).needsRestage = true; // as Schema.reset has it: its values are sent when attached
    setRefId(instance, undefined);
  }
}

function encoderOf(room: Room): Encoder {
  // A room whose state is a Schema has Colyseus's SchemaSerializer: the setter of `state` sees to it.
  return (room["_serializer"] as SchemaSerializer<Schema>)["encoder"];
}
