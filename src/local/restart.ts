// What follows the end of a node's process, pure.

/** Who ended it on purpose, if anybody did. */
export type Doom = "killed" | "drained" | undefined;

export type Next =
  | { readonly kind: "restart"; readonly afterMs: number; readonly why: string }
  | { readonly kind: "stay"; readonly why: string };

/** A node whose incarnation was marked down by the others ends itself with this code, to start over as a new one. */
export const FENCED_CODE = 75;

const FIRST_MS = 500;
const LAST_MS = 10_000;

/**
 * @param quickEnds how often in a row, before this time, the node had ended soon after its start
 */
export function afterEnd(code: number | null, name: string | null, doom: Doom, quickEnds: number): Next {
  if (doom === "killed") return { kind: "stay", why: `killed (${name ?? `exit code ${String(code)}`})` };
  // One that was marked down while it left had nothing more to do than to end.
  if (doom === "drained" && (code === 0 || code === FENCED_CODE)) return { kind: "stay", why: "left" };
  const backoffMs = Math.min(FIRST_MS * 2 ** quickEnds, LAST_MS);
  if (code === FENCED_CODE)
    return { kind: "restart", afterMs: quickEnds === 0 ? 0 : backoffMs, why: "was fenced" };
  const how = name === null ? `ended with exit code ${String(code)}` : `was ended by ${name}`;
  return { kind: "restart", afterMs: backoffMs, why: how };
}
