// Colyseus's transport without sockets: players' WebSockets end at a gateway, and what it hands over here are their places
// (room-place.ts). Its HTTP server never listens either; the front door passes requests on to it.

import http from "node:http";
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
import type { Login } from "../auth/login.ts";
import { ERRORS, hasCode, messageOf } from "../errors.ts";
import { RoomClient } from "./room-client.ts";
import type { RoomGuard } from "./room-guard.ts";
import { resendState } from "./room-internals.ts";
import type { Place } from "./room-place.ts";
import { SeatTaken } from "./seat-return.ts";

/** What a player's WebSocket asks for, read from its URL. */
export interface SeatRequest {
  readonly roomId: string;
  readonly sessionId: string;
  readonly reconnectionToken: string | undefined;
  readonly skipHandshake: boolean;
  readonly authToken: string | null;
  /** Said by the gateway, never by a URL: this connection was told of the seat and is still open; its place was lost. */
  readonly isConnected: boolean;
  /** Whose token it is, by its signature. Said by the gateway, where there are logins (auth/). */
  readonly login?: Login | undefined;
  /** The same, or, of a token that cannot be checked any more, whose it says it is. For the gateway alone. */
  readonly said?: Login | undefined;
}

/** What onAuth may want to know of the connection. */
export interface Origin {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly remoteAddress: string;
}

export class RoomTransport extends WebSocketTransport {
  readonly #guard: RoomGuard;
  readonly #onError: (error: unknown) => void;

  constructor(guard: RoomGuard, options: TransportOptions, onError: (error: unknown) => void) {
    super({ ...options, noServer: true });
    this.#guard = guard;
    this.#onError = onError;
    this.server = http.createServer();
  }

  /** Colyseus's server binds its routes when the transport listens; there is nothing else to do. */
  override listen(_port: number, _hostname?: string, _backlog?: number, onListening?: () => void): this {
    onListening?.();
    return this;
  }

  override shutdown(): void {
    this.wss.close();
  }

  /** How many messages of a player a room hears in a second, where its author has said; gateways see to it. */
  messagesPerSecond(roomId: string): number | undefined {
    const perSecond = matchMaker.getLocalRoomById(roomId)?.maxMessagesPerSecond;
    return typeof perSecond === "number" && perSecond >= 0 && Number.isFinite(perSecond)
      ? perSecond
      : undefined;
  }

  /** Leads a player to their seat. Never throws: what is refused is said in the place. */
  async seat(place: Place, seat: SeatRequest, origin: Origin): Promise<void> {
    const room = matchMaker.getLocalRoomById(seat.roomId);
    if (room === undefined) {
      place.cut(); // it has just gone; the gateway looks again
      return;
    }
    const token = seat.reconnectionToken;
    const known = token === undefined ? undefined : this.#guard.resolveToken(room, seat.sessionId, token);
    if (token !== undefined && known === undefined) {
      refuse(place, ERRORS.SEAT_UNKNOWN.close, "seat reservation expired.");
      return;
    }
    if (seat.skipHandshake && known !== undefined && this.#guard.knowsOtherLayout(room, seat.sessionId)) {
      refuse(place, ERRORS.GAME_CHANGED.close, ERRORS.GAME_CHANGED.text);
      return;
    }
    keepPlace(room, place);
    // The newest connection wins the seat: the one before may be a frozen gateway's, which would not close for long.
    const before = known === undefined ? undefined : room.clients.get(seat.sessionId);
    const client = new RoomClient(seat, place, room, this.#guard);
    place.on("resync", () => {
      try {
        resendState(room, client);
      } catch (error) {
        this.#guard.threw(room, "resync", error);
      }
    });
    const context = createAuthContext({
      headers: origin.headers as Record<string, string | undefined>,
      token: seat.authToken,
      remoteAddress: origin.remoteAddress,
    });
    try {
      const joining = connectClientToRoom(room, client, context, {
        ...(known === undefined ? {} : { reconnectionToken: known }),
        skipHandshake: seat.skipHandshake,
      });
      // The token shows that this is the same player, so a place that still holds the seat leads nowhere: over a frozen
      // gateway, or a network they have left. Colyseus, by now waiting for it to end, would leave that to pings.
      if (known !== undefined && before?.reconnectionToken === known) placeOf(before).terminate();
      await joining;
    } catch (error) {
      if (!(error instanceof ServerError)) this.#onError(error);
      // A seat that is held is asked for again. One that was only reserved is used up by now; the player is told so.
      if (mayPass(error) && token !== undefined) {
        place.cut();
        return;
      }
      const closeCode = mayPass(error)
        ? ERRORS.LEASE_LOST.close
        : error instanceof SeatTaken
          ? ERRORS.SEAT_TAKEN.close
          : ERRORS.SEAT_UNKNOWN.close;
      refuse(place, closeCode, messageOf(error), (error as { code?: unknown }).code);
    }
  }
}

/** Everyone at a room, also those whose join is under way. */
const placesOf = new WeakMap<Room, Set<Place>>();

function keepPlace(room: Room, place: Place): void {
  let places = placesOf.get(room);
  if (places === undefined) placesOf.set(room, (places = new Set()));
  const all = places;
  all.add(place);
  place.once("close", () => all.delete(place));
}

/** Sends everyone at a room to where it is next, with what they have said and it has not heard. */
export function cutPlaces(room: Room, unheard: ReadonlyMap<Place, readonly Uint8Array[]>): void {
  for (const place of placesOf.get(room) ?? []) place.cut(unheard.get(place));
}

/** The place of a client that came through this transport, as all do. */
export function placeOf(client: { readonly ref: unknown }): Place {
  return client.ref as Place;
}

/** Whether a failure is ours and will pass; otherwise the player is truly refused. */
function mayPass(error: unknown): boolean {
  const ours = ["LEASE_LOST", "STALE_EPOCH", "POSTGRES_UNREACHABLE", "ROOM_MOVING"] as const;
  return ours.some((code) => hasCode(error, code));
}

/** Colyseus's own way of refusing: an error message, then the close. */
function refuse(place: Place, closeCode: number, text: string, errorCode?: unknown): void {
  const code = typeof errorCode === "number" ? errorCode : ErrorCode.MATCHMAKE_EXPIRED;
  place.send(getMessageBytes[Protocol.ERROR](code, text));
  place.close(closeCode, text.slice(0, 100)); // a close frame holds 123 bytes at most
}
