// How membership speaks to other nodes: the seam between what is decided and the wire (peer-http.ts).

import type { Incarnation } from "../ids.ts";
import type { Probe } from "./failure-detector.ts";
import type { Member } from "./view.ts";

/** An open link: `closed` resolves when it breaks, however it does. */
export type Link = Probe & { readonly closed?: Promise<void> };

/** What a node says when it is asked not to call the asker silent for a while. */
export type PromiseAnswer =
  /** It cannot reach Postgres either, and will not. */
  | { readonly kind: "promised" }
  /** It reaches Postgres, or may have called the asker silent already. */
  | { readonly kind: "refused"; readonly why: string }
  /** The asker does not count any more: Postgres says so. */
  | { readonly kind: "down" }
  /** There is no such incarnation any more: its port refuses, or answers as another. */
  | { readonly kind: "gone" }
  /** No answer in time. */
  | { readonly kind: "silent" };

export interface PeerNetwork {
  /** Opens a link, which tells the peer that we have it in our view. Never rejects. */
  link(member: Member, self: Incarnation, signal: AbortSignal): Promise<Link>;
  /**
   * Asks a peer for its promise. Never rejects.
   *
   * @param forMs how long the promise is to hold, counted by the peer from when it is asked; 0 asks only whether this node
   * still counts
   */
  askPromise(member: Member, self: Incarnation, forMs: number, signal: AbortSignal): Promise<PromiseAnswer>;
}
