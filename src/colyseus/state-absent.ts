// Telling a returning client which fields have no value for it.
//
// A full state lists what there is, and what the client may see. A client that was here before keeps, in any field that
// the full state does not mention, what it last heard: a `winner` that was set after the checkpoint would stay on its
// screen, and so would a hand of cards that it may not see any more. (Decoder.decodeResync sweeps collections only. A
// plain Colyseus reconnection has the same gap.) So each full state ends with a DELETE for every field that is undefined,
// null, or hidden by @view; to a decoder that never had a value there it is no change and fires nothing. It costs one
// byte a field, and two to six an instance that has such fields.

import { type ChangeTree, encode, type Encoder, type Schema, type StateView } from "@colyseus/schema";

import {
  type FieldPlan,
  planOf,
  type RawSchema,
  readField,
  refIdOf,
  type SchemaClass,
} from "./state-internals.ts";
import { withExactBits } from "./state-reach.ts";

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
    const absent = deletions(encoder, (tree, raw, field) => !tree.isFiltered && isAbsent(raw, field));
    // The view pass goes on in the same buffer, after these bytes. (Where the library had to make a larger
    // buffer its caller still holds the old one, so the view pass below is given the larger.)
    const whole = new Uint8Array(bytes.buffer, bytes.byteOffset);
    shared = whole.length >= it.offset + absent.length ? whole : grown(bytes, it.offset + absent.length);
    shared.set(absent, it.offset);
    it.offset += absent.length;
    // For those without a view only, and so neither in that buffer nor counted.
    const hidden = deletions(
      encoder,
      (tree, raw, field) => !tree.isFiltered && !isAbsent(raw, field) && isHidden(tree, field, undefined),
    );
    return hidden.length === 0
      ? shared.subarray(0, it.offset)
      : joined(shared.subarray(0, it.offset), hidden);
  };

  encoder.encodeAllView = (view, sharedOffset, it, bytes = encoder.sharedBuffer) => {
    const base = bytes.length >= sharedOffset ? bytes : shared;
    return withExactBits(view, encoder.root, (isNamed) => {
      const full = encodeAllView(view, sharedOffset, it, base);
      const unseen = deletions(encoder, (tree, raw, field) => {
        if (tree.isFiltered && !view.isChangeTreeVisible(tree)) return isNamed(tree);
        // What is absent from an instance that all can see is told to all.
        return isAbsent(raw, field) ? tree.isFiltered : isHidden(tree, field, view);
      });
      return joined(full, unseen);
    });
  };
}

/**
 * A DELETE for each field that `isUnseen` names. It must name none of an instance that the client does not know: that
 * would be taken for damage, and the client would skip its sweep.
 */
function deletions(
  encoder: Encoder,
  isUnseen: (tree: ChangeTree, raw: RawSchema, field: FieldPlan) => boolean,
): Uint8Array {
  const it = { offset: 0 };
  const bytes: number[] = [];
  // The root also has what is in the state no more: SetSchema.clear() does not tell it. So only what the full state has
  // just been made of, by the mark that its walk leaves.
  const walk = encoder["_fullSyncGen"];
  for (const tree of Object.values(encoder.root.changeTrees)) {
    if (!tree._isSchema || tree.isPatchOnly) continue; // what is @patchOnly is in no full state
    if (tree._fullSyncGen !== walk) continue;
    const raw = tree.ref as unknown as RawSchema; // see state-internals.ts
    let isNamed = false;
    for (const field of planOf((tree.ref as Schema).constructor as SchemaClass).fields) {
      if (!isUnseen(tree, raw, field)) continue;
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

function isAbsent(raw: RawSchema, field: FieldPlan): boolean {
  const value = readField(raw, field);
  return value === undefined || value === null;
}

/** As the encoder decides it: what is tagged is the view's to show, and only of instances that are visible to it. */
function isHidden(tree: ChangeTree, { index }: FieldPlan, view: StateView | undefined): boolean {
  const { filter } = tree.encDescriptor;
  if (filter === undefined || filter(tree.ref, index, undefined)) return false;
  return view === undefined || !view.isChangeTreeVisible(tree) || !filter(tree.ref, index, view);
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
