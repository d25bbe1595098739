// Capturing a room's Schema state exactly, so that it can be restored in another process (CKP1).
//
// The tracked tree is walked, not encoded: `encodeAll` leaves out @view, @patchOnly and stream contents, and
// keeps no server-side order. Reading changes nothing: pending changes stay pending, and the image holds the
// state with them applied.
//
// Kept: every declared field and collection, refIds, shared instances and cycles, wire indexes, `maxPerTick`.
// Not kept: fields that are not synchronized (`noSync`, plain properties), for these there is onCacheRoom();
// StateViews, which belong to clients; a `priority` callback set on an instance; `pauseTracking()`.
//
// Limits of @colyseus/schema 5.0.34, which no checkpoint can mend:
// - Map keys that every object has ("constructor", "toString", "__proto__" …) break MapSchema itself.
// - An anonymous class tells itself from others by the order of discovery only. Name your classes.
// - See state-restore.ts for what a returning client's decoder does not reconcile.

import { type Ref, Schema, type TypeContext } from "@colyseus/schema";

import { RingsideError } from "../errors.ts";
import type { CollectionImage, Link, ShapeImage, StateImage } from "./state-image.ts";
import {
  classesNamed,
  type CollectionKind,
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
  readonly #collections: CollectionImage[] = [];
  /** Everything met so far, in order; the walk goes along it, so that a deep tree cannot exhaust the stack. */
  readonly #found = new Map<object, Declared>();

  constructor(types: TypeContext) {
    this.#types = types;
  }

  run(state: Ref, nextRefId: number): StateImage {
    const rootRefId = this.#link(state, { kind: "schema", klass: classOf(state) }) as number; // never null
    for (const [instance, declared] of this.#found) {
      if (instance instanceof Schema) this.#readSchema(instance);
      else if (declared.kind !== "value" && declared.kind !== "schema")
        this.#readCollection(instance, declared);
    }
    return { rootRefId, nextRefId, shapes: [...this.#shapes.values()], collections: this.#collections };
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

  #readCollection(instance: object, declared: Declared & { kind: CollectionKind }): void {
    const refId = refIdOf(instance) as number; // #link saw it
    const { kind, child } = declared;
    const entriesOf = (entries: Iterable<unknown>): { values: unknown[] } | { links: number[] } => {
      if (child.kind === "value") return { values: [...entries] };
      return { links: Array.from(entries, (entry) => this.#link(entry, child) as number) }; // no null gets in
    };

    if (kind === "array") {
      const { items } = rawOf<RawArray>(instance);
      this.#collections.push({ kind, refId, ...entriesOf(items) });
      return;
    }
    const raw = rawOf<RawMap | RawSet | RawStream>(instance);
    const perTick = raw._stream?.maxPerTick;
    if ("journal" in raw) {
      const { indexByKey, nextIndex } = raw.journal;
      const keys = [...raw.$items.keys()];
      const indexes = keys.map((key) => indexByKey[key] as number); // a journal knows all keys of its map
      this.#collections.push({
        kind: "map",
        refId,
        keys,
        indexes,
        nextIndex,
        perTick,
        ...entriesOf(raw.$items.values()),
      });
      return;
    }
    const nextIndex = "$nextPosition" in raw ? raw.$nextPosition : raw.$refId;
    const indexes = [...raw.$items.keys()];
    const entries = entriesOf(raw.$items.values());
    this.#collections.push({ kind: kind as "set", refId, indexes, nextIndex, perTick, ...entries }); // or its kin
  }
}

function classOf(instance: object): SchemaClass {
  return instance.constructor as SchemaClass; // true of every Schema instance
}
