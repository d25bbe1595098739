// A player's end of a room on this node: Colyseus's own WebSocket client, with three faults of the stock one mended.
// A frame leaves only while the room may speak. A patch is copied before it waits in a socket's queue, once for all
// players of the room: stock hands out views of a buffer it reuses, so a slow reader would get a later patch twice. And
// what waits for a slow reader has a bound, at which the socket is closed so that the SDK comes back for a full state.

import type { ISendOptions, Room } from "@colyseus/core";
import { WebSocketClient } from "@colyseus/ws-transport";
import type { WebSocket } from "ws";
import type { RoomGuard } from "./room-guard.ts";

/** Bytes that may wait for one slow reader. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Messages that may wait for a player who has not acknowledged the join yet. */
const UNJOINED_MESSAGES_MAX = 1_000;

let copiedFrom: Uint8Array | undefined;
let copied: Uint8Array | undefined;

/** One copy for all the recipients of one buffer: Colyseus hands the same object to each of them in turn. */
function copyOnce(bytes: Uint8Array): Uint8Array {
  if (copiedFrom !== bytes || copied === undefined) {
    copiedFrom = bytes;
    copied = Uint8Array.prototype.slice.call(bytes);
    // Only for the turn of the event loop in which the recipients are served: the encoder may write into it again.
    queueMicrotask(() => (copiedFrom = undefined));
  }
  return copied;
}

export class RoomClient extends WebSocketClient {
  readonly #room: Room;
  readonly #guard: RoomGuard;
  /** The reconnection token that this connection came with. It stays the seat's token. */
  readonly presentedToken: string | undefined;

  constructor(
    sessionId: string,
    socket: WebSocket,
    room: Room,
    guard: RoomGuard,
    presentedToken: string | undefined,
  ) {
    super(sessionId, socket);
    this.#room = room;
    this.#guard = guard;
    this.presentedToken = presentedToken;
  }

  override raw(bytes: Uint8Array | Buffer, _options?: ISendOptions, done?: (error?: Error) => void): void {
    if (!this.#guard.mayAct(this.#room)) {
      this.#guard.missed(this.#room, this);
      return;
    }
    if (this.ref.bufferedAmount > UNSENT_BYTES_MAX) {
      this.ref.terminate();
      return;
    }
    this.ref.send(copyOnce(bytes), { binary: true }, done);
  }

  override enqueueRaw(bytes: Uint8Array | Buffer, options?: ISendOptions): void {
    super.enqueueRaw(bytes, options);
    if ((this._enqueuedMessages?.length ?? 0) > UNJOINED_MESSAGES_MAX) this.ref.terminate();
  }
}
