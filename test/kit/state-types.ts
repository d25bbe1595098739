// Generated schema types, and changes of any kind to a state of such types.
//
// What the library's own patches do not survive, with no restore about, is not generated: two positional changes of one
// array in one tick, equal values in one array, an instance in two places. Nor are streams, whose contents are no part of
// a full state.

import {
  $changes,
  $numFields,
  type ArraySchema,
  type CollectionSchema,
  type MapSchema,
  Schema,
  schema,
  type SetSchema,
  type StateView,
  t,
} from "@colyseus/schema";
import * as fc from "fast-check";

export type SchemaClass = new () => Schema;

/** Says which of so many. */
export type Pick = (size: number) => number;

/** Numbers to pick by, for one step. */
export const choices = fc.array(fc.nat(9_999), { minLength: 10, maxLength: 10 });
export const steps = fc.array(choices, { maxLength: 40, size: "max" });

export function pickBy(numbers: readonly number[]): Pick {
  let next = 0;
  return (size) => (numbers[next++ % numbers.length] ?? 0) % size;
}

const EDGES: Record<string, readonly unknown[]> = {
  string: ["", "a", "\0", "é🎮", "x".repeat(31), "x".repeat(32), "y".repeat(255), "z".repeat(256)],
  // Not NaN or infinite: of a `number` the library tells its players something else then.
  number: [0, -0, -1, 127, 128, 255, 256, -32_769, 2 ** 31, 2 ** 32, -(2 ** 53), 0.5, 1e300],
  boolean: [false, true],
  int8: [-128, 127, 0],
  uint8: [0, 255],
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 0],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  float32: [0.5, -Infinity, NaN, Math.fround(0.1), -0],
  float64: [0.1, Number.MIN_VALUE, Number.MAX_VALUE, NaN, -0],
  bigint64: [-(2n ** 63n), 2n ** 63n - 1n, 0n],
  biguint64: [0n, 2n ** 64n - 1n],
};
export const PRIMITIVES = Object.keys(EDGES);
/** In collections each value is another one: see above. */
const COUNTABLE = ["string", "number", "int32", "uint32", "float64", "bigint64"];

interface FieldSpec {
  readonly kind: "value" | "ref" | "array" | "map" | "set" | "collection";
  readonly type: number;
  readonly holdsValues: boolean;
  readonly modifier: number;
  readonly tag: number;
}

const field = fc.record<FieldSpec>({
  kind: fc.constantFrom("value", "value", "ref", "array", "map", "set", "collection"),
  type: fc.nat(999),
  holdsValues: fc.boolean(),
  modifier: fc.nat(5),
  tag: fc.nat(5),
});
const klass = fc.record({ fields: fc.array(field, { minLength: 1, maxLength: 5 }), base: fc.nat(9) });

/** What a room's state and all in it are made of. The last class is the state's. */
export const types = fc.array(klass, { minLength: 2, maxLength: 4 });
export type Types = Parameters<Parameters<typeof types.map>[0]>[0];

/** `view(tag)` by number; none for others. */
const TAGS: Record<number, number | undefined> = { 1: -1, 2: 1, 3: 2, 4: 3 };

type ExtensibleClass = SchemaClass & { extend(fields: unknown, name: string): SchemaClass };

/** Real classes of those types. With `hasViews` some fields are for those only whose view shows them. */
export function classesOf(specs: Types, hasViews: boolean): SchemaClass[] {
  const classes: SchemaClass[] = [];
  for (const [at, { fields, base }] of specs.entries()) {
    // The state's class extends nothing: that is what all the others are for.
    const parent = at < specs.length - 1 ? (classes[base] as ExtensibleClass | undefined) : undefined;
    // A tag in a subclass would be taken for one of its base's fields, which has not got it; add() fails there.
    const mayHide = hasViews && parent === undefined;
    const made: Record<string, unknown> = {};
    for (const [i, spec] of fields.entries()) made[`f${at}_${i}`] = builderOf(spec, classes, mayHide);
    const name = `Generated${at}`;
    classes.push(
      parent !== undefined
        ? parent.extend(made, name)
        : (schema(made as never, name) as unknown as SchemaClass),
    );
  }
  return classes;
}

function builderOf(spec: FieldSpec, known: readonly SchemaClass[], hasViews: boolean): unknown {
  const { kind, type, modifier, tag } = spec;
  const target = known[type % (known.length || 1)];
  const isValue = kind === "value" || target === undefined || (kind !== "ref" && spec.holdsValues);
  const view = hasViews ? TAGS[tag] : undefined;
  if (kind === "value" || (kind === "ref" && target === undefined)) {
    if (modifier === 5) return t.quantized({ min: -10, max: 10, bits: 16 });
    const name = PRIMITIVES[type % PRIMITIVES.length] as keyof typeof t & "string";
    const made = (t[name] as unknown as typeof t.number)(); // it is one of the primitives
    if (view !== undefined) return made.view(view === -1 ? undefined : view);
    return modifier === 4 ? made.unreliable() : made;
  }
  if (kind === "ref") {
    const made = t.ref(target as SchemaClass).optional();
    return view === undefined ? made : made.view(view === -1 ? undefined : view);
  }
  const child = isValue ? (COUNTABLE[type % COUNTABLE.length] as "string") : target;
  const collection = t[kind] as typeof t.map; // or another factory of the same shape
  const made = collection(child as "string");
  return view === undefined ? made : made.view(view === -1 ? undefined : view);
}

/** Everything in a state, itself first. */
export function everythingIn(state: Schema): object[] {
  const found = new Set<object>([state]);
  for (const instance of found) {
    for (const [, value] of entriesOf(instance)) if (isInstance(value)) found.add(value);
  }
  return [...found];
}

function entriesOf(instance: object): [unknown, unknown][] {
  if (!(instance instanceof Schema)) return [...(instance as Map<unknown, unknown>).entries()];
  return fieldsOf(instance).map(({ name }) => [name, instance[name as keyof Schema]]);
}

interface Field {
  readonly name: string;
  readonly type: unknown;
}

function fieldsOf(instance: Schema): Field[] {
  const metadata = (instance.constructor as typeof Schema)[Symbol.metadata];
  const fields: Field[] = [];
  for (let i = 0; i <= (metadata[$numFields] ?? -1); i++)
    if (metadata[i] !== undefined) fields.push(metadata[i] as Field);
  return fields;
}

function isInstance(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Changes something, somewhere in the state. */
export class Changer {
  readonly #classes: readonly SchemaClass[];
  #count = 0;

  constructor(classes: readonly SchemaClass[]) {
    this.#classes = classes;
  }

  change(state: Schema, pick: Pick): void {
    const all = everythingIn(state).filter((instance): instance is Schema => instance instanceof Schema);
    const instance = all[pick(all.length)] ?? state;
    const fields = fieldsOf(instance);
    const { name, type } = fields[pick(fields.length)] as Field; // each class has one
    const raw = instance as unknown as Record<string, unknown>;
    const value = raw[name];
    if (typeof type === "string") raw[name] = pick(5) === 0 ? undefined : this.#valueOf(type, pick);
    else if (typeof type === "function")
      raw[name] = pick(4) === 0 ? undefined : this.#make(type as SchemaClass, pick);
    else if (isInstance(type) && "quantized" in type) raw[name] = pick(2_000) / 100 - 10;
    else if (isInstance(type)) this.#changeEntries(value as object, Object.values(type)[0], pick);
  }

  #changeEntries(collection: object, child: unknown, pick: Pick): void {
    const kind = collection.constructor.name;
    const entry = (): never =>
      (typeof child === "string" ? this.#uniqueOf(child) : this.#make(child as SchemaClass, pick)) as never;
    if (kind === "ArraySchema") changeArray(collection as ArraySchema<never>, entry, pick);
    else if (kind === "MapSchema") {
      const map = collection as MapSchema<never>;
      const what = pick(10);
      if (what === 0) map.clear();
      else if (what < 4) map.delete(`k${pick(5)}`);
      else map.set(`k${pick(5)}`, entry());
    } else {
      const set = collection as SetSchema<never> | CollectionSchema<never>;
      const old = [...set.values()];
      if (pick(12) === 0) set.clear();
      else if (old.length > 0 && pick(3) === 0) set.delete(old[pick(old.length)] as never);
      else if (old.length < 8) set.add(entry());
    }
  }

  /** An instance of that class or of one that extends it. */
  #make(declared: SchemaClass, pick: Pick): Schema {
    const fitting = this.#classes.filter((each) => each === declared || each.prototype instanceof declared);
    const made = new (fitting[pick(fitting.length)] ?? declared)();
    for (const { name, type } of fieldsOf(made)) {
      if (typeof type === "string" && pick(2) === 0) {
        (made as unknown as Record<string, unknown>)[name] = this.#valueOf(type, pick);
      }
    }
    return made;
  }

  #valueOf(type: string, pick: Pick): unknown {
    const edges = EDGES[type] ?? [];
    return edges[pick(edges.length)];
  }

  #uniqueOf(type: string): unknown {
    this.#count += 1;
    if (type === "string") return `v${this.#count}`;
    return type === "bigint64" ? BigInt(this.#count) : this.#count;
  }
}

function changeArray(array: ArraySchema<never>, entry: () => never, pick: Pick): void {
  if ((array[$changes as never] as unknown as { has(): boolean }).has()) return;
  const what = pick(8);
  if (what < 4 || array.length === 0) array.push(entry());
  else if (what === 4) array.pop();
  else if (what === 5) array.shift();
  else if (what === 6) array.splice(pick(array.length), 1);
  else array.unshift(entry());
}

/** Shows or hides something in a state by a view. */
export function changeView(view: StateView, state: Schema, pick: Pick): void {
  const all = everythingIn(state);
  const instance = all[pick(all.length)] as never;
  const what = pick(10);
  if (what < 5) view.add(instance);
  else if (what < 7) view.add(instance, 1 + pick(3));
  else if (what < 9) view.remove(instance);
  else view.remove(instance, 1 + pick(3));
}
