// Colyseus's WebSocket transport without a port of its own: the gateway hands it the upgrades that are for rooms on this
// node. Its HTTP server never listens either; the front door passes requests on to it.

import http from "node:http";
import type { Duplex } from "node:stream";
import {
  connectClientToRoom,
  createAuthContext,
  ErrorCode,
  getMessageBytes,
  matchMaker,
  Protocol,
  type Room,
  ServerError,
} from "@colyseus/core";
import { WebSocketTransport, type TransportOptions } from "@colyseus/ws-transport";
import type { WebSocket } from "ws";
import { ERRORS, hasCode, messageOf } from "../errors.ts";
import { RoomClient } from "./room-client.ts";
import type { RoomGuard } from "./room-guard.ts";

/** What a player's WebSocket asks for, read from its URL. */
export interface SeatRequest {
  readonly roomId: string;
  readonly sessionId: string;
  readonly reconnectionToken: string | undefined;
  readonly skipHandshake: boolean;
  readonly authToken: string | null;
}

/** `pingCount`: pings since the last answer. */
type PlayerSocket = WebSocket & { pingCount?: number };

export class RoomTransport extends WebSocketTransport {
  readonly #guard: RoomGuard;
  readonly #onError: (error: unknown) => void;
  readonly #roomOf = new WeakMap<WebSocket, Room>();

  constructor(guard: RoomGuard, options: TransportOptions, onError: (error: unknown) => void) {
    super({ ...options, noServer: true });
    this.#guard = guard;
    this.#onError = onError;
    this.server = http.createServer();
    // Colyseus starts its pings when the server listens, which this one never does.
    this.autoTerminateUnresponsiveClients(this.pingIntervalMS, this.pingMaxRetries);
    this.pingInterval.unref();
  }

  /** Colyseus's server binds its routes when the transport listens; there is nothing else to do. */
  override listen(_port: number, _hostname?: string, _backlog?: number, onListening?: () => void): this {
    onListening?.();
    return this;
  }

  override shutdown(): void {
    clearInterval(this.pingInterval);
    this.wss.close();
  }

  /**
   * As Colyseus does it, but a ping is a word too: a node that may not speak for a room sends none to its players (OWN4),
   * and does not count against them what it could not ask.
   */
  protected override autoTerminateUnresponsiveClients(everyMs: number, unansweredMax: number): void {
    this.pingInterval = setInterval(() => {
      // Whatever is in there went through #seat or decline; the latter's sockets have no room and close by themselves.
      for (const socket of this.wss.clients as Set<PlayerSocket>) {
        const room = this.#roomOf.get(socket);
        if (room === undefined || !this.#guard.mayAct(room)) continue;
        const unanswered = socket.pingCount ?? 0;
        if (unanswered >= unansweredMax) {
          socket.terminate();
        } else {
          socket.pingCount = unanswered + 1;
          socket.ping();
        }
      }
    }, everyMs);
  }

  /** Cuts every player's socket. Who was to be told something has been told. */
  cut(): void {
    for (const socket of this.wss.clients) socket.terminate();
  }

  /** Completes an upgrade only to tell the player, in the protocol's own way, that there is nothing for them here. */
  decline(request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    this.wss.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("error", this.#onError);
      refuse(webSocket, ERRORS.ROOM_GONE.close, ERRORS.ROOM_GONE.text);
    });
  }

  /** Completes a player's upgrade and leads them to their seat. */
  accept(request: http.IncomingMessage, socket: Duplex, head: Buffer, seat: SeatRequest): void {
    this.wss.handleUpgrade(request, socket, head, (webSocket) => {
      void this.#seat(webSocket, request, seat);
    });
  }

  async #seat(
    socket: WebSocket & { pingCount?: number },
    request: http.IncomingMessage,
    seat: SeatRequest,
  ): Promise<void> {
    socket.on("error", this.#onError);
    socket.on("pong", () => (socket.pingCount = 0));
    socket.pingCount = 0;

    const room = matchMaker.getLocalRoomById(seat.roomId);
    if (room === undefined) {
      socket.close(ERRORS.ROOM_MOVING.close, ERRORS.ROOM_MOVING.text);
      return;
    }
    this.#roomOf.set(socket, room);
    const token = seat.reconnectionToken;
    const known = token === undefined ? undefined : this.#guard.resolveToken(room, seat.sessionId, token);
    if (token !== undefined && known === undefined) {
      refuse(socket, ERRORS.SEAT_UNKNOWN.close, "seat reservation expired.");
      return;
    }
    if (seat.skipHandshake && known !== undefined && this.#guard.knowsOtherLayout(room, seat.sessionId)) {
      refuse(socket, ERRORS.GAME_CHANGED.close, ERRORS.GAME_CHANGED.text);
      return;
    }
    // The newest connection wins the seat: the one before may be a frozen gateway's, which would not close for long.
    const stale = known === undefined ? undefined : room.clients.get(seat.sessionId);
    if (stale?.reconnectionToken === known) (stale?.ref as WebSocket | undefined)?.terminate();
    const client = new RoomClient(seat.sessionId, socket, room, this.#guard, token);
    const context = createAuthContext({
      headers: request.headers as Record<string, string | undefined>,
      token: seat.authToken,
      remoteAddress: request.socket.remoteAddress ?? "",
    });
    const before = room.clients.get(seat.sessionId);
    try {
      const joining = connectClientToRoom(room, client, context, {
        ...(known === undefined ? {} : { reconnectionToken: known }),
        skipHandshake: seat.skipHandshake,
      });
      // The token shows that this is the same player, so a connection that still holds the seat leads nowhere: over a
      // frozen gateway, or a network they have left. Colyseus, by now waiting for it to end, would leave that to its
      // pings, which take 6 s.
      if (known !== undefined && before?.reconnectionToken === known) (before.ref as WebSocket).terminate();
      await joining;
    } catch (error) {
      if (!(error instanceof ServerError)) this.#onError(error);
      const code = retryCode(error) ?? ERRORS.SEAT_UNKNOWN.close;
      refuse(socket, code, messageOf(error), (error as { code?: unknown }).code);
    }
  }
}

/** The close code for a failure that is ours and will pass; undefined when the player is truly refused. */
function retryCode(error: unknown): number | undefined {
  const mayPass = ["LEASE_LOST", "STALE_EPOCH", "POSTGRES_UNREACHABLE", "ROOM_MOVING"] as const;
  return mayPass.some((code) => hasCode(error, code)) ? ERRORS.LEASE_LOST.close : undefined;
}

/** Colyseus's own way of refusing: an error message, then the close. */
function refuse(socket: WebSocket, closeCode: number, text: string, errorCode?: unknown): void {
  const code = typeof errorCode === "number" ? errorCode : ErrorCode.MATCHMAKE_EXPIRED;
  const reason = text.slice(0, 100); // a close frame holds 123 bytes at most
  socket.send(getMessageBytes[Protocol.ERROR](code, text), { binary: true }, () =>
    socket.close(closeCode, reason),
  );
}
