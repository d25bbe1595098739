// Whether a saved image fits the classes a room has now, and if so, what each refId is to become.
//
// All of it is found out before anything is changed: the room is either restored or as it was. A field that
// the image lacks keeps what the room put there; a saved field that the class lacks is dropped, with all that
// only it led to. Anything else that differs in kind is refused, never guessed at.

import type { TypeContext } from "@colyseus/schema";

import { RingsideError } from "../errors.ts";
import type { CollectionKind, ShapeImage, StateImage } from "./state-image.ts";
import {
  type ClassPlan,
  classesNamed,
  type Declared,
  type FieldPlan,
  planOf,
  type SchemaClass,
} from "./state-internals.ts";

/** A field, and where its value is in a row. Fields that the image lacks are not listed. */
export interface Column {
  readonly field: FieldPlan;
  readonly at: number;
}

/** One collection of an image. */
export interface SavedCollection {
  readonly kind: CollectionKind;
  readonly refId: number;
  readonly holds: "values" | "links";
  readonly entries: readonly unknown[];
  readonly keys: readonly string[];
  readonly indexes: readonly number[];
  readonly nextIndex: number;
  readonly perTick: number | undefined;
}

export type Fitted =
  | {
      readonly kind: "schema";
      readonly plan: ClassPlan;
      readonly columns: readonly Column[];
      readonly row: readonly unknown[];
    }
  | {
      readonly kind: CollectionKind;
      readonly declared: Declared & { kind: CollectionKind };
      readonly saved: SavedCollection;
    };

type Saved =
  { readonly shape: ShapeImage; readonly row: readonly unknown[] } | { readonly collection: SavedCollection };

/**
 * Every instance that the image will have in a state of this class.
 *
 * @throws RingsideError SNAPSHOT_UNREADABLE when the image does not fit; facts tell where
 */
export function fitImage(image: StateImage, rootClass: SchemaClass, types: TypeContext): Map<number, Fitted> {
  try {
    return new Fit(image, types).run(rootClass);
  } catch (error) {
    if (error instanceof RingsideError) throw error;
    // The image came from bytes whose checksum was right, yet it is not built as one: only reading was done.
    throw new RingsideError(
      "SNAPSHOT_UNREADABLE",
      { why: "the saved state is not built as an image" },
      error,
    );
  }
}

class Fit {
  readonly #image: StateImage;
  readonly #types: TypeContext;
  readonly #saved = new Map<number, Saved>();
  readonly #fitted = new Map<number, Fitted>();
  readonly #columns = new Map<ShapeImage, Map<SchemaClass, Column[]>>();

  constructor(image: StateImage, types: TypeContext) {
    this.#image = image;
    this.#types = types;
    for (const shape of image.shapes) {
      shape.refIds.forEach((refId, i) => this.#saved.set(refId, { shape, row: shape.rows[i] ?? [] }));
    }
    for (const { kind, holds, refIds, entries, keys, indexes, nextIndexes, perTick } of image.collections) {
      refIds.forEach((refId, i) => {
        const collection = {
          kind,
          refId,
          holds,
          entries: entries[i] ?? [],
          keys: keys[i] ?? [],
          indexes: indexes[i] ?? [],
          nextIndex: nextIndexes[i] ?? 0,
          perTick: perTick.get(refId),
        };
        this.#saved.set(refId, { collection });
      });
    }
  }

  run(rootClass: SchemaClass): Map<number, Fitted> {
    const root = this.#saved.get(this.#image.rootRefId);
    const rootType = root !== undefined && "shape" in root ? root.shape.type : "nothing";
    if (rootType !== rootClass.name) {
      refuse("the saved state is of another class", "room.state", { saved: rootType, now: rootClass.name });
    }
    this.#claim(this.#image.rootRefId, { kind: "schema", klass: rootClass }, "room.state");
    for (const fitted of this.#fitted.values()) {
      if (fitted.kind === "schema") this.#follow(fitted);
      else this.#followEntries(fitted);
    }
    return this.#fitted;
  }

  #follow({ plan, columns, row }: Fitted & { kind: "schema" }): void {
    for (const { field, at } of columns) {
      const place = `${plan.klass.name}.${field.name}`;
      if (field.declared.kind === "value") checkValue(row[at], field.declared, place);
      else this.#claim(row[at], field.declared, place);
    }
  }

  #followEntries({ declared, saved }: Fitted & { kind: CollectionKind }): void {
    const place = `${declared.kind} ${saved.refId}`;
    const { entries, holds } = saved;
    if (holds !== (declared.child.kind === "value" ? "values" : "links")) {
      refuse("the entries are of another kind", place, { saved: holds, now: declared.child.kind });
    }
    const lacksIndexes = declared.kind !== "array" && saved.indexes.length !== entries.length;
    const lacksKeys = declared.kind === "map" && saved.keys.length !== entries.length;
    if (lacksIndexes || lacksKeys) refuse("entries and their indexes differ in number", place);
    for (const entry of entries) {
      if (declared.child.kind === "value") checkValue(entry, declared.child, place);
      else this.#claim(entry, declared.child, place);
    }
  }

  #claim(link: unknown, declared: Declared & { kind: "schema" | CollectionKind }, place: string): void {
    if (link === undefined || link === null) return;
    const saved = this.#saved.get(link as number); // a miss is refused next, whatever it was
    if (saved === undefined)
      return refuse("something that was not saved is referred to", place, { refId: link });
    const known = this.#fitted.get(link as number);
    const isSchema = "shape" in saved;
    const savedKind = isSchema ? "schema" : saved.collection.kind;
    if (savedKind !== declared.kind) {
      return refuse("the field is of another kind", place, { saved: savedKind, now: declared.kind });
    }
    if (declared.kind !== "schema") {
      // Its one use of `saved.collection` is right: the kinds are the same, and not "schema".
      if (known === undefined && !isSchema) {
        this.#fitted.set(link as number, { kind: declared.kind, declared, saved: saved.collection });
      }
      return;
    }
    if (!isSchema) return; // never: the kinds are the same
    const klass = saved.shape.exact.has(link as number)
      ? this.#classNow(saved.shape, declared.klass, place)
      : declared.klass;
    if (known === undefined) {
      const columns = this.#columnsOf(saved.shape, klass);
      this.#fitted.set(link as number, { kind: "schema", plan: planOf(klass), columns, row: saved.row });
    } else if (known.kind === "schema" && known.plan.klass !== klass) {
      refuse("two fields declare one instance differently", place, { now: klass.name });
    }
  }

  /** The class that the instance's own class is called now, which must be one that the field may hold. */
  #classNow(shape: ShapeImage, declared: SchemaClass, place: string): SchemaClass {
    const named = classesNamed(this.#types, shape.type);
    const alike = named.length > 1 ? named.filter((klass) => hasFields(klass, shape)) : named;
    const klass = alike.length === 1 ? alike[0] : named[shape.twin ?? 0];
    if (klass === undefined) return refuse("its class is unknown", place, { saved: shape.type });
    if (klass !== declared && !(klass.prototype instanceof declared)) {
      return refuse("its class is no longer one that the field may hold", place, {
        saved: shape.type,
        now: declared.name,
      });
    }
    return klass;
  }

  #columnsOf(shape: ShapeImage, klass: SchemaClass): readonly Column[] {
    let byClass = this.#columns.get(shape);
    if (byClass === undefined) this.#columns.set(shape, (byClass = new Map()));
    let columns = byClass.get(klass);
    if (columns === undefined) {
      columns = [];
      for (const field of planOf(klass).fields) {
        const isValue = field.declared.kind === "value";
        const value = shape.values.indexOf(field.name);
        const link = shape.links.indexOf(field.name);
        if (value < 0 && link < 0) continue;
        if (isValue !== value >= 0) {
          const [saved, now] = isValue ? ["an instance", "a value"] : ["a value", "an instance"];
          return refuse("the field is of another kind", `${klass.name}.${field.name}`, { saved, now });
        }
        columns.push({ field, at: isValue ? value : shape.values.length + link });
      }
      byClass.set(klass, columns);
    }
    return columns;
  }
}

function hasFields(klass: SchemaClass, shape: ShapeImage): boolean {
  const names = planOf(klass).fields.map((field) => field.name);
  return (
    names.length === shape.values.length + shape.links.length &&
    names.every((name) => shape.values.includes(name) || shape.links.includes(name))
  );
}

function checkValue(value: unknown, { wants }: Declared & { kind: "value" }, place: string): void {
  if (value === undefined || value === null || wants === undefined || typeof value === wants) return;
  refuse("the value is of another type", place, { saved: typeof value, now: wants });
}

function refuse(why: string, place: string, facts: Record<string, unknown> = {}): never {
  throw new RingsideError("SNAPSHOT_UNREADABLE", { why, place, ...facts });
}
