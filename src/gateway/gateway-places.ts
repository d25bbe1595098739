// The owner's end of its links: the places that players have here, by way of gateways. It leads them to their seats, and puts
// what the rooms say on the link; a patch goes there once, however many players of the room are behind that gateway.
//
// The owner never buffers for a player, and little for a gateway: one that falls behind gets no patches, then a full state
// for each player who lacks some; one that does not catch up in time loses its link, and presents its players anew.

import type { Duplex } from "node:stream";
import { isFullState, isPatch } from "../colyseus/player-frames.ts";
import { Place, type PlaceEnd } from "../colyseus/room-place.ts";
import type { Origin, RoomTransport, SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import type { Epoch, RoomId } from "../ids.ts";
import type { Clock } from "../runtime/clock.ts";
import { LinkEnd } from "./link-end.ts";
import {
  closing,
  type Frame,
  headOf,
  KIND,
  LinkFault,
  MESSAGE_BYTES_MAX,
  placeOf,
  rate,
  readClosing,
  restOf,
} from "./link-frames.ts";

/** A gateway gets full states for those who lack patches at most this often. */
const RESYNC_EVERY_MS = 1_000;
/** Rooms of which a link remembers how their frames begin. */
const HEADS_MAX = 20_000;
const ABNORMAL_CLOSURE = 1006;

export interface GatewayPlacesParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly transport: RoomTransport;
  /** Whether this node may speak for its rooms, right now. */
  readonly maySpeak: () => boolean;
  /** Makes sure that the room is here, opening it if this node should; undefined when it is not to be had here now. */
  readonly admit: (roomId: RoomId) => Promise<Epoch | undefined>;
}

export class GatewayPlaces {
  readonly #parts: GatewayPlacesParts;
  readonly #links = new Set<GatewayLink>();

  constructor(parts: GatewayPlacesParts) {
    this.#parts = parts;
  }

  /** A gateway has called, and its call was accepted. */
  accept(socket: Duplex, head: Buffer): void {
    const link = new GatewayLink(this.#parts, socket, head, () => this.#links.delete(link));
    this.#links.add(link);
  }

  stop(): void {
    for (const link of this.#links) link.close("this node is leaving");
  }
}

class GatewayLink {
  readonly #parts: GatewayPlacesParts;
  readonly #end: LinkEnd;
  readonly #places = new Map<number, Place>();
  /** Places that were cut, until the gateway has heard of it: what still comes for them goes back. */
  readonly #cut = new Map<number, Buffer>();
  /** Asked for and not decided yet. */
  readonly #opening = new Set<number>();
  readonly #stale = new Set<RemoteEnd>();
  readonly #heads = new Map<RoomId, { readonly epoch: Epoch; readonly head: Buffer }>();
  readonly #onClosed: () => void;
  #isBehind = false;
  /** What made it fall behind is on its way; the full states are not yet. */
  #isCaughtUp = false;
  #resyncedAtMs = Number.NEGATIVE_INFINITY;
  #cancel = (): void => {};

  constructor(parts: GatewayPlacesParts, socket: Duplex, head: Buffer, onClosed: () => void) {
    this.#parts = parts;
    this.#onClosed = onClosed;
    this.#end = new LinkEnd({
      socket,
      head,
      clock: parts.clock,
      silentMs: parts.config.leaseMs,
      maySpeak: parts.maySpeak,
      onFrame: (frame) => this.#hear(frame),
      onDrain: () => this.#drained(),
      onClosed: () => this.#closed(),
    });
  }

  close(why: string): void {
    this.#end.close(why);
  }

  // ---- what the places call ----

  send(from: RemoteEnd, bytes: Uint8Array): void {
    if (isPatch(bytes)) {
      if (this.#isBehind || from.isStale) {
        from.isStale = true;
        this.#stale.add(from);
        return;
      }
    } else if (isFullState(bytes)) {
      from.isStale = false;
      this.#stale.delete(from);
    }
    if (bytes.length > MESSAGE_BYTES_MAX) {
      this.#places.get(from.place)?.terminate();
      return;
    }
    this.#end.putDown(from.head, from.place, bytes);
    if (!this.#isBehind && this.#end.queuedBytes > this.#parts.config.linkBehindBytes) this.#fallBehind();
    else if (this.#isBehind && this.#end.queuedBytes > this.#parts.config.linkBytesMax) {
      this.#cutOff("too much waits for it");
    }
  }

  closePlace({ place, head }: RemoteEnd, code: number, reason: string): void {
    this.#places.delete(place);
    this.#end.put(KIND.close, head, place, closing(code, reason));
  }

  cutPlace({ place, head }: RemoteEnd, unheard: readonly Uint8Array[]): void {
    this.#places.delete(place);
    this.#cut.set(place, head);
    this.#end.put(KIND.cut, head, place);
    for (const bytes of unheard) this.#end.put(KIND.back, head, place, bytes);
  }

  // ---- what the gateway says ----

  #hear(frame: Frame): void {
    const place = placeOf(frame);
    // Only some kinds are a gateway's to send.
    switch (frame.kind as number) {
      case KIND.up: {
        const held = this.#places.get(place);
        if (held !== undefined) held.heard(restOf(frame));
        else this.#giveBack(place, restOf(frame));
        break;
      }
      case KIND.open:
        void this.#open(frame, place, parseAsked(restOf(frame)));
        break;
      case KIND.gone:
        this.#gone(place, readClosing(restOf(frame)).code);
        break;
      case KIND.resync:
        this.#places.get(place)?.resync();
        break;
      default:
        this.#end.close(`a gateway sent a frame of kind ${frame.kind}`);
    }
  }

  async #open({ roomId, epoch: newest }: Frame, place: number, asked: Asked): Promise<void> {
    const { admit, maySpeak, transport } = this.#parts;
    this.#opening.add(place);
    const epoch = await admit(roomId).catch(() => undefined);
    // The gateway may have given up meanwhile, or be gone itself.
    if (!this.#opening.delete(place) || !this.#end.isOpen) return;
    if (epoch === undefined || epoch < newest || !maySpeak()) {
      this.#end.put(KIND.refused, headOf(roomId, epoch ?? newest), place);
      return;
    }
    const head = this.#headFor(roomId, epoch);
    const held = new Place(new RemoteEnd(this, place, head));
    this.#places.set(place, held);
    this.#end.put(KIND.opened, head, place, rate(transport.messagesPerSecond(roomId)));
    await transport.seat(held, { ...asked.seat, roomId }, asked.origin);
  }

  /** One head for all players of a room: by it a message to several of them is known to be the same (LinkWriter). */
  #headFor(roomId: RoomId, epoch: Epoch): Buffer {
    const known = this.#heads.get(roomId);
    if (known?.epoch === epoch) return known.head;
    if (this.#heads.size >= HEADS_MAX) this.#heads.clear(); // those in use are made once more when they are asked for
    const head = headOf(roomId, epoch);
    this.#heads.set(roomId, { epoch, head });
    return head;
  }

  #gone(place: number, code: number): void {
    this.#opening.delete(place);
    const cut = this.#cut.get(place);
    if (cut !== undefined) {
      this.#cut.delete(place);
      this.#end.put(KIND.ended, cut, place);
      return;
    }
    const held = this.#places.get(place);
    this.#places.delete(place);
    held?.left(code);
  }

  #giveBack(place: number, bytes: Uint8Array): void {
    const head = this.#cut.get(place);
    if (head !== undefined) this.#end.put(KIND.back, head, place, bytes);
  }

  // ---- a gateway that is slow, or gone ----

  #fallBehind(): void {
    this.#isBehind = true;
    this.#isCaughtUp = false;
    this.#watch(this.#end.queuedBytes);
  }

  /** A gateway that reads, however slowly, is left its link. */
  #watch(queuedBytes: number): void {
    const { clock, config } = this.#parts;
    this.#cancel();
    this.#cancel = clock.after(config.playerBehindMs, () => {
      // After a pause of this process the timers come first; what the sockets have done meanwhile comes next.
      setImmediate(() => {
        if (!this.#isBehind || !this.#end.isOpen || this.#isCaughtUp) return;
        const nowBytes = this.#end.queuedBytes;
        if (nowBytes >= queuedBytes) this.#cutOff("it reads nothing");
        else this.#watch(nowBytes);
      });
    });
  }

  #cutOff(why: string): void {
    this.#parts.events.emit("link:fell-behind", { why, players: this.#places.size });
    this.#end.close(why);
  }

  #drained(): void {
    if (!this.#isBehind) return;
    this.#isCaughtUp = true;
    const { clock } = this.#parts;
    this.#cancel();
    const waitMs = Math.max(0, this.#resyncedAtMs + RESYNC_EVERY_MS - clock.monotonicMs());
    this.#cancel = clock.after(waitMs, () => {
      this.#resyncedAtMs = clock.monotonicMs();
      this.#isBehind = false;
      const stale = Array.from(this.#stale); // who gets a full state is out of it
      for (const { place } of stale) this.#places.get(place)?.resync();
    });
  }

  #closed(): void {
    this.#cancel();
    this.#onClosed();
    const places = [...this.#places.values()];
    this.#places.clear();
    this.#opening.clear();
    this.#cut.clear();
    this.#stale.clear();
    for (const place of places) place.left(ABNORMAL_CLOSURE);
  }
}

class RemoteEnd implements PlaceEnd {
  readonly #link: GatewayLink;
  readonly place: number;
  readonly head: Buffer;
  /** The player lacks patches. */
  isStale = false;

  constructor(link: GatewayLink, place: number, head: Buffer) {
    this.#link = link;
    this.place = place;
    this.head = head;
  }

  send(bytes: Uint8Array): void {
    this.#link.send(this, bytes);
  }

  close(code: number, reason: string): void {
    this.#link.closePlace(this, code, reason);
  }

  cut(unheard: readonly Uint8Array[]): void {
    this.#link.cutPlace(this, unheard);
  }
}

interface Asked {
  readonly seat: Omit<SeatRequest, "roomId">;
  readonly origin: Origin;
}

/** What a gateway asks for a player. The gateway has the cluster's key; what is checked here is its version's mistakes. */
function parseAsked(bytes: Buffer): Asked {
  let asked: Partial<SeatRequest & Origin>;
  try {
    asked = JSON.parse(bytes.toString()) as Partial<SeatRequest & Origin>;
  } catch {
    throw new LinkFault("a request for a seat that cannot be read");
  }
  if (typeof asked !== "object" || asked === null || typeof asked.sessionId !== "string") {
    throw new LinkFault("a request for a seat without its session");
  }
  return {
    seat: {
      sessionId: asked.sessionId,
      reconnectionToken: typeof asked.reconnectionToken === "string" ? asked.reconnectionToken : undefined,
      skipHandshake: asked.skipHandshake === true,
      authToken: typeof asked.authToken === "string" ? asked.authToken : null,
      isConnected: asked.isConnected === true,
      login: parseLogin(asked.login),
    },
    origin: {
      headers: typeof asked.headers === "object" ? (asked.headers ?? {}) : {},
      remoteAddress: typeof asked.remoteAddress === "string" ? asked.remoteAddress : "",
    },
  };
}

function parseLogin(login: unknown): SeatRequest["login"] {
  if (typeof login !== "object" || login === null) return undefined;
  const { userId, loginId, isGuest } = login as Record<string, unknown>; // any object may be read this way
  if (typeof userId !== "string" || typeof loginId !== "string") return undefined;
  return { userId, loginId, isGuest: isGuest === true };
}
