// Colyseus's own panels, monitor and playground, ask nobody who they are; the monitor can call any method of any room. On the
// public port they are the operator's only, who shows PANEL_TOKEN; without that setting they are not there at all.
//
// Promised for whatever is served below /monitor, /playground, /colyseus and /__apidocs, however such a path is written, and
// (colyseus/panel-guard.ts) for the packages' own middleware wherever the game mounts it. A panel of one's own under another
// path is the game's affair. On the management port `management` serves what it likes (GameOptions).

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

const PANELS = new Set(["monitor", "playground", "colyseus", "__apidocs"]);

export class Panels {
  readonly #token: Buffer | undefined;
  readonly #operators = new WeakSet<object>();

  constructor(token: string) {
    this.#token = token === "" ? undefined : hashOf(token);
  }

  /** Whether there is a token at all that opens them. */
  get canOpen(): boolean {
    return this.#token !== undefined;
  }

  /**
   * Whether the request shows the token: as a bearer's, or as the password that a browser asks for, under any name. A browser
   * that knows it sends it with whatever any page asks for, so only with the panel's own pages does it count.
   */
  isOperator(request: IncomingMessage): boolean {
    if (this.#token === undefined || isForForeignPage(request.headers)) return false;
    if (this.#operators.has(request)) return true;
    const [kind = "", value = ""] = (request.headers.authorization ?? "").split(" ");
    const plain = Buffer.from(value, "base64").toString("utf8");
    const shown =
      kind.toLowerCase() === "bearer"
        ? value
        : kind.toLowerCase() === "basic"
          ? plain.slice(plain.indexOf(":") + 1)
          : undefined;
    const isIt = shown !== undefined && timingSafeEqual(hashOf(shown), this.#token);
    if (isIt) this.#operators.add(request);
    return isIt;
  }
}

/**
 * Whether a browser asks because a page of another site has told it to, by an image or a link, say: then it names no Origin, but
 * does tell this, to whatever is served by TLS or on its own machine.
 */
export function isForForeignPage({ "sec-fetch-site": site }: IncomingHttpHeaders): boolean {
  return site !== undefined && site !== "same-origin" && site !== "none"; // none: typed, or from a bookmark
}

/** Whether a request's target leads to one of them, by any spelling that a router may understand. */
export function isPanel(target: string): boolean {
  const path = target.split(/[?#]/u, 1)[0] ?? "";
  return [path, decoded(path)].some((spelling) => {
    const resolved = URL.parse(`http://gateway/${spelling}`)?.pathname ?? spelling;
    const first = decoded(resolved)
      .split("/")
      .find((segment) => segment !== "");
    return first !== undefined && PANELS.has(first.toLowerCase());
  });
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Of equal length whatever is shown. */
function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
