// Telling a returning client which fields have no value.
//
// A full state lists what there is. A client that was here before keeps, in any field that the full state does
// not mention, what it last heard: a `winner` that was set after the checkpoint would stay on its screen.
// (Decoder.decodeResync sweeps collections only. A plain Colyseus reconnection has the same gap.) So each full
// state ends with a DELETE for every field that is undefined or null; to a decoder that never had a value there
// it is no change and fires nothing. It costs one byte a field, and two to six an instance that has such fields.

import { encode, type Encoder, type Schema, type StateView } from "@colyseus/schema";

import { planOf, type RawSchema, readField, refIdOf, type SchemaClass } from "./state-internals.ts";

const SWITCH_TO_STRUCTURE = 255;
const DELETE = 64;
const DONE = new WeakSet<Encoder>();

/** Makes every full state of this encoder complete. Once is enough for an encoder; again does nothing. */
export function tellAbsentFields(encoder: Encoder): void {
  if (DONE.has(encoder)) return;
  DONE.add(encoder);
  const encodeAll = encoder.encodeAll.bind(encoder);
  const encodeAllView = encoder.encodeAllView.bind(encoder);
  let shared: Uint8Array = new Uint8Array(0);

  encoder.encodeAll = (it = { offset: 0 }, buffer = encoder.sharedBuffer) => {
    const bytes = encodeAll(it, buffer);
    const absent = absentFields(encoder, undefined);
    // The view pass goes on in the same buffer, after these bytes. (Where the library had to make a larger
    // buffer its caller still holds the old one, so the view pass below is given the larger.)
    const whole = new Uint8Array(bytes.buffer, bytes.byteOffset);
    shared = whole.length >= it.offset + absent.length ? whole : grown(bytes, it.offset + absent.length);
    shared.set(absent, it.offset);
    it.offset += absent.length;
    return shared.subarray(0, it.offset);
  };

  encoder.encodeAllView = (view, sharedOffset, it, bytes = encoder.sharedBuffer) => {
    const base = bytes.length >= sharedOffset ? bytes : shared;
    return joined(encodeAllView(view, sharedOffset, it, base), absentFields(encoder, view));
  };
}

/** For all clients: the instances that all can see. For a view: those that only it and others like it can. */
function absentFields(encoder: Encoder, view: StateView | undefined): Uint8Array {
  const it = { offset: 0 };
  const bytes: number[] = [];
  for (const tree of Object.values(encoder.root.changeTrees)) {
    // A client that does not know the instance would take the bytes for damage and skip its sweep. What is
    // @patchOnly is in no full state.
    if (!tree._isSchema || tree.isPatchOnly || tree.isFiltered !== (view !== undefined)) continue;
    if (view !== undefined && !view.isChangeTreeVisible(tree)) continue;
    const raw = tree.ref as unknown as RawSchema; // see state-internals.ts
    let isNamed = false;
    for (const field of planOf((tree.ref as Schema).constructor as SchemaClass).fields) {
      const value = readField(raw, field);
      if (value !== undefined && value !== null) continue;
      if (!isNamed) {
        bytes[it.offset++] = SWITCH_TO_STRUCTURE;
        encode.number(bytes, refIdOf(tree.ref) as number, it); // what the root tracks has one
        isNamed = true;
      }
      bytes[it.offset++] = DELETE | field.index;
    }
  }
  return Uint8Array.from(bytes);
}

function grown(bytes: Uint8Array, length: number): Uint8Array {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = grown(first, first.length + second.length);
  both.set(second, first.length);
  return both;
}
