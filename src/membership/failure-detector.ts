// Fast death. A killed process must not cost a lease: when the link to a peer breaks and its port then refuses a
// connection, the process is gone and its incarnation can be marked down at once. Silence proves nothing: it is left to
// the lease.

import { unreachable } from "../runtime/unreachable.ts";

/** What came of calling a peer's internal port after its link broke. */
export type Probe =
  /** The port refused: nobody listens there any more. */
  | { readonly outcome: "refused" }
  /** Somebody listens and said who they are. */
  | { readonly outcome: "answered"; readonly incarnation: string }
  /** No answer in time, no route, a reset: it may be frozen or cut off, and it may live. */
  | { readonly outcome: "silent" };

export type Verdict = "dead" | "replaced" | "alive" | "unknown";

/**
 * A port that answers with another incarnation proves death as well as one that refuses: two processes cannot hold it.
 *
 * @param incarnation who was linked there before
 */
export function judge(probe: Probe, incarnation: string): Verdict {
  switch (probe.outcome) {
    case "refused":
      return "dead";
    case "answered":
      return probe.incarnation === incarnation ? "alive" : "replaced";
    case "silent":
      return "unknown";
    default:
      return unreachable(probe);
  }
}
