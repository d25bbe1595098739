// The front door: nobody speaks to Colyseus, or to Express, before we have looked. A request that Colyseus cannot read
// would otherwise end the process, because its handlers are not awaited.

import type { IncomingMessage } from "node:http";
import type { ErrorCode } from "../errors.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** A host name or address with an optional port, as it may stand in a URL. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const TARGET_LENGTH_MAX = 8_192;
/** Matchmaking options are small. Larger bodies are the game's own routes' affair, behind the same bound. */
const BODY_BYTES_MAX = 1024 * 1024;

/** @returns why the request goes no further, or undefined when Colyseus may see it. Takes out what it may not see. */
export function inspect(request: IncomingMessage): ErrorCode | undefined {
  const { method = "", url = "", headers } = request;
  if (!METHODS.has(method)) return "NOT_ALLOWED";
  if (!url.startsWith("/") || url.length > TARGET_LENGTH_MAX || URL.parse(`http://gateway${url}`) === null) {
    return "BAD_REQUEST";
  }
  if (headers.host === undefined || !HOST.test(headers.host)) return "BAD_REQUEST";
  if (URL.parse(`http://${headers.host}`) === null) return "BAD_REQUEST";
  if (Number(headers["content-length"] ?? 0) > BODY_BYTES_MAX) return "BAD_REQUEST";
  // A body in chunks tells its size only when it is too late. Browsers and the SDK send none.
  if (headers["transfer-encoding"] !== undefined) return "BAD_REQUEST";
  const protocol = headers["x-forwarded-proto"];
  if (protocol !== undefined && protocol !== "http" && protocol !== "https")
    delete headers["x-forwarded-proto"];
  return undefined;
}
