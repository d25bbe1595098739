// What became of a commit, as far as Postgres has told.

import type { RingsideError } from "../errors.ts";

/** `unknown`: the connection broke after COMMIT was sent. `stale`: another node owns the room. */
export type Outcome =
  | { readonly kind: "committed" }
  | { readonly kind: "stale" }
  | { readonly kind: "refused"; readonly error: RingsideError }
  | { readonly kind: "unknown"; readonly error: unknown };
