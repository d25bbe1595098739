// Rings of views that were met before, in this run or another: to work one out takes as long as 2 s of a cluster's life here.

import type { View } from "../../src/membership/view.ts";
import { Ring } from "../../src/placement/ring.ts";

const KEPT = 2_000;
const rings = new Map<string, Ring>();

/** The product's ring; a view of the same members in the same states gives the same. */
export function ringOf(view: View): Ring {
  const key = view.members
    .map(({ incarnation, internalPort, state }) => `${incarnation} ${internalPort} ${state}`)
    .join();
  let ring = rings.get(key);
  if (ring === undefined) {
    ring = new Ring(view);
    if (rings.size >= KEPT) rings.clear();
    rings.set(key, ring);
  }
  return ring;
}
