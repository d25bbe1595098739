// What became of a commit, as far as Postgres has told.

import type { RingsideError } from "../errors.ts";

/**
 * `unknown`: the connection broke after COMMIT was sent. `stale`: another node owns the room. `baseless`: nothing was written,
 * because Postgres does not have what the room's checkpoint stands on.
 */
export type Outcome =
  | { readonly kind: "committed" }
  | { readonly kind: "stale" }
  | { readonly kind: "baseless" }
  | { readonly kind: "refused"; readonly error: RingsideError }
  | { readonly kind: "unknown"; readonly error: unknown };
