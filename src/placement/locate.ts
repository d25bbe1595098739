// Where a room is, for whoever has something for it. Facts in, answer out; who gathers the facts is gateway/route.ts.

import type { Incarnation } from "../ids.ts";
import type { Member, View } from "../membership/view.ts";
import { memberOf } from "../membership/view.ts";
import type { Ownership } from "../ownership/directory.ts";

export type Location =
  /** It runs on this node. */
  | { readonly at: "here" }
  /** Another node has it, or should open it. */
  | { readonly at: "peer"; readonly member: Member }
  /** This node is to open it: nobody has it and the ring gives it to this node, or it is this node's and not open yet. */
  | { readonly at: "claim" }
  /** It is between two owners, or the view is behind; ask again shortly. */
  | { readonly at: "nowhere-yet" }
  /** There is no such room, it has ended, or it is locked away. */
  | { readonly at: "gone" };

export interface LocateFacts {
  readonly self: Incarnation;
  readonly view: View;
  /** Whether this node holds the room, ready to be played. */
  readonly isHere: boolean;
  /** What Postgres says; undefined when it knows no such room. */
  readonly ownership: Ownership | undefined;
  /** Whom the ring gives the room to. */
  readonly successor: Member | undefined;
}

export function locate({ self, view, isHere, ownership, successor }: LocateFacts): Location {
  if (isHere) return { at: "here" };
  if (ownership === undefined || ownership.isQuarantined) return { at: "gone" };
  if (ownership.isOwned && ownership.owner !== null) {
    if (ownership.owner === self) return { at: "claim" }; // it has its turn sooner if somebody waits for it
    const member = memberOf(view, ownership.owner);
    return member === undefined ? { at: "nowhere-yet" } : { at: "peer", member };
  }
  if (successor === undefined) return { at: "nowhere-yet" };
  return successor.incarnation === self ? { at: "claim" } : { at: "peer", member: successor };
}
