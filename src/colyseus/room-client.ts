// A player's end of a room: Colyseus's own WebSocket client on a place instead of a socket. A frame leaves only while the
// room may speak. It is copied before it waits anywhere, once for all players of the room: stock hands out views of a buffer
// it reuses, so a slow reader would get a later patch twice. Who reads slowly is the gateway's affair.

import type { ISendOptions, Room } from "@colyseus/core";
import { WebSocketClient } from "@colyseus/ws-transport";
import type { WebSocket } from "ws";
import type { RoomGuard } from "./room-guard.ts";
import type { Place } from "./room-place.ts";
import type { SeatRequest } from "./room-transport.ts";

/** What may wait for a player who has not acknowledged the join yet, beside the largest message: that may be the whole map. */
const UNJOINED_MESSAGES_MAX = 1_000;
const UNJOINED_BYTES_MAX = 1024 * 1024;

/** The message that is being sent to one player after the other, and by which room: it was allowed for the first. */
let sending: Uint8Array | undefined;
let sender: Room | undefined;
const sent = (): void => {
  sending = undefined;
  sender = undefined;
};

export class RoomClient extends WebSocketClient {
  readonly #room: Room;
  readonly #guard: RoomGuard;
  readonly #place: Place;
  #unjoinedBytes = 0;
  #largestBytes = 0;
  /** The reconnection token that this connection came with. */
  readonly presentedToken: string | undefined;
  /** Whether its player's connection has had the seat before, and only its place is new. */
  readonly isConnected: boolean;
  /** Whose connection it is, where there are logins. */
  readonly login: SeatRequest["login"];

  constructor(seat: SeatRequest, place: Place, room: Room, guard: RoomGuard) {
    super(seat.sessionId, place as unknown as WebSocket); // it has what Colyseus calls of one
    this.#place = place;
    this.#room = room;
    this.#guard = guard;
    this.presentedToken = seat.reconnectionToken;
    this.isConnected = seat.isConnected;
    this.login = seat.login;
  }

  override raw(bytes: Uint8Array | Buffer, _options?: ISendOptions, done?: (error?: Error) => void): void {
    if (sending !== bytes || sender !== this.#room) {
      if (!this.#guard.mayAct(this.#room)) {
        this.#guard.missed(this.#room, this);
        return;
      }
      if (sending === undefined) queueMicrotask(sent);
      sending = bytes;
      sender = this.#room;
    }
    this.#place.send(bytes);
    if (done !== undefined) setImmediate(done);
  }

  override enqueueRaw(bytes: Uint8Array | Buffer, options?: ISendOptions): void {
    super.enqueueRaw(bytes, options);
    const waiting = this._enqueuedMessages;
    if (waiting === undefined) return;
    this.#unjoinedBytes += bytes.length;
    this.#largestBytes = Math.max(this.#largestBytes, bytes.length);
    const isTooMuch = this.#unjoinedBytes - this.#largestBytes > UNJOINED_BYTES_MAX;
    if (waiting.length <= UNJOINED_MESSAGES_MAX && !isTooMuch) return;
    waiting.length = 0; // they come too late now
    this.#place.terminate();
  }
}
