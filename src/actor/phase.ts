// The life of one activation.

import { unreachable } from "../runtime/unreachable.ts";

export type Phase =
  /** The author's onCreate runs, or a checkpoint is read back. Nothing ticks and nobody is heard. */
  | { readonly name: "opening" }
  | { readonly name: "active" }
  /**
   * On its way to another node: frozen, saved, let go. Nobody comes or goes any more; a hook that was under way may still
   * commit, until the last checkpoint is about to be taken (`isSealed`).
   */
  | { readonly name: "moving"; readonly isSealed: boolean }
  /** Over. What comes now from its timers or sockets is dropped. */
  | { readonly name: "ended"; readonly why: "moved" | "disposed" | "fenced" | "failed" };

/** Whether a room in this phase may tick, hear and speak, the lease permitting. */
export function mayAct(phase: Phase): boolean {
  switch (phase.name) {
    case "active":
      return true;
    case "opening":
    case "moving":
    case "ended":
      return false;
    default:
      return unreachable(phase);
  }
}
