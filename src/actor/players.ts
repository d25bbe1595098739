// Players' comings and goings in one room: seats that are durable before anybody is told (SEAT1), seats that wait for
// their players after a restore, and what is said while the room may not listen.

import type { Client, Room } from "@colyseus/core";
import type { Snapshot } from "../checkpoint/snapshot.ts";
import { internals } from "../colyseus/room-internals.ts";
import { placeOf } from "../colyseus/room-transport.ts";
import { layoutOf } from "../colyseus/state-layout.ts";
import { viewMaker } from "../colyseus/state-views.ts";
import type { Config } from "../config.ts";
import { ERRORS, messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { SessionId } from "../ids.ts";
import { hashToken, newToken, type ClaimedRoom } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Activation } from "./activation.ts";
import type { Seats } from "./seats.ts";
import { planSeats } from "./seat-plan.ts";
import { standInFor } from "./stand-in.ts";

export interface PlayersParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly seats: Seats;
  /** See RoomGuard. */
  readonly untilOwned: (room: Room) => Promise<void> | undefined;
}

/** What WebSockets say when they broke without a word, and so the code for a player who never came back. */
const ABNORMAL_CLOSURE = 1006;

/** What a message that is held costs at least, however little it says. */
const HELD_MESSAGE_BYTES_MIN = 64;

interface Homecoming {
  readonly sinceMs: number;
  readonly seats: number;
  back: number;
  lastBackMs: number;
}

export class Players {
  readonly #parts: PlayersParts;
  readonly #homecomings = new WeakMap<Activation, Homecoming>();

  constructor(parts: PlayersParts) {
    this.#parts = parts;
  }

  /** The author's onJoin is about to run. A checkpoint taken now would know half of this player, and says so. */
  joining(activation: Activation, client: Client): void {
    activation.occupants.set(client.sessionId, client);
    activation.joining.add(client.sessionId);
  }

  /**
   * The author's onJoin has run: makes the seat durable.
   *
   * @throws RingsideError when it cannot be; the player is then refused, and has not joined
   */
  async joined(activation: Activation, client: Client, options: unknown): Promise<void> {
    const { roomId, epoch } = activation;
    const { sessionId } = client;
    activation.joining.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    const token = newToken();
    client.reconnectionToken = token;
    const seat = {
      roomId,
      epoch,
      sessionId,
      tokenHash: hashToken(token),
      options,
      auth: client.auth as unknown,
    };
    let isDurable: boolean;
    try {
      isDurable = await this.#parts.seats.save(seat);
    } catch (error) {
      if (error instanceof RingsideError) throw error;
      throw new RingsideError("POSTGRES_UNREACHABLE", { roomId }, error);
    }
    if (!isDurable) throw new RingsideError("STALE_EPOCH", { roomId, epoch });
    if (!this.#parts.lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId });
    this.#parts.events.emit("seat:taken", { roomId, sessionId: sessionId as SessionId });
  }

  /** @returns the options of the join when the room's state has never heard of this player */
  reconnected(activation: Activation, client: Client): { readonly options: unknown } | undefined {
    const { sessionId } = client;
    // The seat keeps its token, so that coming back needs no write: after a failover everybody comes at once.
    const { presentedToken } = client as { presentedToken?: string };
    if (presentedToken !== undefined) client.reconnectionToken = presentedToken;
    activation.occupants.set(sessionId, client);
    activation.otherLayouts.delete(sessionId); // the page was loaded again, or it would have been refused
    const awaited = activation.awaited.get(sessionId);
    if (awaited === undefined) return undefined;

    activation.awaited.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    const homecoming = this.#homecomings.get(activation);
    if (homecoming !== undefined) {
      homecoming.back += 1;
      homecoming.lastBackMs = this.#parts.clock.monotonicMs();
      this.#parts.events.emit("seat:reclaimed", {
        roomId: activation.roomId,
        epoch: activation.epoch,
        sessionId: sessionId as SessionId,
        afterMs: Math.round(homecoming.lastBackMs - homecoming.sinceMs),
      });
      this.settleIfAllAreBack(activation);
    }
    return awaited.mustRejoin ? { options: awaited.options } : undefined;
  }

  /** A player is gone for good, and so is the seat. */
  left(activation: Activation, sessionId: string): void {
    if (!activation.occupants.delete(sessionId)) return;
    activation.joining.delete(sessionId);
    activation.otherLayouts.delete(sessionId);
    activation.awaited.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    const { roomId, epoch } = activation;
    // A seat that stays behind by a failure here meets, at the next restore, a state that does not know it, and its
    // player joins again if they ever come; otherwise it lapses.
    this.#parts.seats.giveUp({ roomId, epoch, sessionId }).catch((error: unknown) => {
      this.#parts.events.emit("room:threw", {
        roomId,
        epoch,
        where: "leave",
        error: messageOf(error),
        times: 1,
      });
    });
  }

  /**
   * Keeps the seats of a restored room for their players, and tells the room of those who left after it was saved.
   *
   * @param snapshot what was restored; undefined when the room was never saved
   */
  await(activation: Activation, claimed: ClaimedRoom, snapshot: Snapshot | undefined): void {
    const { clock, config } = this.#parts;
    const { room } = activation;
    const plan = planSeats(claimed.seats, snapshot?.players ?? {});
    const layout = layoutOf(room);
    const makeView = viewMaker(room.state);
    for (const { view: saved, ...player } of plan.gone) {
      const view = saved && makeView(saved);
      void room.onLeave?.(standInFor({ ...player, view, auth: undefined, token: "" }), ABNORMAL_CLOSURE);
    }
    for (const seat of plan.kept) {
      const { sessionId, userData, auth, tokenHash, options, mustRejoin } = seat;
      const view = seat.view && makeView(seat.view);
      const standIn = standInFor({ sessionId, userData, auth, view, token: tokenHash });
      activation.occupants.set(sessionId, standIn);
      const known = snapshot?.players[sessionId]?.layout ?? snapshot?.layout;
      if (known !== undefined && known !== layout) activation.otherLayouts.set(sessionId, known);
      activation.awaited.set(sessionId, { tokenHash, options, mustRejoin });
      const away = room.allowReconnection(standIn, config.seatHoldMs / 1_000);
      away.catch(() => this.#lapsed(activation, standIn, mustRejoin));
    }
    internals(room)._listing.clients = plan.kept.length;
    recount(room);
    this.#homecomings.set(activation, {
      sinceMs: clock.monotonicMs(),
      seats: plan.kept.length,
      back: 0,
      lastBackMs: clock.monotonicMs(),
    });
  }

  /** Says so, once, when nobody is awaited any more. */
  settleIfAllAreBack(activation: Activation): void {
    const homecoming = this.#homecomings.get(activation);
    if (homecoming === undefined || activation.awaited.size > 0) return;
    this.#homecomings.delete(activation);
    this.#parts.events.emit("room:settled", {
      roomId: activation.roomId,
      epoch: activation.epoch,
      seats: homecoming.seats,
      back: homecoming.back,
      backMs: Math.round(homecoming.lastBackMs - homecoming.sinceMs),
    });
  }

  /**
   * What a token is called inside the room. A seat that was restored is known by the hash, because the token itself was
   * never stored; any other by the token, and Colyseus decides about it.
   */
  resolveToken(activation: Activation, sessionId: string | undefined, token: string): string | undefined {
    if (activation.awaited.size === 0) return token;
    const hash = hashToken(token);
    if (sessionId !== undefined) {
      const awaited = activation.awaited.get(sessionId);
      if (awaited === undefined) return token;
      return awaited.tokenHash === hash ? hash : undefined;
    }
    const isAwaited = [...activation.awaited.values()].some((awaited) => awaited.tokenHash === hash);
    return isAwaited ? hash : token;
  }

  /** Keeps a message until the room may listen again; past the limit the SDK is told to come back. */
  hold(activation: Activation, client: Client, bytes: Buffer): void {
    const max = this.#parts.config.heldMessageBytesMax;
    const before = activation.heldBytes.get(client) ?? 0;
    if (before > max) return; // they have been told already
    const waiting = before + Math.max(bytes.length, HELD_MESSAGE_BYTES_MIN);
    activation.heldBytes.set(client, waiting);
    if (waiting > max) {
      client.leave(ERRORS.LEASE_LOST.close, ERRORS.LEASE_LOST.text);
      return;
    }
    activation.held.push({ client, bytes });
  }

  /** The room may act again: those with a hole in their mirror start anew, and what waited is heard, in order. */
  catchUp(activation: Activation): void {
    const { held, missed } = activation;
    activation.held = [];
    activation.heldBytes.clear();
    const inside = internals(activation.room);
    for (const { client, bytes } of held) {
      if (!missed.has(client)) inside._onMessage(client as never, bytes);
    }
    // Their gateway presents them anew, with what they have said.
    for (const client of missed) {
      placeOf(client).cut(held.filter((message) => message.client === client).map(({ bytes }) => bytes));
    }
    missed.clear();
  }

  #lapsed(activation: Activation, standIn: Client, mustRejoin: boolean): void {
    const { roomId, epoch, room } = activation;
    const waiting = this.#parts.untilOwned(room);
    if (waiting !== undefined) {
      void waiting.then(() => this.#lapsed(activation, standIn, mustRejoin));
      return;
    }
    // A room that ends or moves takes its waiting seats along; they have not lapsed.
    if (activation.phase.name !== "active" || !activation.awaited.has(standIn.sessionId)) return;
    activation.awaited.delete(standIn.sessionId);
    const inside = internals(room);
    inside._listing.clients = Math.max(0, inside._listing.clients - 1);
    delete inside._reservedSeats[standIn.sessionId]; // Colyseus is about to; the count is made before
    recount(room);
    if (!mustRejoin) void room.onLeave?.(standIn, ABNORMAL_CLOSURE);
    this.left(activation, standIn.sessionId);
    this.#parts.events.emit("seat:lapsed", { roomId, epoch, sessionId: standIn.sessionId as SessionId });
    this.settleIfAllAreBack(activation);
  }
}

/**
 * Lets Colyseus find out whether the room is full, and write it to the listing. It does so by itself when players come and
 * go, but not when seats are kept or given up: the room would be found by those who look for a free seat, or by nobody.
 */
function recount(room: Room): void {
  void room.setMatchmaking({ maxClients: room.maxClients });
}
