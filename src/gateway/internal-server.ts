// The internal port: other nodes' links, the players they relay, and what they ask of us. Whoever does not show the
// cluster's key gets nothing.

import { timingSafeEqual } from "node:crypto";
import http from "node:http";
import type { Duplex } from "node:stream";
import type { Incarnation } from "../ids.ts";
import {
  answerLink,
  answerPromise,
  callerOf,
  KEY_HEADER,
  LINK_PATH,
  PROMISE_PATH,
} from "../membership/peer-http.ts";
import type { PromiseAnswer } from "../membership/peer-network.ts";
import { answer, type Router } from "./route.ts";
import { parseSeatRequest } from "./seat-request.ts";

export interface InternalServerParts {
  readonly clusterKey: string;
  readonly self: Incarnation;
  readonly router: () => Router | undefined;
  /** Another node has linked to this one. */
  readonly onLinked: (by: Incarnation) => void;
  /** Another node asks not to be called silent. */
  readonly promise: (by: Incarnation, forMs: number) => PromiseAnswer;
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
    const give = mayEnter(request) && request.method === "GET" ? parts.answers[request.url ?? ""] : undefined;
    response.writeHead(give === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(give === undefined ? "{}" : JSON.stringify(give()));
  });

  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const router = parts.router();
    if (!mayEnter(request)) {
      socket.on("error", () => socket.destroy());
      answer(socket, "NOT_ALLOWED");
    } else if (request.url === LINK_PATH) {
      answerLink(socket, parts.self);
      const caller = callerOf(request, parts.self);
      if (caller !== undefined) parts.onLinked(caller);
    } else {
      const seat = parseSeatRequest(request.url);
      if (router === undefined || seat === undefined) {
        socket.on("error", () => socket.destroy());
        answer(socket, router === undefined ? "NODE_NOT_READY" : "BAD_REQUEST");
      } else {
        void router.routeRelayed({ request, socket, head, seat });
      }
    }
  });
  return server;
}
