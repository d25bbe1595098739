// A state that is gone back to must not give out again what was given out after it (CKP1).
//
// Players' clients still hold the refIds, and the indexes of map, set and stream entries, that were issued since. One met
// again with another meaning would put one instance in the place of another; a set's decoder ignores an index that it
// has. REF_ID_GAP in state-restore.ts covers what a dead owner can have issued after its last checkpoint; here it may have
// been any number, but a later image of the same room knows how far the numbers had come.

import type { CollectionsImage, StateImage } from "./state-image.ts";

/**
 * The image, with its numbers going on from where `later` has them. What it holds is the same.
 *
 * @param later an image of the same room, captured later; neither of the two is changed
 */
export function withFutureOf(image: StateImage, later: StateImage): StateImage {
  const nextIndexes = new Map<number, number>();
  for (const collections of later.collections) {
    collections.refIds.forEach((refId, i) => nextIndexes.set(refId, collections.nextIndexes[i] ?? 0));
  }
  const withFuture = (collections: CollectionsImage): CollectionsImage => ({
    ...collections,
    // An array has none.
    nextIndexes: collections.nextIndexes.map((nextIndex, i) =>
      Math.max(nextIndex, nextIndexes.get(collections.refIds[i] ?? -1) ?? 0),
    ),
  });
  return {
    ...image,
    nextRefId: Math.max(image.nextRefId, later.nextRefId),
    collections: image.collections.map(withFuture),
  };
}
