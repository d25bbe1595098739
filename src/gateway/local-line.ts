// The line within one node: its own players in its own rooms. No frames and no link; a message is made a WebSocket frame
// once, and written to each socket in the same stretch of code in which the lease was asked.

import { isPatch } from "../colyseus/player-frames.ts";
import { Place, type PlaceEnd } from "../colyseus/room-place.ts";
import type { RoomTransport } from "../colyseus/room-transport.ts";
import type { Epoch, RoomId } from "../ids.ts";
import type { EpochGate } from "./epoch-gate.ts";
import type { Line } from "./line.ts";
import type { Outbox } from "./outbox.ts";
import type { Player } from "./player.ts";
import { frameOf } from "./websocket-frames.ts";

export interface LocalLineParts {
  readonly transport: RoomTransport;
  readonly gate: EpochGate;
  /** The activation here that players can be led to, and may act; undefined when there is none. */
  readonly epochHere: (roomId: RoomId) => Epoch | undefined;
}

export class LocalLine implements Line {
  readonly #parts: LocalLineParts;

  constructor(parts: LocalLineParts) {
    this.#parts = parts;
  }

  open(player: Player): Promise<boolean> {
    const { epochHere, gate, transport } = this.#parts;
    const epoch = epochHere(player.roomId);
    if (player.isGone || epoch === undefined || !gate.admits(player.roomId, epoch)) {
      return Promise.resolve(false);
    }
    const place = new Place(new LocalEnd(player));
    const { seat, origin } = player;
    player.placed(
      {
        send: (bytes) => place.heard(bytes),
        leave: (code) => place.left(code),
        resync: () => place.resync(),
      },
      epoch,
      transport.messagesPerSecond(player.roomId),
    );
    if (!player.isGone) void transport.seat(place, seat, origin);
    return Promise.resolve(true);
  }
}

class LocalEnd implements PlaceEnd {
  readonly #player: Player;
  readonly #outbox: Outbox;

  constructor(player: Player) {
    this.#player = player;
    this.#outbox = player.outbox;
  }

  send(bytes: Uint8Array): void {
    if (isPatch(bytes)) this.#outbox.patch(framedOnce(bytes));
    else this.#player.deliver(bytes, framedOnce(bytes));
  }

  close(code: number, reason: string): void {
    this.#player.closed(code, reason);
  }

  cut(unheard: readonly Uint8Array[]): void {
    this.#player.holdWords();
    this.#player.placeLost(unheard);
  }
}

let framedFrom: Uint8Array | undefined;
let framed: Buffer | undefined;
const forget = (): void => {
  framedFrom = undefined;
  framed = undefined;
};

/** One frame for all the recipients of one message: Colyseus hands the same object to each of them in turn. */
function framedOnce(bytes: Uint8Array): Buffer {
  if (framedFrom === bytes && framed !== undefined) return framed;
  if (framedFrom === undefined) queueMicrotask(forget); // then its maker may write into it again
  framedFrom = bytes;
  framed = frameOf(bytes);
  return framed;
}
