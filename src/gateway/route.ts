// Leads players to wherever their room is: when they come, and again whenever their place is gone. While the room moves an
// upgrade is held, not refused: the SDK would only come back later, or, on the wrong code, never; and who is connected stays
// connected. When the time is over the one gets a 503 and the other a 1006, which the SDK takes as reasons to try again (GATE1).
//
// How a player stays connected while their room's owner dies: line.ts is the way to an owner, owner-link.ts and
// gateway-places.ts the two ends of the link to another node, local-line.ts the short way within this one. When a place is
// lost, player.ts keeps what the player says, this file finds the new owner and presents the seat there, by the token that the
// gateway has read from JOIN_ROOM; the JOIN_ROOM and the full state that follow are to the SDK a return without a drop.

import { STATUS_CODES, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Refusal } from "../auth/login.ts";
import { goneMessage } from "../colyseus/player-frames.ts";
import type { RoomTransport, SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Epoch, Incarnation, RoomId, SessionId } from "../ids.ts";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member, View } from "../membership/view.ts";
import type { Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Location } from "../placement/locate.ts";
import type { Ring } from "../placement/ring.ts";
import type { Clock } from "../runtime/clock.ts";
import { WakeUp } from "../runtime/wake-up.ts";
import { EpochGate } from "./epoch-gate.ts";
import type { Line } from "./line.ts";
import { LocalLine } from "./local-line.ts";
import { OwnerLinks } from "./owner-links.ts";
import { Player } from "./player.ts";
import { PlayersDoor } from "./players-door.ts";
import { Whereabouts } from "./whereabouts.ts";

/** How long a player may take to read that there is nothing for them here. */
const ANSWER_READ_MS = 1_000;
/** How long until the question where a room is gets asked again, unless the view changes before: soon, then less soon. */
const ASK_AGAIN_FIRST_MS = 5;
const ASK_AGAIN_MS = 50;
/** How long until it is asked again where a room is whose owner cannot be called, unless the view changes before. */
const NO_OWNER_MS = 100;
/** How often it is asked whether a room is still where an answer is waited for. */
const ASK_MEANWHILE_MS = 250;
const ABNORMAL_CLOSURE = 1006;

export interface RouterParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly self: Incarnation;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly transport: RoomTransport;
  readonly view: () => View;
  readonly ring: () => Ring;
  /** The epoch of the room if it is on this node, ready to be played. */
  readonly epochHere: (roomId: RoomId) => Epoch | undefined;
  /** Opens the room here; it may turn out that another node was faster. */
  readonly activate: (roomId: RoomId) => Promise<unknown>;
}

interface Arrival {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly seat: SeatRequest;
  /** The player is connected, and has a place in the room they asked for. */
  readonly onSeated?: () => void;
  /** They are in their room, or will not be. May be called twice. */
  readonly onSettled?: () => void;
}

/** What came of leading a player to their room. */
type Led = "placed" | "no such room" | "not in time" | "gone";

export class Router {
  readonly #parts: RouterParts;
  readonly #whereabouts: Whereabouts;
  readonly #held = new Set<Duplex>();
  readonly #gate = new EpochGate();
  /** How many players of a room are here. */
  readonly #playersOf = new Map<RoomId, number>();
  readonly #door: PlayersDoor;
  readonly #links: OwnerLinks;
  readonly #localLine: Line;
  #isStopped = false;
  /** For those who wait for their room: with a new view they look again. */
  readonly #newView: WakeUp;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#whereabouts = new Whereabouts(parts);
    const { clock, lease, transport } = parts;
    this.#newView = new WakeUp(clock);
    this.#door = new PlayersDoor(clock, parts.config.messageBytesMax, () => lease.isHeld);
    this.#links = new OwnerLinks({ ...parts, gate: this.#gate });
    const epochHere = (roomId: RoomId): Epoch | undefined =>
      lease.isHeld ? parts.epochHere(roomId) : undefined;
    this.#localLine = new LocalLine({ transport, gate: this.#gate, epochHere });
  }

  /** Players whose sockets end here. */
  get players(): number {
    return this.#door.players.size;
  }

  /** How long until the SDK of each of them would come back if this node closed their connections. */
  get shortByMs(): number {
    let longest = 0;
    for (const { uptime } of this.#door.players) longest = Math.max(longest, uptime.shortByMs);
    return longest;
  }

  /** Links to those who left the view are cut, and all who wait look again at once. */
  follow(view: View): void {
    this.#links.follow(view);
    this.#newView.wakeAll();
  }

  /** Sends those who wait, and those who play, to another node. */
  stop(): void {
    this.#isStopped = true;
    for (const socket of this.#held) answer(socket, "DRAINING");
    this.#door.stop();
    this.#links.stop();
    this.#newView.wakeAll();
  }

  /** Ends the connections of those of whom `why` tells a reason, on a code at which the SDK does not come back. */
  expel(why: (seat: SeatRequest) => Refusal | undefined): void {
    for (const player of this.#door.players) {
      const refused = player.isGone ? undefined : why(player.seat);
      if (refused === undefined) continue;
      player.expel(ERRORS[refused.code].close, refused.text.slice(0, 100));
      const { roomId, sessionId } = player;
      const because = refused.code === "SUSPENDED" ? "suspended" : "signed out";
      this.#parts.events.emit("player:expelled", { roomId, sessionId: sessionId as SessionId, why: because });
    }
  }

  /** Cuts whoever is still connected. */
  cut(): void {
    this.#door.cut();
  }

  /** A player comes: wherever the room is, the player gets there. Never throws. */
  async route(arrival: Arrival): Promise<void> {
    const { clock, config } = this.#parts;
    const { socket } = arrival;
    if (this.#isStopped) return answer(socket, "DRAINING");
    if (this.#held.size >= config.upgradesHeldMax) return answer(socket, "TOO_MANY");
    this.#held.add(socket);
    const dropped = (): void => void socket.destroy();
    socket.on("error", dropped);
    // Who hangs up while they wait ends their side only. Left in the queue, such a call would take the seat from the same
    // player's next one, which may have come in through another node meanwhile.
    socket.on("end", dropped);
    const player = this.#playerOf(arrival);
    try {
      const led = await this.#lead(player, clock.monotonicMs() + config.upgradeHoldMs);
      if (led === "not in time") answer(socket, "ROOM_MOVING");
      else if (led === "no such room") {
        this.#door.decline(arrival, (webSocket) => webSocket.send(goneMessage(ERRORS.ROOM_GONE.text)));
      }
    } finally {
      socket.off("error", dropped);
      socket.off("end", dropped);
      this.#held.delete(socket);
      if (!player.isPlaced) arrival.onSettled?.();
    }
  }

  /**
   * Makes sure that a room is here, for a player who comes from another node's gateway: they are not sent on a second time.
   *
   * @returns undefined when it is not to be had here now
   */
  async admit(roomId: RoomId): Promise<Epoch | undefined> {
    const { activate, epochHere, lease, ring, self } = this.#parts;
    if (this.#isStopped) return undefined;
    // Where the ring gives the room to this node the claim is the question: it takes nothing that is another's. After a
    // failover that is each room, and each would otherwise be asked for twice.
    const isOurs = ring().memberFor(roomId)?.incarnation === self;
    if (epochHere(roomId) === undefined && (isOurs || (await this.locate(roomId)).at === "claim")) {
      await activate(roomId).catch(() => {}); // the next line tells
    }
    return lease.isHeld ? epochHere(roomId) : undefined;
  }

  /** Where the room is, by Postgres, or as it was last known when Postgres cannot be asked. */
  locate(roomId: RoomId): Promise<Location> {
    return this.#whereabouts.locate(roomId);
  }

  #playerOf(arrival: Arrival): Player {
    const { clock, config, events } = this.#parts;
    const { request, socket, seat } = arrival;
    const headers = { ...request.headers } as Record<string, string | undefined>;
    delete headers[KEY_HEADER];
    const player: Player = new Player({
      config,
      clock,
      seat,
      origin: { headers, remoteAddress: request.socket.remoteAddress ?? "" },
      socket,
      upgrade: () => {
        const webSocket = this.#door.complete(arrival);
        if (webSocket === undefined) return undefined;
        this.#enter(player);
        arrival.onSeated?.();
        return webSocket;
      },
      // In a turn of its own: whoever takes the place away is not done with it yet.
      onPlaceLost: (lost) => setImmediate(() => void this.#relink(lost)),
      onGone: (gone) => {
        arrival.onSettled?.();
        this.#leave(gone);
      },
      onJoined: ({ roomId, sessionId }, epoch, awayMs) => {
        arrival.onSettled?.();
        if (awayMs === undefined) return;
        events.emit("seat:relinked", {
          roomId,
          epoch,
          sessionId: sessionId as SessionId,
          awayMs: Math.round(awayMs),
        });
      },
      onCutOff: ({ roomId, sessionId }, why) =>
        events.emit("player:cut-off", { roomId, sessionId: sessionId as SessionId, why }),
    });
    return player;
  }

  #enter(player: Player): void {
    this.#door.enter(player);
    this.#playersOf.set(player.roomId, (this.#playersOf.get(player.roomId) ?? 0) + 1);
  }

  #leave(player: Player): void {
    if (!this.#door.leave(player)) {
      // Never came in: the handshake could not be completed.
      if (!this.#playersOf.has(player.roomId)) this.#gate.forget(player.roomId);
      return;
    }
    const left = (this.#playersOf.get(player.roomId) ?? 1) - 1;
    if (left > 0) {
      this.#playersOf.set(player.roomId, left);
      return;
    }
    this.#playersOf.delete(player.roomId);
    this.#gate.forget(player.roomId);
  }

  /** A player has lost their place and is still connected. */
  async #relink(player: Player): Promise<void> {
    const { clock, config } = this.#parts;
    // From when it was lost, however often a new one is lost again before the player is told that they are back.
    const endsMs = (player.lostAtMs ?? clock.monotonicMs()) + config.upgradeHoldMs;
    const led = await this.#lead(player, endsMs);
    if (this.#isStopped) player.close(ERRORS.DRAINING.close, ERRORS.DRAINING.text);
    else if (led === "not in time") player.close(ABNORMAL_CLOSURE, "");
    else if (led === "no such room") player.close(ERRORS.ROOM_GONE.close, ERRORS.ROOM_GONE.text);
  }

  async #lead(player: Player, endsMs: number): Promise<Led> {
    const { activate, clock } = this.#parts;
    let waitMs = ASK_AGAIN_FIRST_MS;
    let guessed: Member | undefined;
    while (!player.isGone && !this.#isStopped) {
      if (player.isPlaced) return "placed"; // by an offer that was given up too late
      if (clock.monotonicMs() >= endsMs) return "not in time";
      // A guess is good for one try: whoever it leads to says if it is wrong. With a new view there may be another.
      const guess = this.#whereabouts.guess(player.roomId, player.wasLetGo);
      const where: Location =
        guess !== undefined && guess.incarnation !== guessed?.incarnation
          ? { at: "peer", member: (guessed = guess) }
          : await this.locate(player.roomId).catch((): Location => ({ at: "nowhere-yet" }));
      switch (where.at) {
        case "here":
          if (await this.#localLine.open(player, AbortSignal.abort())) return "placed";
          break; // frozen; it will be here or elsewhere in a moment
        case "claim":
          await activate(player.roomId).catch(() => {}); // looked at again
          if (await this.#localLine.open(player, AbortSignal.abort())) return "placed";
          break;
        case "peer":
          if (await this.#offer(player, where.member, endsMs)) return "placed";
          // An owner whose process is gone is out of the view in a moment; until then there is nothing to ask.
          if (!this.#links.has(where.member)) waitMs = NO_OWNER_MS;
          break;
        case "gone":
          return "no such room";
        case "nowhere-yet":
          break;
      }
      await this.#newView.wait(Math.min(waitMs, endsMs - clock.monotonicMs()));
      waitMs = Math.min(waitMs * 2, ASK_AGAIN_MS);
    }
    return "gone";
  }

  /** Offers a player to a peer, until the room turns out to be elsewhere: a frozen peer hears and never answers. */
  async #offer(player: Player, member: Member, endsMs: number): Promise<boolean> {
    const { clock } = this.#parts;
    const elsewhere = new AbortController();
    const offering = this.#links
      .to(member)
      .then((link) => link !== undefined && !player.isGone && link.open(player, elsewhere.signal));
    const done = offering.then(() => true);
    while (!(await Promise.race([done, this.#newView.wait(ASK_MEANWHILE_MS).then(() => false)]))) {
      const now = await this.locate(player.roomId).catch((): Location => ({ at: "nowhere-yet" }));
      const isThere = now.at === "peer" && now.member.incarnation === member.incarnation;
      if (isThere && clock.monotonicMs() < endsMs && !player.isGone && !this.#isStopped) continue;
      elsewhere.abort();
      return player.isPlaced;
    }
    return offering;
  }
}

/** Answers an upgrade that will not be one, and sees the socket to its end: nobody else listens to it any more. */
export function answer(socket: Duplex, code: ErrorCode): void {
  socket.on("error", () => socket.destroy());
  if (socket.destroyed) return;
  const { http, text } = ERRORS[code];
  socket.end(
    `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ""}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n${http === 503 || http === 429 ? "Retry-After: 1\r\n" : ""}\r\n${text}`,
  );
  // What the player still sends is read away, so that the answer is not lost to a reset; for a second, not for ever.
  socket.resume();
  if (socket instanceof Socket) socket.setTimeout(ANSWER_READ_MS, () => socket.destroy());
  socket.once("end", () => socket.destroy());
}
