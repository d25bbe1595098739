// The gateway's end of a link: places of its players at one owner. It knows which place is whose, lets only the newest
// activation of a room speak, and when the link breaks, tells each player that their place is gone.
//
// What a player said to an owner that died is lost or was heard, nobody knows which, and is never said twice. An owner that
// lets a player go on purpose gives back what it has not heard, and only then is the player led on.

import { isPatch } from "../colyseus/player-frames.ts";
import type { EventBus } from "../events.ts";
import type { Epoch, RoomId } from "../ids.ts";
import type { Member } from "../membership/view.ts";
import type { Clock } from "../runtime/clock.ts";
import type { EpochGate } from "./epoch-gate.ts";
import type { HeldPlace, Line } from "./line.ts";
import type { Called } from "./link-door.ts";
import { LinkEnd } from "./link-end.ts";
import {
  closing,
  eachRecipient,
  type Frame,
  headOf,
  KIND,
  messageOf,
  placeOf,
  readClosing,
  readRate,
  restOf,
} from "./link-frames.ts";
import type { Outbox } from "./outbox.ts";
import type { Player } from "./player.ts";
import { frameOf } from "./websocket-frames.ts";

/** Bytes of what players say that may wait for the link; past it their sockets are not read. */
const UP_BYTES_MAX = 1024 * 1024;
const ABNORMAL_CLOSURE = 1006;

export interface OwnerLinkParts {
  readonly clock: Clock;
  readonly events: EventBus;
  readonly gate: EpochGate;
  readonly member: Member;
  readonly silentMs: number;
  readonly called: Called;
  readonly onClosed: () => void;
}

interface Opening {
  readonly player: Player;
  readonly settle: (isPlaced: boolean) => void;
}

interface Held {
  readonly player: Player;
  readonly head: Buffer;
  /** What the owner gave back after it has cut the place. */
  unheard: Uint8Array[] | undefined;
}

export class OwnerLink implements Line {
  readonly #parts: OwnerLinkParts;
  readonly #end: LinkEnd;
  readonly #openings = new Map<number, Opening>();
  readonly #places = new Map<number, Held>();
  /** Where patches for a place go, until it is cut. */
  readonly #outboxes = new Map<number, Outbox>();
  readonly #paused = new Set<Player>();
  #lastPlace = 0;

  constructor(parts: OwnerLinkParts) {
    this.#parts = parts;
    const { socket, head } = parts.called;
    this.#end = new LinkEnd({
      socket,
      head,
      clock: parts.clock,
      silentMs: parts.silentMs,
      onFrame: (frame) => this.#hear(frame),
      onDrain: () => this.#drained(),
      onClosed: (why) => this.#closed(why),
    });
  }

  get isOpen(): boolean {
    return this.#end.isOpen;
  }

  open(player: Player, signal: AbortSignal): Promise<boolean> {
    if (!this.#end.isOpen || signal.aborted) return Promise.resolve(false);
    const place = (this.#lastPlace += 1);
    return new Promise((resolve) => {
      const giveUp = (): void => {
        if (!this.#openings.has(place)) return;
        this.#end.put(KIND.gone, headOf(player.roomId, 0), place, closing(ABNORMAL_CLOSURE));
        settle(false);
      };
      const settle = (isPlaced: boolean): void => {
        this.#openings.delete(place);
        signal.removeEventListener("abort", giveUp);
        resolve(isPlaced);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      this.#openings.set(place, { player, settle });
      const { seat, origin } = player;
      const asked = { ...seat, ...origin, said: undefined };
      const newest = this.#parts.gate.newest(player.roomId) ?? 0;
      this.#end.put(KIND.open, headOf(player.roomId, newest), place, Buffer.from(JSON.stringify(asked)));
    });
  }

  close(why: string): void {
    this.#end.close(why);
  }

  #hear(frame: Frame): void {
    // Only some kinds are an owner's to send.
    switch (frame.kind as number) {
      case KIND.down:
        this.#deliver(frame);
        break;
      case KIND.opened:
        this.#opened(placeOf(frame), frame.roomId, frame.epoch, readRate(restOf(frame)));
        break;
      case KIND.refused:
        this.#openings.get(placeOf(frame))?.settle(false);
        break;
      case KIND.close:
        this.#close(placeOf(frame), restOf(frame));
        break;
      case KIND.cut:
        this.#cut(placeOf(frame));
        break;
      case KIND.back:
        this.#places.get(placeOf(frame))?.unheard?.push(restOf(frame));
        break;
      case KIND.ended:
        this.#ended(placeOf(frame));
        break;
      default:
        this.#end.close(`the owner sent a frame of kind ${frame.kind}`);
    }
  }

  #deliver(frame: Frame): void {
    // Learnt of when the place was opened. What is still on its way when all have left must not be remembered for ever.
    if (frame.epoch < (this.#parts.gate.newest(frame.roomId) ?? 0)) return;
    const message = messageOf(frame);
    const framed = frameOf(message);
    if (isPatch(message)) {
      eachRecipient(frame, (place) => this.#outboxes.get(place)?.patch(framed));
      return;
    }
    eachRecipient(frame, (place) => {
      const held = this.#places.get(place);
      if (held !== undefined && held.unheard === undefined) held.player.deliver(message, framed);
    });
  }

  #opened(place: number, roomId: RoomId, epoch: Epoch, perSecond: number | undefined): void {
    const opening = this.#openings.get(place);
    const head = headOf(roomId, epoch);
    if (opening === undefined || opening.player.isGone || !this.#parts.gate.admits(roomId, epoch)) {
      // Given up meanwhile, the player's socket is closed, or of an activation that is over: that owner does not know it yet.
      this.#end.put(KIND.gone, head, place, closing(ABNORMAL_CLOSURE));
      opening?.settle(false);
      return;
    }
    const { player, settle } = opening;
    this.#places.set(place, { player, head, unheard: undefined });
    this.#outboxes.set(place, player.outbox);
    player.placed(this.#heldPlace(place, head, player), epoch, perSecond);
    settle(true);
  }

  #heldPlace(place: number, head: Buffer, player: Player): HeldPlace {
    return {
      send: (bytes) => {
        this.#end.put(KIND.up, head, place, bytes);
        if (this.#end.queuedBytes <= UP_BYTES_MAX) return;
        player.pause("link");
        this.#paused.add(player);
      },
      leave: (code) => {
        // One that is being cut has said so already.
        if (this.#places.get(place)?.unheard !== undefined) return;
        this.#places.delete(place);
        this.#outboxes.delete(place);
        this.#end.put(KIND.gone, head, place, closing(code));
      },
      resync: () => this.#end.put(KIND.resync, head, place),
    };
  }

  #close(place: number, body: Buffer): void {
    const held = this.#places.get(place);
    this.#places.delete(place);
    this.#outboxes.delete(place);
    const { code, reason } = readClosing(body);
    held?.player.closed(code, reason);
  }

  #cut(place: number): void {
    const held = this.#places.get(place);
    if (held === undefined || held.unheard !== undefined) return;
    held.unheard = [];
    this.#outboxes.delete(place);
    held.player.holdWords();
    // What is on its way to the owner is given back before it answers this.
    this.#end.put(KIND.gone, held.head, place, closing(ABNORMAL_CLOSURE));
  }

  #ended(place: number): void {
    const held = this.#places.get(place);
    if (held?.unheard === undefined) return;
    this.#places.delete(place);
    held.player.placeLost(held.unheard);
  }

  #drained(): void {
    for (const player of this.#paused) player.resume("link");
    this.#paused.clear();
  }

  #closed(why: string): void {
    const { events, member, onClosed } = this.#parts;
    onClosed();
    const places = [...this.#places.values()];
    const openings = [...this.#openings.values()];
    this.#places.clear();
    this.#outboxes.clear();
    this.#drained();
    events.emit("link:lost", { toNodeId: member.nodeId, why, players: places.length });
    for (const { settle } of openings) settle(false);
    for (const { player, unheard } of places) {
      player.holdWords();
      player.placeLost(unheard);
    }
  }
}
