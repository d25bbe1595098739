// The requests of one player that their room has not answered. When the room is gone, nobody else answers them; whether what
// was asked was done, nobody knows, and the player is told just that.

import { failedRequest, requestId } from "../colyseus/player-frames.ts";

/** Those beyond it are let through, and end by the SDK's own deadline if the room is gone. */
const REQUESTS_MAX = 256;
const WHY_FAILED = "the room moved while this was asked; whether it was done is not known";

export class OpenRequests {
  readonly #ids = new Set<number>();

  /** The player says something, which may be a request. */
  said(message: Uint8Array): void {
    const id = requestId(message);
    if (id !== undefined && this.#ids.size < REQUESTS_MAX) this.#ids.add(id);
  }

  /** The room says something, which may be an answer; or a request was not heard, and is said again. */
  settle(message: Uint8Array): void {
    if (this.#ids.size === 0) return;
    const id = requestId(message);
    if (id !== undefined) this.#ids.delete(id);
  }

  /** The room is gone. @param tell gets an answer to each request */
  fail(tell: (message: Uint8Array) => void): void {
    for (const id of this.#ids) tell(failedRequest(id, WHY_FAILED));
    this.#ids.clear();
  }
}
