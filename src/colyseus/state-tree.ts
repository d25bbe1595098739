// Capturing a room's Schema state exactly, so that it can be restored in another process (CKP1).
//
// The tracked tree is walked, not encoded: `encodeAll` leaves out @view, @patchOnly and stream contents, and
// keeps no server-side order. Reading changes nothing: pending changes stay pending, and the image holds the
// state with them applied.
//
// Kept: every declared field and collection, refIds, shared instances and cycles, wire indexes, `maxPerTick`. StateViews
// are kept beside the image, with the players that they belong to: state-views.ts.
// Not kept: fields that are not synchronized (`noSync`, plain properties), for these there is onCacheRoom();
// a `priority` callback set on an instance; `pauseTracking()`.
//
// Limits of @colyseus/schema 5.0.34, which no checkpoint can mend (found by the tests beside this):
// - Map keys that every object has ("constructor", "toString", "__proto__" …) break MapSchema itself.
// - An instance on a cycle is restored, but to remove it from one of several places overflows the stack.
// - One tick that mixes positional changes of an array, or gives an instance a second place and takes one away,
//   may patch players wrongly; so may a value put at an array's index that has an equal one.
// - An instance in a @view field and in a public one reaches a new player whole only if the public field is
//   declared first.
// - Where a class and its subclass have @view fields of one custom tag, adding an instance of the base class to a view
//   with that tag throws at the next patch.
// - A `number` that is NaN or infinite, or that float32 nearly holds, reaches players as another one.
// - A full state speaks of the instances in a @patchOnly field without introducing them: a player who returns then keeps what
//   has left the state's collections meanwhile. Hold plain values there.
// - What a stream held before it belonged to a room is never told to anybody.
// - Classes without a name of their own are told apart by the order of discovery only. Name your classes.
// - See state-restore.ts for what a returning client's decoder does not reconcile.

import type { Ref, Schema, TypeContext } from "@colyseus/schema";

import { RingsideError } from "../errors.ts";
import type { CollectionKind, CollectionsImage, Link, ShapeImage, StateImage } from "./state-image.ts";
import {
  classesNamed,
  type Declared,
  planOf,
  type RawArray,
  type RawMap,
  rawOf,
  type RawSchema,
  type RawSet,
  type RawStream,
  readField,
  refIdOf,
  type SchemaClass,
  treeOf,
} from "./state-internals.ts";

export type { StateImage } from "./state-image.ts";
export { REF_ID_GAP, restoreState } from "./state-restore.ts";

/** Whether this is a Schema state that a room holds: what captureState takes. A room may have another, or none. */
export function isSchemaState(state: unknown): state is object {
  return typeof state === "object" && state !== null && refIdOf(state) !== undefined;
}

/**
 * The whole state as plain data. Reads only.
 *
 * @param state a Schema instance that a room holds as its state
 * @throws RingsideError INTERNAL when the tree holds what could not be restored: an instance that the encoder
 *   does not track, or one of a class that Colyseus does not know (tag it with `entity`)
 */
export function captureState(state: object): StateImage {
  const root = treeOf(state).root;
  if (root === undefined) throw new RingsideError("INTERNAL", { why: "the state belongs to no room" });
  return new Capture(root.types).run(state as Ref, root["nextUniqueId"]); // a tracked object is a Ref
}

class Capture {
  readonly #types: TypeContext;
  readonly #shapes = new Map<SchemaClass, ShapeImage>();
  readonly #collections: CollectionsImage[] = [];
  /** The same ones, by what they hold and by their kind: asked for each collection of the state. */
  readonly #byKind: Record<CollectionsImage["holds"], Partial<Record<CollectionKind, CollectionsImage>>> = {
    values: {},
    links: {},
  };
  /** Everything met so far, in order; the walk goes along it, so that a deep tree cannot exhaust the stack. */
  readonly #found = new Map<object, Declared>();

  constructor(types: TypeContext) {
    this.#types = types;
  }

  run(state: Ref, nextRefId: number): StateImage {
    const rootRefId = this.#link(state, { kind: "schema", klass: classOf(state) }) as number; // never null
    for (const [instance, declared] of this.#found) {
      // By what it is declared as: a class that Metadata.setFields() was given is no Schema, and works as one.
      if (declared.kind === "schema") this.#readSchema(instance as Schema);
      else if (declared.kind !== "value") this.#readCollection(instance, declared);
    }
    return {
      rootRefId,
      nextRefId,
      shapes: [...this.#shapes.values()],
      collections: this.#collections,
    };
  }

  #link(instance: unknown, declared: Declared): Link {
    if (instance === undefined || instance === null) return instance;
    const refId = refIdOf(instance);
    if (refId === undefined) {
      throw new RingsideError("INTERNAL", {
        why: "an object in the room's state was never attached to it",
        type: (instance as object).constructor.name,
      });
    }
    if (declared.kind === "schema" && classOf(instance) !== declared.klass) {
      this.#shapeOf(classOf(instance)).exact.add(refId);
    }
    if (!this.#found.has(instance)) this.#found.set(instance, declared);
    return refId;
  }

  #readSchema(instance: Schema): void {
    const klass = classOf(instance);
    const plan = planOf(klass);
    const raw = instance as unknown as RawSchema; // see state-internals.ts
    const row: unknown[] = [];
    for (const field of plan.values) row.push(readField(raw, field));
    for (const field of plan.links) row.push(this.#link(readField(raw, field), field.declared));
    const shape = this.#shapeOf(klass);
    shape.refIds.push(refIdOf(instance) as number); // #link saw it
    shape.rows.push(row);
  }

  #shapeOf(klass: SchemaClass): ShapeImage {
    let shape = this.#shapes.get(klass);
    if (shape === undefined) {
      const plan = planOf(klass);
      const twins = classesNamed(this.#types, klass.name);
      if (!twins.includes(klass)) {
        throw new RingsideError("INTERNAL", {
          why: "a class in the room's state is not known to Colyseus; tag it with entity()",
          type: klass.name,
        });
      }
      shape = {
        type: klass.name,
        twin: twins.length > 1 ? twins.indexOf(klass) : undefined,
        values: plan.values.map((field) => field.name),
        links: plan.links.map((field) => field.name),
        refIds: [],
        rows: [],
        exact: new Set(),
      };
      this.#shapes.set(klass, shape);
    }
    return shape;
  }

  #readCollection(instance: object, { kind, child }: Declared & { kind: CollectionKind }): void {
    const image = this.#collectionsOf(kind, child.kind === "value" ? "values" : "links");
    const refId = refIdOf(instance) as number; // #link saw it
    const raw = rawOf<RawArray | RawMap | RawSet | RawStream>(instance);
    const entries = [...("items" in raw ? raw.items : raw.$items.values())];
    image.refIds.push(refId);
    image.entries.push(child.kind === "value" ? entries : entries.map((entry) => this.#link(entry, child)));
    if ("items" in raw) return;

    if ("journal" in raw) {
      const { indexByKey, nextIndex } = raw.journal;
      const keys = [...raw.$items.keys()];
      image.keys.push(keys);
      image.indexes.push(keys.map((key) => indexByKey[key] as number)); // a journal knows all keys of its map
      image.nextIndexes.push(nextIndex);
    } else {
      image.indexes.push([...raw.$items.keys()]);
      image.nextIndexes.push("$nextPosition" in raw ? raw.$nextPosition : raw.$refId);
    }
    if (raw._stream !== undefined) image.perTick.set(refId, raw._stream.maxPerTick);
  }

  #collectionsOf(kind: CollectionKind, holds: "values" | "links"): CollectionsImage {
    let image = this.#byKind[holds][kind];
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
      this.#byKind[holds][kind] = image;
      this.#collections.push(image);
    }
    return image;
  }
}

function classOf(instance: object): SchemaClass {
  return instance.constructor as SchemaClass; // true of every Schema instance
}
