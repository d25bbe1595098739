// What a structured clone would lose in silence, or refuse without a place: found before it is tried, and named.
//
// Functions, and objects with properties under symbols, as every Schema instance is (keep its key, or its `toJSON()`).
// Instances of an author's own classes come back as plain objects, without their methods.

import { deserialize, serialize } from "node:v8";

import { RingsideError } from "../errors.ts";

/** Finds what serialize would drop in silence, and functions, which it reports without a place. */
export function refuseLossy(parts: Record<string, unknown>): void {
  const seen = new Set<object>();
  const visit = (value: unknown, place: string): void => {
    if (typeof value === "function" || typeof value === "symbol") {
      throw new RingsideError("INTERNAL", {
        why: `a ${typeof value} cannot be saved in a checkpoint`,
        place,
      });
    }
    if (!isObject(value) || seen.has(value) || ArrayBuffer.isView(value)) return;
    seen.add(value);
    if (Object.getOwnPropertySymbols(value).length > 0) {
      const type = Object.getPrototypeOf(value)?.constructor?.name;
      const why = "an object with symbol properties cannot be saved in a checkpoint (a Schema instance?)";
      throw new RingsideError("INTERNAL", { why, place, type });
    }
    for (const [name, child] of childrenOf(value, place)) visit(child, name);
  };
  for (const [name, part] of Object.entries(parts)) visit(part, name);
}

/**
 * A copy as a checkpoint would bring it back; nobody else holds it.
 *
 * @throws RingsideError INTERNAL, with the place, for what a checkpoint cannot hold
 */
export function copyAsSaved(value: unknown, name: string): unknown {
  const parts = { [name]: value };
  refuseLossy(parts);
  try {
    return deserialize(serialize(value));
  } catch (error) {
    const facts = { why: "this cannot be saved in a checkpoint", place: placeOf(parts) };
    throw new RingsideError("INTERNAL", facts, error);
  }
}

/** The place of the innermost value that cannot be serialized. */
export function placeOf(parts: Record<string, unknown>): string {
  const seen = new Set<object>();
  const find = (value: unknown, place: string): string | undefined => {
    if (isObject(value) && seen.has(value)) return undefined;
    try {
      serialize(value);
      return undefined;
    } catch {
      // The failure itself is the answer; the caller throws it with the place.
      if (!isObject(value)) return place;
      seen.add(value);
      for (const [name, child] of childrenOf(value, place)) {
        const inner = find(child, name);
        if (inner !== undefined) return inner;
      }
      return place;
    }
  };
  for (const [name, part] of Object.entries(parts)) {
    const place = find(part, name);
    if (place !== undefined) return place;
  }
  return "?";
}

function* childrenOf(value: object, place: string): Generator<[string, unknown]> {
  if (value instanceof Map) {
    for (const [key, child] of value) {
      yield [`${place} key`, key];
      yield [`${place}.get(${typeof key === "object" ? "…" : String(key)})`, child];
    }
  } else if (value instanceof Set) {
    for (const child of value) yield [`${place} entry`, child];
  } else {
    const isArray = Array.isArray(value);
    for (const [name, child] of Object.entries(value))
      yield [isArray ? `${place}[${name}]` : `${place}.${name}`, child];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
