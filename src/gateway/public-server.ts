// The public port: players' matchmaking over HTTP, their WebSockets, and the game's own routes and pages.

import http from "node:http";
import type { Duplex } from "node:stream";
import type { RoomTransport } from "../colyseus/room-transport.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import { inspect } from "./front-door.ts";
import { answer, type Router } from "./route.ts";
import { parseSeatRequest } from "./seat-request.ts";

export interface PublicServerParts {
  readonly transport: RoomTransport;
  readonly router: Router;
  /** Why nothing is served at the moment, if so: the node is starting or leaving. */
  readonly closedFor: () => ErrorCode | undefined;
  /** Whether this node is a gateway at all. */
  readonly takesPlayers: boolean;
}

export function createPublicServer(parts: PublicServerParts): http.Server {
  const { transport, router, closedFor, takesPlayers } = parts;
  const server = http.createServer({ requestTimeout: 30_000, headersTimeout: 10_000, maxHeaderSize: 16_384 });

  server.on("request", (request, response) => {
    const refusal = closedFor() ?? inspect(request);
    if (refusal !== undefined) {
      refuse(response, refusal);
      return;
    }
    // Colyseus and Express listen on a server that has no port; what they throw at once stays here.
    try {
      transport.server?.emit("request", request, response);
    } catch {
      if (!response.headersSent) refuse(response, "INTERNAL");
      else response.destroy();
    }
  });

  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const seat = parseSeatRequest(request.url);
    if (seat === undefined || !takesPlayers) {
      socket.on("error", () => socket.destroy());
      answer(socket, takesPlayers ? "BAD_REQUEST" : "NO_GATEWAY");
      return;
    }
    void router.route({ request, socket, head, seat });
  });

  server.on("clientError", (_error, socket) => {
    if (socket.writable) answer(socket, "BAD_REQUEST");
    else socket.destroy();
  });
  return server;
}

function refuse(response: http.ServerResponse, code: ErrorCode): void {
  const { http: status, text } = ERRORS[code];
  response.writeHead(status, {
    "content-type": "application/json",
    // The SDK reads the text of a refusal, and a page of any origin may be playing.
    "access-control-allow-origin": "*",
    ...(status === 503 ? { "retry-after": "1" } : {}),
  });
  response.end(JSON.stringify({ code, error: text }));
}
