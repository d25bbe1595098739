// A player's place at a room: what Colyseus has for a socket where it expects one. The socket itself is at a gateway, on
// this node or another, and may outlive the place: when the room leaves this node, or may not speak any more, the place is
// cut, and the gateway finds the player a new one.
//
// The owner never waits for a player here. To close a place is to be rid of it; what the player reads meanwhile, and how
// slowly, is the gateway's affair.

import { EventEmitter } from "node:events";

const OPEN = 1;
const CLOSED = 3;
const ABNORMAL_CLOSURE = 1006;
const NO_STATUS = 1005;

/** The gateway, as a place sees it. */
export interface PlaceEnd {
  /** Copied before it returns; the same object again, in the same stretch of code, is the same message. */
  send(bytes: Uint8Array): void;
  /** 1006 means: without a word. */
  close(code: number, reason: string): void;
  /** @param unheard what the room was sent and has not heard; it goes to where the room is next, in order */
  cut(unheard: readonly Uint8Array[]): void;
}

export class Place extends EventEmitter {
  readonly #end: PlaceEnd;
  readyState: number = OPEN;

  constructor(end: PlaceEnd) {
    super();
    this.#end = end;
  }

  // ---- what Colyseus and its rooms call ----

  send(bytes: Uint8Array): void {
    if (this.readyState === OPEN) this.#end.send(bytes);
  }

  close(code: number = NO_STATUS, reason = ""): void {
    if (this.readyState !== OPEN) return;
    this.#end.close(code, reason);
    this.#over(code, reason);
  }

  terminate(): void {
    this.close(ABNORMAL_CLOSURE);
  }

  // ---- what Ringside calls ----

  /** This activation is done with the player, who stays connected. To a room that goes on here it is a drop. */
  cut(unheard: readonly Uint8Array[] = []): void {
    if (this.readyState !== OPEN) return;
    this.#end.cut(unheard);
    this.#over(ABNORMAL_CLOSURE, "");
  }

  // ---- what the gateway calls ----

  heard(bytes: Uint8Array): void {
    if (this.readyState === OPEN) this.emit("message", bytes);
  }

  /** The player lacks some patches. */
  resync(): void {
    if (this.readyState === OPEN) this.emit("resync");
  }

  /** The player is gone, or the way to them is. */
  left(code: number, reason = ""): void {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSED;
    this.emit("close", code, reason);
  }

  #over(code: number, reason: string): void {
    this.readyState = CLOSED;
    // As with a socket, whoever closes it is told later, not in the middle of what they do.
    setImmediate(() => this.emit("close", code, reason));
  }
}
