// A saved state as an author edits it (migrateCheckpoint): image -> records -> image. Pure; nothing here knows a room.
//
// In an image instances are rows and links are refIds; here an instance is a record with its fields by name, and a link is
// the record itself, so that shared instances stay shared and cycles are cycles. Whatever came out of the image is known by
// being the same object: a record keeps its refId, by which returning players know it, whatever is done to its fields, its
// class or its place, and an entry that stays in its map or set keeps its wire index. What the author made has neither and
// gets new ones, far above those that were given out after the checkpoint, as all of a restore do (REF_ID_GAP). Without
// edits, the image that comes out is the one that went in.

import { RingsideError } from "../errors.ts";
import type {
  CollectionOrigin,
  RecordOrigin,
  SavedCollection,
  SavedInstance,
  SavedRecord,
} from "./saved-record.ts";
import { imageOf, type DeclaredNow } from "./state-from-records.ts";
import type { CollectionsImage, ShapeImage, StateImage } from "./state-image.ts";

type Follow = (link: unknown) => unknown;

export class SavedRecords {
  readonly root: SavedRecord;
  readonly #image: StateImage;
  readonly #records = new Map<SavedRecord, RecordOrigin>();
  readonly #collections = new Map<SavedCollection, CollectionOrigin>();
  readonly #values = new Set<object>();

  /** @throws RingsideError SNAPSHOT_UNREADABLE when this is not built as an image */
  constructor(image: StateImage) {
    this.#image = image;
    try {
      this.root = this.#read();
    } catch (error) {
      if (error instanceof RingsideError) throw error;
      const why = "the saved state is not built as an image";
      throw new RingsideError("SNAPSHOT_UNREADABLE", { why }, error);
    }
  }

  /** All that were saved and are of this class now: one whose `$type` was changed is found under its new name. */
  instancesOf(type: string): SavedRecord[] {
    return [...this.#records.keys()].filter((record) => record.$type === type);
  }

  /**
   * The image of what can be reached from `root` now.
   *
   * @throws RingsideError INTERNAL when that is no state: a root or an entry without a `$type`
   */
  toImage(root: SavedRecord = this.root, declared?: DeclaredNow): StateImage {
    const origins = { records: this.#records, collections: this.#collections, values: this.#values };
    return imageOf(root, { ...origins, nextRefId: this.#image.nextRefId }, declared);
  }

  #read(): SavedRecord {
    const { shapes, collections, rootRefId } = this.#image;
    const byRefId = new Map<number, SavedInstance>();
    for (const shape of shapes) {
      for (const refId of shape.refIds) {
        const record: SavedRecord = { $type: shape.type };
        byRefId.set(refId, record);
        this.#records.set(record, { refId, shape });
      }
    }
    for (const { kind, refIds } of collections) {
      for (const refId of refIds)
        byRefId.set(refId, kind === "map" ? new Map() : kind === "set" ? new Set() : []);
    }
    const follow = (link: unknown): unknown => {
      if (link === undefined || link === null) return link;
      const instance = byRefId.get(link as number); // a miss is refused next, whatever it was
      if (instance === undefined)
        throw unreadable("something that was not saved is referred to", { refId: link });
      return instance;
    };
    for (const shape of shapes) {
      shape.refIds.forEach((refId, i) => this.#fill(byRefId.get(refId) as SavedRecord, shape, i, follow));
    }
    for (const image of collections) {
      // Made above, of the kind that the image has.
      image.refIds.forEach((refId, i) => this.#pour(byRefId.get(refId) as SavedCollection, image, i, follow));
    }
    const root = byRefId.get(rootRefId);
    if (root === undefined || !this.#records.has(root as SavedRecord)) throw unreadable("it has no root");
    return root as SavedRecord;
  }

  #fill(record: SavedRecord, { values, links, rows }: ShapeImage, at: number, follow: Follow): void {
    const row = rows[at] ?? [];
    values.forEach((name, i) => (record[name] = this.#value(row[i])));
    links.forEach((name, i) => (record[name] = follow(row[values.length + i])));
  }

  #pour(collection: SavedCollection, image: CollectionsImage, at: number, follow: Follow): void {
    const { kind, holds, refIds, perTick } = image;
    const saved = image.entries[at] ?? [];
    const keys = image.keys[at] ?? [];
    const entries = saved.map((entry) => (holds === "links" ? follow(entry) : this.#value(entry)));
    entries.forEach((entry, i) => {
      if (collection instanceof Map) collection.set(keys[i], entry);
      else if (collection instanceof Set) collection.add(entry);
      else collection.push(entry);
    });
    const refId = refIds[at] ?? 0;
    this.#collections.set(collection, {
      refId,
      kind,
      holds,
      entries,
      indexes: image.indexes[at] ?? [],
      positions: positionsOf(kind === "map" ? keys : entries),
      nextIndex: image.nextIndexes[at] ?? 0,
      perTick: perTick.get(refId),
    });
  }

  #value(value: unknown): unknown {
    if (typeof value === "object" && value !== null) this.#values.add(value);
    return value;
  }
}

function positionsOf(keys: readonly unknown[]): Map<unknown, number[]> {
  const positions = new Map<unknown, number[]>();
  keys.forEach((key, i) => {
    const known = positions.get(key);
    if (known === undefined) positions.set(key, [i]);
    else known.push(i);
  });
  return positions;
}

function unreadable(why: string, facts: Record<string, unknown> = {}): RingsideError {
  return new RingsideError("SNAPSHOT_UNREADABLE", { why, ...facts });
}
