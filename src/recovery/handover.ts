// A planned move, as the two nodes tell each other: whoever leaves names a room that it has just released to the node that
// the ring gives it to, and is answered when the room is open there. So the next owner need not find the room by itself, and
// rooms leave no faster than they are opened.
//
// Only a matter of speed: who has a room is decided in Postgres, and a node that is not told finds the room all the same.

import http from "node:http";
import type { Config } from "../config.ts";
import { isName, type Incarnation, type RoomId } from "../ids.ts";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member } from "../membership/view.ts";
import type { Ring } from "../placement/ring.ts";

/** The path on the internal port under which a room is offered; its id follows. */
export const TAKE_PATH = "/ringside/take/";
const SOCKETS_MAX = 16;

export interface HandoverParts {
  readonly config: Pick<Config, "clusterKey">;
  readonly self: Incarnation;
  readonly ring: () => Ring;
}

export class Handover {
  readonly #parts: HandoverParts;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });

  constructor(parts: HandoverParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#agent.destroy();
  }

  /** Offers a room that was released. Resolves when it is open elsewhere, or it cannot be known. Never rejects. */
  offer(roomId: RoomId, withinMs: number): Promise<void> {
    const { ring, self } = this.#parts;
    const member = ring().memberFor(roomId);
    if (member === undefined || member.incarnation === self || withinMs <= 0) return Promise.resolve();
    return this.#post(member, roomId, withinMs);
  }

  #post(member: Member, roomId: RoomId, withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const request = http.request({
        method: "POST",
        host: member.host,
        port: member.internalPort,
        path: TAKE_PATH + roomId,
        headers: { [KEY_HEADER]: this.#parts.config.clusterKey, "content-length": 0 },
        agent: this.#agent,
        signal: AbortSignal.timeout(Math.ceil(withinMs)),
      });
      request.on("error", () => resolve());
      request.on("response", (response) => {
        response.on("error", () => resolve());
        response.on("close", () => resolve());
        response.resume();
      });
      request.end();
    });
  }
}

/** The next owner's side. Whoever asks has shown the cluster's key. */
export function answerTake(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  activate: (roomId: RoomId) => Promise<unknown>,
): void {
  const roomId = request.url?.slice(TAKE_PATH.length);
  const answer = (status: number): void => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end("{}");
  };
  if (!isName(roomId)) return answer(400);
  // What came of it is nobody's to act on: the room is open here, or is found unowned.
  activate(roomId as RoomId).then(
    () => answer(200),
    () => answer(503),
  );
}
