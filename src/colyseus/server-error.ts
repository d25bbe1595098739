// Colyseus makes an HTTP answer of whatever a join throws, with `code` as the status. Ours are names, so they are turned
// into the numbers of the same refusals.

import { ServerError } from "@colyseus/core";
import { ERRORS, RingsideError } from "../errors.ts";

/** A Ringside failure as Colyseus tells it to a client; anything else as it is. */
export function asServerError(error: unknown): unknown {
  if (!(error instanceof RingsideError)) return error;
  return new ServerError(ERRORS[error.code].http, error.message, { cause: error });
}
