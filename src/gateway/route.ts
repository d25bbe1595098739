// Leads a player's upgrade to wherever the room is. While the room moves the upgrade is held, not refused: the SDK would
// only come back later, or, on the wrong code, never. When the time is over the player gets a 503, which the SDK
// takes as a reason to try again (GATE1).

import { STATUS_CODES, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { RoomTransport, SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { Incarnation, RoomId } from "../ids.ts";
import type { Member, View } from "../membership/view.ts";
import type { Directory, Ownership } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import { locate, type Location } from "../placement/locate.ts";
import type { Ring } from "../placement/ring.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Relay } from "./relay.ts";

/** How long a player may take to read that there is nothing for them here. */
const ANSWER_READ_MS = 1_000;
/** How long until the question where a room is gets asked again, unless the view changes before. */
const ASK_AGAIN_MS = 50;
/** How many last known owners are remembered for when Postgres cannot be asked. */
const REMEMBERED_MAX = 20_000;

export interface RouterParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly self: Incarnation;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly transport: RoomTransport;
  readonly relay: Relay;
  readonly view: () => View;
  readonly ring: () => Ring;
  /** Whether the room is on this node, ready to be played. */
  readonly isHere: (roomId: RoomId) => boolean;
  /** Opens the room here; it may turn out that another node was faster. */
  readonly activate: (roomId: RoomId) => Promise<unknown>;
}

interface Arrival {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly seat: SeatRequest;
}

export class Router {
  readonly #parts: RouterParts;
  readonly #remembered = new Map<RoomId, Ownership>();
  readonly #reading = new Map<RoomId, Promise<Ownership | undefined>>();
  readonly #held = new Set<Duplex>();
  #isStopped = false;
  #viewChanged = Promise.withResolvers<void>();

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  /** Those who wait look again at once. */
  viewChanged(): void {
    this.#viewChanged.resolve();
    this.#viewChanged = Promise.withResolvers<void>();
  }

  /** Sends those who wait to another node. */
  stop(): void {
    this.#isStopped = true;
    for (const socket of this.#held) answer(socket, "DRAINING");
    this.viewChanged();
  }

  /** A player's own connection: wherever the room is, the player gets there. Never throws. */
  async route(arrival: Arrival): Promise<void> {
    const { clock, config } = this.#parts;
    if (this.#isStopped) return answer(arrival.socket, "DRAINING");
    if (this.#held.size >= config.upgradesHeldMax) return answer(arrival.socket, "TOO_MANY");
    this.#held.add(arrival.socket);
    const dropped = (): void => void arrival.socket.destroy();
    arrival.socket.on("error", dropped);
    try {
      const endsMs = clock.monotonicMs() + config.upgradeHoldMs;
      while (!arrival.socket.destroyed && !this.#isStopped) {
        if (await this.#step(arrival, endsMs)) return;
        if (clock.monotonicMs() >= endsMs) return answer(arrival.socket, "ROOM_MOVING");
        await this.#waitForChange(Math.min(ASK_AGAIN_MS, endsMs - clock.monotonicMs()));
      }
    } finally {
      arrival.socket.off("error", dropped);
      this.#held.delete(arrival.socket);
    }
  }

  /**
   * A connection that another gateway relays: the room is here, or is opened here, or the gateway must look again. It is
   * not sent on a second time.
   */
  async routeRelayed(arrival: Arrival): Promise<void> {
    const roomId = arrival.seat.roomId as RoomId;
    arrival.socket.on("error", () => arrival.socket.destroy());
    let where = await this.locate(roomId).catch((): Location => ({ at: "nowhere-yet" }));
    if (where.at === "claim") {
      await this.#parts.activate(roomId).catch(() => {}); // the next line tells what came of it
      where = { at: this.#parts.isHere(roomId) ? "here" : "nowhere-yet" };
    }
    if (where.at !== "here" || !this.#parts.lease.isHeld) return answer(arrival.socket, "ROOM_MOVING");
    this.#accept(arrival);
  }

  /** Where the room is, by Postgres, or as it was last known when Postgres cannot be asked. */
  async locate(roomId: RoomId): Promise<Location> {
    const { self, view, ring, isHere } = this.#parts;
    if (isHere(roomId)) return { at: "here" };
    const ownership = await this.#readOwnership(roomId);
    return locate({
      self,
      view: view(),
      isHere: isHere(roomId),
      ownership,
      successor: ring().memberFor(roomId),
    });
  }

  /** @returns whether the connection has found its end */
  async #step(arrival: Arrival, endsMs: number): Promise<boolean> {
    const { transport, activate, lease } = this.#parts;
    const roomId = arrival.seat.roomId as RoomId;
    const where = await this.locate(roomId).catch((): Location => ({ at: "nowhere-yet" }));
    switch (where.at) {
      case "here":
        if (!lease.isHeld) return false; // frozen; it will be here or elsewhere in a moment
        this.#accept(arrival);
        return true;
      case "claim":
        await activate(roomId).catch(() => {}); // looked at again
        return false;
      case "peer":
        return this.#relay(arrival, where.member, endsMs);
      case "gone":
        transport.decline(arrival.request, arrival.socket, arrival.head);
        return true;
      case "nowhere-yet":
        return false;
    }
  }

  /** Offers the connection to a peer, until the room turns out to be elsewhere: a frozen peer accepts and never answers. */
  async #relay({ request, socket, head, seat }: Arrival, member: Member, endsMs: number): Promise<boolean> {
    const { clock, relay } = this.#parts;
    const elsewhere = new AbortController();
    const joining = relay.join(member, request, socket, head, elsewhere.signal);
    const done = joining.then(() => true);
    while (!(await Promise.race([done, this.#waitForChange(5 * ASK_AGAIN_MS).then(() => false)]))) {
      const now = await this.locate(seat.roomId as RoomId).catch((): Location => ({ at: "nowhere-yet" }));
      const isThere = now.at === "peer" && now.member.incarnation === member.incarnation;
      if (!isThere || clock.monotonicMs() >= endsMs) elsewhere.abort();
    }
    return (await joining) !== "refused";
  }

  #accept({ request, socket, head, seat }: Arrival): void {
    this.#parts.transport.accept(request, socket, head, seat);
  }

  /**
   * One question a room, however many players arrive at once: after a failover all of them do. An answer that was under
   * way may be older than the question. Whoever is led astray by it is refused there, and asks again; only that there is
   * no such room is final for a player, so that is asked anew.
   */
  async #readOwnership(roomId: RoomId): Promise<Ownership | undefined> {
    const underWay = this.#reading.get(roomId);
    const told = underWay && (await underWay);
    if (told !== undefined) return told;
    const reading = this.#readOwnershipNow(roomId).finally(() => this.#reading.delete(roomId));
    this.#reading.set(roomId, reading);
    return reading;
  }

  async #readOwnershipNow(roomId: RoomId): Promise<Ownership | undefined> {
    let ownership: Ownership | undefined;
    try {
      ownership = await this.#parts.directory.locate(roomId);
    } catch (error) {
      const remembered = this.#remembered.get(roomId);
      if (remembered === undefined) throw error;
      return remembered;
    }
    this.#remembered.delete(roomId);
    if (ownership !== undefined) {
      this.#remembered.set(roomId, ownership);
      if (this.#remembered.size > REMEMBERED_MAX) {
        for (const oldest of this.#remembered.keys()) {
          this.#remembered.delete(oldest);
          break;
        }
      }
    }
    return ownership;
  }

  async #waitForChange(ms: number): Promise<void> {
    let cancel = (): void => {};
    const time = new Promise<void>((resolve) => (cancel = this.#parts.clock.after(Math.max(1, ms), resolve)));
    await Promise.race([time, this.#viewChanged.promise]);
    cancel();
  }
}

/** Answers an upgrade that will not be one, and sees the socket to its end: nobody else listens to it any more. */
export function answer(socket: Duplex, code: ErrorCode): void {
  socket.on("error", () => socket.destroy());
  if (socket.destroyed) return;
  const { http, text } = ERRORS[code];
  socket.end(
    `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ""}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n${http === 503 ? "Retry-After: 1\r\n" : ""}\r\n${text}`,
  );
  // What the player still sends is read away, so that the answer is not lost to a reset; for a second, not for ever.
  socket.resume();
  if (socket instanceof Socket) socket.setTimeout(ANSWER_READ_MS, () => socket.destroy());
  socket.once("end", () => socket.destroy());
}
