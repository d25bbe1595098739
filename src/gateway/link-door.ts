// How a link comes to be: an HTTP upgrade on the owner's internal port, with the cluster's key, the version of the frames and
// the incarnation that is meant. Whoever does not match is told why, in words.

import http from "node:http";
import type { Duplex } from "node:stream";
import type { Incarnation } from "../ids.ts";
import { INCARNATION_HEADER, KEY_HEADER } from "../membership/peer-http.ts";
import type { Member } from "../membership/view.ts";
import { LINK_VERSION } from "./link-frames.ts";

/** The path on the internal port, and what both sides call it. */
export const PLAYERS_PATH = "/ringside/players";
export const PLAYERS_PROTOCOL = "ringside-players";
export const VERSION_HEADER = "x-ringside-link-version";
const REASON_BYTES_MAX = 500;

export interface Called {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/**
 * Calls an owner.
 *
 * @param withinMs how long it may say nothing
 * @throws Error that says why there is no link
 */
export function callOwner(member: Member, key: string, withinMs: number): Promise<Called> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: member.host,
      port: member.internalPort,
      path: PLAYERS_PATH,
      headers: {
        connection: "Upgrade",
        upgrade: PLAYERS_PROTOCOL,
        [KEY_HEADER]: key,
        [VERSION_HEADER]: String(LINK_VERSION),
        [INCARNATION_HEADER]: member.incarnation,
      },
      agent: false,
      timeout: withinMs,
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${withinMs} ms`)));
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text = (text + part).slice(0, REASON_BYTES_MAX)));
      response.on("end", () => reject(new Error(`${response.statusCode}: ${text}`)));
      response.on("error", reject);
    });
    request.on("upgrade", (_response, socket, head) => {
      socket.setTimeout(0);
      socket.setNoDelay(true);
      socket.setKeepAlive(true);
      resolve({ socket, head });
    });
    request.end();
  });
}

/** @returns why this call cannot become a link, if so */
export function refusalOf(request: http.IncomingMessage, self: Incarnation): string | undefined {
  const version = request.headers[VERSION_HEADER];
  if (version !== String(LINK_VERSION)) {
    return `this node speaks version ${LINK_VERSION} of the players' link, the caller version ${String(version)}`;
  }
  const meant = request.headers[INCARNATION_HEADER];
  return meant === self ? undefined : `this is ${self}, not ${String(meant)}`;
}

/** The owner's side: accepts the call, or says why not. @returns whether it is a link now */
export function answerCall(request: http.IncomingMessage, socket: Duplex, self: Incarnation): boolean {
  socket.on("error", () => socket.destroy());
  const why = refusalOf(request, self);
  if (why !== undefined) {
    socket.end(
      `HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
        `Content-Length: ${Buffer.byteLength(why)}\r\n\r\n${why}`,
    );
    return false;
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PLAYERS_PROTOCOL}\r\n\r\n`,
  );
  return true;
}
