// The internal port: other nodes' links, those of their players among them, and what they ask of us. Whoever does not show
// the cluster's key gets nothing.

import { timingSafeEqual } from "node:crypto";
import http from "node:http";
import type { Duplex } from "node:stream";
import type { Incarnation, RoomId } from "../ids.ts";
import {
  answerLink,
  answerPromise,
  callerOf,
  KEY_HEADER,
  LINK_PATH,
  PROMISE_PATH,
} from "../membership/peer-http.ts";
import type { PromiseAnswer } from "../membership/peer-network.ts";
import { answerTake, TAKE_PATH } from "../recovery/handover.ts";
import type { GatewayPlaces } from "./gateway-places.ts";
import { answerCall, PLAYERS_PATH } from "./link-door.ts";
import { answer } from "./route.ts";

export interface InternalServerParts {
  readonly clusterKey: string;
  readonly self: Incarnation;
  /** Undefined while the node is starting. */
  readonly places: () => GatewayPlaces | undefined;
  /** Another node has linked to this one. */
  readonly onLinked: (by: Incarnation) => void;
  /** Another node asks not to be called silent. */
  readonly promise: (by: Incarnation, forMs: number) => PromiseAnswer;
  /** A room that was released is this node's to open. */
  readonly take: (roomId: RoomId) => Promise<unknown>;
  /** What can be asked for by GET: the path and what it answers. */
  readonly answers: Readonly<Record<string, () => unknown>>;
}

export function createInternalServer(parts: InternalServerParts): http.Server {
  const key = Buffer.from(parts.clusterKey);
  const mayEnter = (request: http.IncomingMessage): boolean => {
    const shown = Buffer.from(String(request.headers[KEY_HEADER] ?? ""));
    return shown.length === key.length && timingSafeEqual(shown, key);
  };
  const server = http.createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 32_768 });

  server.on("request", (request, response) => {
    if (mayEnter(request) && request.method === "POST" && request.url === PROMISE_PATH) {
      answerPromise(request, response, parts.self, parts.promise);
      return;
    }
    if (mayEnter(request) && request.method === "POST" && request.url?.startsWith(TAKE_PATH) === true) {
      answerTake(request, response, parts.take);
      return;
    }
    const give = mayEnter(request) && request.method === "GET" ? parts.answers[request.url ?? ""] : undefined;
    response.writeHead(give === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(give === undefined ? "{}" : JSON.stringify(give()));
  });

  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const places = parts.places();
    if (!mayEnter(request)) {
      socket.on("error", () => socket.destroy());
      answer(socket, "NOT_ALLOWED");
    } else if (request.url === LINK_PATH) {
      answerLink(socket, parts.self);
      const caller = callerOf(request, parts.self);
      if (caller !== undefined) parts.onLinked(caller);
    } else if (request.url === PLAYERS_PATH && places !== undefined) {
      if (answerCall(request, socket, parts.self)) places.accept(socket, head);
    } else {
      socket.on("error", () => socket.destroy());
      answer(socket, places === undefined ? "NODE_NOT_READY" : "BAD_REQUEST");
    }
  });
  return server;
}
