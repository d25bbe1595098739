// What a returning player's callbacks are told, against what has truly changed for them.

import { $numFields, ArraySchema, type Decoder, getDecoderStateCallbacks, Schema } from "@colyseus/schema";
import { expect } from "vitest";

/** Typed callbacks, as games have them, but on instances of any class. */
type AnyCallbacks = (instance: unknown) => {
  listen(field: string, told: () => void, immediate: boolean): void;
  onAdd(told: (value: unknown, key: unknown) => void, immediate: boolean): void;
  onRemove(told: (value: unknown, key: unknown) => void): void;
};

type Held = ReadonlyMap<unknown, unknown>;

/** Listens to everything that a decoder knows now: every field of every instance, every collection. */
export class Listener {
  readonly #decoder: Decoder<Schema>;
  readonly #known = new Map<number, { held: Held; told: string[] }>();

  constructor(decoder: Decoder<Schema>) {
    this.#decoder = decoder;
    const $ = getDecoderStateCallbacks(decoder) as unknown as AnyCallbacks; // it asks each instance for its class
    for (const [refId, instance] of decoder.root.refs) {
      const told: string[] = [];
      const held = heldBy(instance);
      this.#known.set(refId, { held, told });
      if (instance instanceof Schema) {
        for (const name of held.keys())
          $(instance).listen(String(name), () => told.push(`=${String(name)}`), false);
      } else {
        $(instance).onAdd((_value, key) => told.push(`+${String(key)}`), false);
        $(instance).onRemove((_value, key) => told.push(`-${String(key)}`));
      }
    }
  }

  /** That each true difference since then was told, once, and nothing else. Of what left the state nothing is said. */
  expectOnlyTrueDifferences(): void {
    for (const [refId, { held, told }] of this.#known) {
      // By its refId: the decoder puts a copy in a collection's place each time that a full state names it.
      const instance = this.#decoder.root.refs.get(refId);
      if (instance === undefined) continue;
      const now = heldBy(instance);
      const where = `${instance.constructor.name} ${refId}`;
      if (instance instanceof ArraySchema) {
        // Which of several moves a list made cannot be told from its two ends.
        const isSame =
          now.size === held.size && [...now].every(([at, value]) => isEqual(held.get(at), value));
        expect(told.length > 0, `${where} was told ${told.join()}`).toBe(!isSame);
        continue;
      }
      const wanted: string[] = [];
      const isNan = (word: string): boolean => Number.isNaN(now.get(word.slice(1))); // never equal to itself, always told
      for (const key of new Set([...held.keys(), ...now.keys()])) {
        const [was, is] = [held.get(key), now.get(key)];
        if (isEqual(was, is) || Number.isNaN(is)) continue;
        if (instance instanceof Schema) wanted.push(`=${String(key)}`);
        else {
          // A value that replaces another is a removal only where the two are instances.
          if (was !== undefined && (is === undefined || typeof was === "object"))
            wanted.push(`-${String(key)}`);
          if (is !== undefined) wanted.push(`+${String(key)}`);
        }
      }
      expect(told.filter((word) => !isNan(word)).sort(compare), where).toStrictEqual(wanted.sort(compare));
    }
  }
}

function heldBy(instance: object): Held {
  if (!(instance instanceof Schema)) return new Map((instance as Map<unknown, unknown>).entries());
  const metadata = (instance.constructor as typeof Schema)[Symbol.metadata];
  const held = new Map<string, unknown>();
  for (let i = 0; i <= (metadata[$numFields] ?? -1); i++) {
    const name = metadata[i]?.name ?? "";
    held.set(name, instance[name as keyof typeof instance]);
  }
  return held;
}

/** For a player, null is undefined. */
function isEqual(one: unknown, other: unknown): boolean {
  return (one ?? undefined) === (other ?? undefined);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
