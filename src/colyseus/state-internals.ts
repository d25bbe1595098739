// What the state tree needs of @colyseus/schema 5.0.34 that is not public API, in one place.
//
// Fields live in `instance[$values]` behind prototype accessors; reading there instead of through the accessor
// is exact (a quantized field has been snapped already) and never runs an author's or a @deprecated getter.
// Collections keep their entries beside the wire indexes by which patches name them. An ArraySchema is a Proxy:
// `changeTree.ref` is the proxy that everybody holds, `changeTree.refTarget` the object behind it.

import {
  $changes,
  $childType,
  $numFields,
  $refId,
  $values,
  ArraySchema,
  ChangeTree,
  CollectionSchema,
  MapSchema,
  type Ref,
  Schema,
  SetSchema,
  StreamSchema,
  type TypeContext,
} from "@colyseus/schema";

import { RingsideError } from "../errors.ts";
import type { CollectionKind } from "./state-image.ts";

export type SchemaClass = typeof Schema;

const COLLECTIONS = {
  array: ArraySchema,
  map: MapSchema,
  set: SetSchema,
  collection: CollectionSchema,
  stream: StreamSchema,
} as const;
const KINDS = Object.keys(COLLECTIONS) as CollectionKind[]; // the keys of the line above

/** What a field, or a collection's entry, is declared to hold. */
export type Declared =
  | { readonly kind: "value"; readonly wants: string | undefined; readonly isQuantized: boolean }
  | { readonly kind: "schema"; readonly klass: SchemaClass }
  | { readonly kind: CollectionKind; readonly child: Declared; readonly rawChild: unknown };

export interface FieldPlan {
  readonly name: string;
  readonly index: number;
  readonly declared: Declared;
  /** Declared without an accessor (`{ manual: true }`): the value is an own property of that name. */
  readonly isOwn: boolean;
}

/** A class's fields, by what they hold. Made once a class. */
export interface ClassPlan {
  readonly klass: SchemaClass;
  readonly fields: readonly FieldPlan[];
  readonly values: readonly FieldPlan[];
  readonly links: readonly FieldPlan[];
}

export interface RawSchema {
  [$values]: unknown[];
  [name: string]: unknown;
}

export interface RawArray {
  items: unknown[];
  tmpItems: unknown[];
  deletedIndexes: boolean[];
  isMovingItems: boolean;
}

/** The part of schema's StreamableState that is ours to keep or to start over. */
interface RawStreaming {
  broadcastPending: Set<number>;
  maxPerTick: number;
  priority?: unknown;
}

interface RawKeyed<Key> {
  $items: Map<Key, unknown>;
  _stream?: RawStreaming | undefined;
  maxPerTick: number;
  priority: unknown;
}

export interface RawMap extends RawKeyed<string> {
  journal: {
    keyByIndex: Map<number, string>;
    indexByKey: Record<string, number>;
    nextIndex: number;
    reset(): void;
  };
}

/** A set's and a collection's counter is called `$refId` (a string key; the refId is under the symbol). */
export interface RawSet extends RawKeyed<number> {
  $refId: number;
  deletedItems: Record<string, unknown>;
}

export interface RawStream extends RawKeyed<number> {
  $nextPosition: number;
  _itemIndex: Map<unknown, number>;
}

const WANTS: Record<string, string> = {
  string: "string",
  number: "number",
  int8: "number",
  uint8: "number",
  int16: "number",
  uint16: "number",
  int32: "number",
  uint32: "number",
  int64: "number",
  uint64: "number",
  float32: "number",
  float64: "number",
  bigint64: "bigint",
  biguint64: "bigint",
};

/** The tracker of an instance. @throws RingsideError INTERNAL for what the encoder does not track */
export function treeOf(instance: unknown): ChangeTree<Ref> {
  const tree = (instance as { [$changes]?: unknown } | undefined)?.[$changes];
  if (!(tree instanceof ChangeTree)) {
    throw new RingsideError("INTERNAL", {
      why: "an object in the room's state is not a tracked Schema instance",
      type: (instance as object | undefined)?.constructor?.name ?? typeof instance,
    });
  }
  return tree as ChangeTree<Ref>; // schema types its trees loosely; each belongs to one of the Refs
}

/** The object behind an instance, with its private fields: for an array not the proxy. */
export function rawOf<Raw>(instance: unknown): Raw {
  return treeOf(instance).refTarget as unknown as Raw;
}

export function refIdOf(instance: unknown): number | undefined {
  return (instance as { [$refId]?: number })[$refId];
}

/** Non-enumerable, as Root.add has it: deep comparisons must not see it. */
export function setRefId(instance: unknown, refId: number | undefined): void {
  Object.defineProperty(rawOf<object>(instance), $refId, { value: refId, enumerable: false, writable: true });
}

/** Gives an instance a tracker without a past: no root, parents, views or pending changes. */
export function renewTracking(instance: unknown): ChangeTree<Ref> {
  const old = treeOf(instance);
  const fresh = new ChangeTree<Ref>(old.ref, old.refTarget);
  fresh.paused = old.paused; // an author's standing wish
  (old.refTarget as { [$changes]: ChangeTree })[$changes] = fresh;
  return fresh;
}

export function setChildType(instance: unknown, rawChild: unknown): void {
  rawOf<{ [$childType]: unknown }>(instance)[$childType] = rawChild;
}

export function readField(raw: RawSchema, field: FieldPlan): unknown {
  return field.isOwn ? raw[field.name] : raw[$values][field.index];
}

export function writeField(raw: RawSchema, field: FieldPlan, value: unknown): void {
  const isQuantized = field.declared.kind === "value" && field.declared.isQuantized;
  // A quantized field's setter snaps, in case its range was changed since; what was snapped stays as it is.
  if (field.isOwn || isQuantized) raw[field.name] = value;
  else raw[$values][field.index] = value;
}

export function createCollection(kind: CollectionKind): Ref {
  const klass: new () => Ref = COLLECTIONS[kind];
  return new klass();
}

export function isCollectionOf(kind: CollectionKind, instance: unknown): boolean {
  return instance instanceof COLLECTIONS[kind];
}

/** An instance of an author's class, made by its constructor, or without it where that wants arguments. */
export function createSchema(klass: SchemaClass): Schema {
  try {
    return new klass();
  } catch {
    // As Schema.clone does. All declared fields are written next; unsynced ones are the author's to rebuild.
    const bare = Object.create(klass.prototype) as Schema; // its prototype chain says so
    Schema.initialize(bare);
    return bare;
  }
}

const plans = new WeakMap<SchemaClass, ClassPlan>();

export function planOf(klass: SchemaClass): ClassPlan {
  let plan = plans.get(klass);
  if (plan === undefined) {
    plan = makePlan(klass);
    plans.set(klass, plan);
  }
  return plan;
}

function makePlan(klass: SchemaClass): ClassPlan {
  const metadata = klass[Symbol.metadata];
  const fields: FieldPlan[] = [];
  for (let index = 0; index <= (metadata?.[$numFields] ?? -1); index++) {
    const field = metadata[index];
    if (field === undefined) continue; // inheritance can leave gaps
    const declared = declaredAs(field.type);
    fields.push({ name: field.name, index, declared, isOwn: !hasAccessor(klass, field.name) });
  }
  const values = fields.filter((field) => field.declared.kind === "value");
  const links = fields.filter((field) => field.declared.kind !== "value");
  return { klass, fields, values, links };
}

function declaredAs(type: unknown): Declared {
  if (typeof type === "string") return { kind: "value", wants: WANTS[type], isQuantized: false };
  if (typeof type === "function") return { kind: "schema", klass: type as SchemaClass }; // only classes get here
  const definition = type as Record<string, unknown>; // what is left of a DefinitionType once normalized
  if (definition["quantized"] !== undefined) return { kind: "value", wants: "number", isQuantized: true };
  const kind = KINDS.find((name) => definition[name] !== undefined);
  if (kind === undefined) {
    throw new RingsideError("INTERNAL", {
      why: "a field of the room's state has a collection type that checkpoints do not know",
      type: Object.keys(definition).join(),
    });
  }
  return { kind, child: declaredAs(definition[kind]), rawChild: definition[kind] };
}

function hasAccessor(klass: SchemaClass, name: string): boolean {
  for (let owner: unknown = klass.prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    if (descriptor !== undefined) return descriptor.get !== undefined;
  }
  return false;
}

const names = new WeakMap<TypeContext, Map<string, SchemaClass[]>>();

/** The classes of that name that a state can hold, in the order Colyseus discovered them. */
export function classesNamed(context: TypeContext, name: string): readonly SchemaClass[] {
  let byName = names.get(context);
  if (byName === undefined) {
    byName = new Map();
    for (const klass of context.schemas.keys()) {
      const same = byName.get(klass.name);
      if (same === undefined) byName.set(klass.name, [klass]);
      else same.push(klass);
    }
    names.set(context, byName);
  }
  return byName.get(name) ?? [];
}
