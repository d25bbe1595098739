// The public port: players' matchmaking over HTTP, their WebSockets, and the game's own routes and pages. Everything passes the
// front door first (front-door/front-door.ts).

import http from "node:http";
import type { Duplex } from "node:stream";
import type { AuthDoor } from "../auth/auth-door.ts";
import type { RoomTransport, SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import type { ErrorCode } from "../errors.ts";
import type { FrontDoor } from "../front-door/front-door.ts";
import { answer, type Router } from "./route.ts";
import { parseSeatRequest } from "./seat-request.ts";

const HEADER_BYTES_MAX = 16 * 1024;
/** How often slow senders are looked for. */
const SLOW_LOOK_MS = 500;

export interface PublicServerParts {
  readonly config: Config;
  readonly door: FrontDoor;
  readonly transport: RoomTransport;
  readonly router: Router;
  /** Why nothing is served at the moment, if so: the node is starting or leaving. */
  readonly closedFor: () => ErrorCode | undefined;
  /** Whether this node is a gateway at all. */
  readonly takesPlayers: boolean;
  /** Who asks whose a request is, where there are logins. */
  readonly auth: AuthDoor | undefined;
}

export function createPublicServer(parts: PublicServerParts): http.Server {
  const { auth, config, door, transport, router, closedFor, takesPlayers } = parts;
  const server = http.createServer({
    headersTimeout: config.httpHeadersMs,
    requestTimeout: Math.max(config.httpRequestMs, config.httpHeadersMs),
    connectionsCheckingInterval: SLOW_LOOK_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
  });
  server.maxHeadersCount = 0; // counted at the door: here those beyond would be left out in silence
  server.timeout = config.httpIdleMs;
  server.on("connection", (socket) => door.connected(socket));

  server.on("request", (request, response) => {
    // Colyseus and Express listen on a server that has no port.
    const pass = (): void => void transport.server?.emit("request", request, response);
    void door.request(request, response, closedFor(), () =>
      auth === undefined ? pass() : void auth.admit(request, response, pass),
    );
  });

  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    request.socket.setTimeout(0);
    socket.on("error", () => socket.destroy());
    void take(request, socket, head);
  });
  const take = async (request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const denial = await door.upgrade(request, socket);
    if (denial !== undefined) return answer(socket, denial.code);
    if (!takesPlayers) return answer(socket, "NO_GATEWAY");
    const seat = parseSeatRequest(request.url);
    if (seat === undefined) return answer(socket, "BAD_REQUEST");
    const onSettled = await door.admit(seat, socket);
    if (typeof onSettled === "string") return answer(socket, onSettled);
    socket.once("close", onSettled); // also of one who is turned away below
    const pass = (admitted: SeatRequest): void => {
      const onSeated = (): void => door.seated(admitted);
      void router.route({ request, socket, head, seat: admitted, onSeated, onSettled });
    };
    if (auth === undefined) pass(seat);
    else await auth.admitUpgrade({ request, socket, head, seat }, pass);
  };

  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    answer(socket, door.unreadable(error.code));
  });
  return server;
}
