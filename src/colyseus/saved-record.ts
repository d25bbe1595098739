// What a saved state is to the author of a migration, and what is remembered of where each part of it came from.

import type { CollectionKind, ShapeImage } from "./state-image.ts";

/**
 * A saved instance of a Schema class: the name of its class, and its fields. Another instance in a field is a record; an
 * `ArraySchema`, `CollectionSchema` or `StreamSchema` is an array, a `MapSchema` a `Map`, a `SetSchema` a `Set`. To make an
 * instance, write one down: `{ $type: "Stats", hp: 100 }`; fields that it does not mention have their defaults.
 */
export interface SavedRecord {
  $type: string;
  [field: string]: unknown;
}

export type SavedCollection = unknown[] | Map<unknown, unknown> | Set<unknown>;
export type SavedInstance = SavedRecord | SavedCollection;

export interface RecordOrigin {
  readonly refId: number;
  readonly shape: ShapeImage;
}

export interface CollectionOrigin {
  readonly refId: number;
  readonly kind: CollectionKind;
  readonly holds: "values" | "links";
  /** As they were saved. A Set, unlike what was saved, takes -0 for 0. */
  readonly entries: readonly unknown[];
  readonly indexes: readonly number[];
  /** By key in a map, and by entry in all else: its positions in the two above. */
  readonly positions: ReadonlyMap<unknown, readonly number[]>;
  readonly nextIndex: number;
  readonly perTick: number | undefined;
}

/** What came out of an image, known by being the same object. */
export interface Origins {
  /** Both in the image's order. */
  readonly records: ReadonlyMap<SavedRecord, RecordOrigin>;
  readonly collections: ReadonlyMap<SavedCollection, CollectionOrigin>;
  /** What custom types hold may look like a collection, or like a record, and is none. */
  readonly values: ReadonlySet<object>;
  readonly nextRefId: number;
}
