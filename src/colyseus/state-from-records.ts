// From records back to an image: the other half of state-records.ts, which says what this promises.

import { RingsideError } from "../errors.ts";
import type { CollectionKind, CollectionsImage, Link, ShapeImage, StateImage } from "./state-image.ts";
import type { Declared } from "./state-internals.ts";
import type {
  CollectionOrigin,
  Origins,
  SavedCollection,
  SavedInstance,
  SavedRecord,
} from "./saved-record.ts";
import { REF_ID_GAP } from "./state-restore.ts";

/** What a field of a class is declared as now, where that is known: it tells what an empty array, or a null, stands for. */
export type DeclaredNow = (type: string, field: string) => Declared | undefined;

/**
 * The image of what can be reached from `root`.
 *
 * @throws RingsideError INTERNAL when that is no state: a root or an entry without a `$type`
 */
export function imageOf(
  root: SavedRecord,
  origins: Origins,
  declared: DeclaredNow = () => undefined,
): StateImage {
  return new Writing(origins, declared).run(root);
}

class Writing {
  readonly #origins: Origins;
  readonly #declared: DeclaredNow;
  /** Everything that can be reached, in the order met; the walk goes along it. */
  readonly #refIds = new Map<SavedInstance, number>();
  readonly #declaredAs = new Map<SavedCollection, Declared | undefined>();
  #freshRefIds = 0;
  readonly #shapesOut = new Map<string, ShapeImage>();
  readonly #collectionsOut = new Map<string, CollectionsImage>();

  constructor(origins: Origins, declared: DeclaredNow) {
    this.#origins = origins;
    this.#declared = declared;
  }

  run(root: SavedRecord): StateImage {
    if (!this.#isRecord(root)) throw wrong("the state is no record: it has no $type");
    this.#meet(root);
    for (const instance of this.#refIds.keys()) this.#follow(instance);

    // First what was saved, in its order, then what is new.
    const isKept = (instance: SavedInstance): boolean => this.#refIds.has(instance);
    const kept: SavedInstance[] = [
      ...this.#origins.records.keys(),
      ...this.#origins.collections.keys(),
    ].filter(isKept);
    const before = new Set<SavedInstance>(kept);
    const all = [...kept, ...[...this.#refIds.keys()].filter((instance) => !before.has(instance))];
    for (const instance of all) {
      if (isCollection(instance)) this.#writeCollection(instance);
      else this.#writeRecord(instance);
    }
    return {
      rootRefId: this.#refIds.get(root) as number, // #meet put it there
      nextRefId: this.#origins.nextRefId + (this.#freshRefIds > 0 ? REF_ID_GAP + this.#freshRefIds : 0),
      shapes: [...this.#shapesOut.values()],
      collections: [...this.#collectionsOut.values()],
    };
  }

  #meet(instance: SavedInstance): void {
    if (this.#refIds.has(instance)) return;
    // Only one of the two can know it.
    const origin =
      this.#origins.records.get(instance as SavedRecord) ??
      this.#origins.collections.get(instance as SavedCollection);
    this.#refIds.set(instance, origin?.refId ?? this.#origins.nextRefId + REF_ID_GAP + this.#freshRefIds++);
  }

  #follow(instance: SavedInstance): void {
    if (isCollection(instance)) {
      if (this.#holds(instance) === "values") return;
      for (const entry of instance.values()) {
        if (entry === undefined || entry === null) continue;
        if (!this.#isRecord(entry)) throw wrong("an entry among records is no record: it has no $type");
        this.#meet(entry);
      }
      return;
    }
    for (const name of fieldsOf(instance)) {
      const value = instance[name];
      if (value === undefined || value === null || !this.#isLink(instance, name)) continue;
      // Asked before it is met: its first place says what it is.
      if (isCollection(value) && !this.#declaredAs.has(value)) {
        this.#declaredAs.set(value, this.#declared(instance.$type, name));
      }
      this.#meet(value as SavedInstance); // #isLink says so
    }
  }

  /** Whether a field holds an instance, or, where it holds nothing, would hold one. */
  #isLink(record: SavedRecord, name: string): boolean {
    const value = record[name];
    if (value === undefined || value === null) {
      const declared = this.#declared(record.$type, name);
      if (declared !== undefined) return declared.kind !== "value";
      return this.#origins.records.get(record)?.shape.links.includes(name) === true;
    }
    if (this.#isRecord(value)) return true;
    if (!isCollection(value) || this.#origins.values.has(value)) return false;
    return this.#origins.collections.has(value) || this.#declared(record.$type, name)?.kind !== "value";
  }

  #isRecord(value: unknown): value is SavedRecord {
    if (typeof value !== "object" || value === null || this.#origins.values.has(value)) return false;
    return typeof (value as { $type?: unknown }).$type === "string";
  }

  #holds(collection: SavedCollection): "values" | "links" {
    for (const entry of collection.values()) {
      if (entry !== undefined && entry !== null) return this.#isRecord(entry) ? "links" : "values";
    }
    const declared = this.#declaredAs.get(collection);
    if (declared !== undefined && "child" in declared)
      return declared.child.kind === "value" ? "values" : "links";
    return this.#origins.collections.get(collection)?.holds ?? "values";
  }

  #writeRecord(record: SavedRecord): void {
    const links: string[] = [];
    const values: string[] = [];
    for (const name of fieldsOf(record)) (this.#isLink(record, name) ? links : values).push(name);
    const origin = this.#origins.records.get(record);
    const type = record.$type;
    const isAsBefore = origin?.shape.type === type;
    const twin = isAsBefore ? origin.shape.twin : undefined;
    const key = JSON.stringify([type, twin, values, links]);
    let shape = this.#shapesOut.get(key);
    if (shape === undefined) {
      shape = { type, twin, values, links, refIds: [], rows: [], exact: new Set() };
      this.#shapesOut.set(key, shape);
    }
    const refId = this.#refIds.get(record) as number; // only what was met is written
    shape.refIds.push(refId);
    shape.rows.push([
      ...values.map((name) => record[name]),
      ...links.map((name) => this.#linkTo(record[name])),
    ]);
    // A class that the author named is the one that counts, whatever the field declares.
    if (isAsBefore ? origin.shape.exact.has(origin.refId) : true) shape.exact.add(refId);
  }

  #writeCollection(collection: SavedCollection): void {
    const origin = this.#origins.collections.get(collection);
    const kind = origin?.kind ?? kindOf(collection, this.#declaredAs.get(collection));
    const holds = this.#holds(collection);
    const key = `${kind} of ${holds}`;
    let image = this.#collectionsOut.get(key);
    if (image === undefined) {
      image = {
        kind,
        holds,
        refIds: [],
        entries: [],
        keys: [],
        indexes: [],
        nextIndexes: [],
        perTick: new Map(),
      };
      this.#collectionsOut.set(key, image);
    }
    const refId = this.#refIds.get(collection) as number; // only what was met is written
    const written = (entry: unknown): unknown => (holds === "links" ? this.#linkTo(entry) : entry);
    image.refIds.push(refId);
    if (origin?.perTick !== undefined) image.perTick.set(refId, origin.perTick);
    if (kind === "array") {
      image.entries.push([...collection.values()].map(written));
      return;
    }
    const placed = placeEntries(collection, origin);
    image.entries.push(placed.entries.map(written));
    if (kind === "map") image.keys.push([...(collection as Map<unknown, unknown>).keys()].map(String));
    image.indexes.push(placed.indexes);
    image.nextIndexes.push(placed.nextIndex);
  }

  #linkTo(value: unknown): Link {
    if (value === undefined || value === null) return value;
    return this.#refIds.get(value as SavedInstance) as number; // #follow met all
  }
}

interface Placed {
  readonly entries: unknown[];
  readonly indexes: number[];
  readonly nextIndex: number;
}

/** The entries with their wire indexes: the ones they had, for those that were there. */
function placeEntries(collection: SavedCollection, origin: CollectionOrigin | undefined): Placed {
  const firstFresh = origin === undefined ? 0 : origin.nextIndex + REF_ID_GAP;
  const free = new Map([...(origin?.positions ?? [])].map(([known, positions]) => [known, [...positions]]));
  const entries: unknown[] = [];
  const indexes: number[] = [];
  let fresh = firstFresh;
  const put = (entry: unknown, position: number | undefined): void => {
    indexes.push(position === undefined ? fresh++ : (origin?.indexes[position] ?? fresh++));
    entries.push(entry);
  };
  if (collection instanceof Map) {
    for (const [key, entry] of collection) put(entry, free.get(String(key))?.[0]);
  } else if (collection instanceof Set) {
    for (const entry of collection) {
      // Several that are one to a Set are as they were saved.
      const positions = free.get(entry);
      if (positions === undefined) put(entry, undefined);
      else for (const position of positions) put(origin?.entries[position], position);
    }
  } else {
    for (const entry of collection) put(entry, free.get(entry)?.shift());
  }
  return {
    entries,
    indexes,
    nextIndex: fresh === firstFresh && origin !== undefined ? origin.nextIndex : fresh,
  };
}

/** What a collection that the author made is to be: what its field declares, if that is written as it. */
function kindOf(collection: SavedCollection, declared: Declared | undefined): CollectionKind {
  if (collection instanceof Map) return "map";
  const own = collection instanceof Set ? "set" : "array";
  const other = declared?.kind;
  return other === "collection" || other === "stream" ? other : own;
}

function fieldsOf(record: SavedRecord): string[] {
  return Object.keys(record).filter((name) => name !== "$type");
}

function isCollection(value: unknown): value is SavedCollection {
  return Array.isArray(value) || value instanceof Map || value instanceof Set;
}

function wrong(why: string): RingsideError {
  return new RingsideError("INTERNAL", { why });
}
