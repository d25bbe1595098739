// What Colyseus tells browsers on every answer: stock reflects any Origin, with credentials. Who gets that here has been decided
// at the front door, which notes it in the request; to anybody else an answer may be shown, and nothing more.

import { matchMaker } from "@colyseus/core";

/** Set by the front door on requests of pages that may act in a player's name, and taken out of all others. */
export const TRUSTED_ORIGIN_HEADER = "x-ringside-origin";

const { controller } = matchMaker;
let isGuarded = false;

/** A `getCorsHeaders` that the game has put there is called as before, and has the last word. */
export function guardCors(): void {
  if (isGuarded) return;
  isGuarded = true;
  const { "Access-Control-Allow-Credentials": _, ...others } = controller.DEFAULT_CORS_HEADERS;
  controller.DEFAULT_CORS_HEADERS = others as typeof controller.DEFAULT_CORS_HEADERS;
  const stock = controller.getCorsHeaders;
  const isStock = String(stock).includes('headers.get("origin") || "*"');
  controller.getCorsHeaders = (headers) => {
    const origin = headers.get(TRUSTED_ORIGIN_HEADER);
    const ours = { Vary: "Origin", "Access-Control-Expose-Headers": "Retry-After" };
    const shown: Record<string, string> =
      origin === null
        ? { "Access-Control-Allow-Origin": "*" }
        : { "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" };
    return isStock ? { ...ours, ...shown } : { ...ours, ...shown, ...stock.call(controller, headers) };
  };
}
