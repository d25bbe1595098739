// The seats of a restored room whose players are not back yet: each is kept, until its player returns or its time is up by
// the room's own rule (seat-plan.ts). Says when all are back, or given up.

import type { Client, Room } from "@colyseus/core";
import type { Snapshot } from "../checkpoint/snapshot.ts";
import { giveUpFor, hasOwnRule, onSeatTime } from "../colyseus/hosted-seats.ts";
import { internals } from "../colyseus/room-internals.ts";
import { keepFor } from "../colyseus/seat-return.ts";
import { layoutOf } from "../colyseus/state-layout.ts";
import { viewMaker } from "../colyseus/state-views.ts";
import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import type { SessionId } from "../ids.ts";
import type { ClaimedRoom } from "../ownership/directory.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Activation, AwaitedSeat } from "./activation.ts";
import { planSeats, waitOf, type KeptSeat } from "./seat-plan.ts";
import { standInFor } from "./stand-in.ts";

export interface AwaitedSeatsParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  /** See RoomGuard. */
  readonly untilOwned: (room: Room) => Promise<void> | undefined;
  /** The player is gone for good, and so is the seat. */
  readonly left: (activation: Activation, sessionId: string) => void;
}

/** What WebSockets say when they broke without a word, and so the code for a player who never came back. */
const ABNORMAL_CLOSURE = 1006;

interface Homecoming {
  readonly sinceMs: number;
  readonly seats: number;
  back: number;
  firstBackMs: number | undefined;
  lastBackMs: number;
}

/** One seat, as it waits. */
interface Waiting {
  readonly activation: Activation;
  readonly awaited: AwaitedSeat;
  readonly standIn: Client;
  /** Ends the wait. */
  readonly giveUp: () => void;
  /** Set when the author's onLeave knows already: it does what onDrop does elsewhere, and waits for what comes of it. */
  hasLeft: boolean;
}

export class AwaitedSeats {
  readonly #parts: AwaitedSeatsParts;
  readonly #homecomings = new WeakMap<Activation, Homecoming>();

  constructor(parts: AwaitedSeatsParts) {
    this.#parts = parts;
  }

  /**
   * Keeps the seats of a restored room for their players, and tells the room of those who left after it was saved.
   *
   * @param snapshot what was restored; undefined when the room was never saved
   */
  await(activation: Activation, claimed: ClaimedRoom, snapshot: Snapshot | undefined): void {
    const { clock } = this.#parts;
    const { room } = activation;
    const plan = planSeats(claimed.seats, snapshot?.players ?? {});
    const makeView = viewMaker(room.state);
    for (const { view: saved, ...player } of plan.gone) {
      const view = saved && makeView(saved);
      void room.onLeave?.(standInFor({ ...player, view, auth: undefined, token: "" }), ABNORMAL_CLOSURE);
    }
    for (const seat of plan.kept) this.#keep(activation, seat, snapshot, makeView);
    internals(room)._listing.clients = plan.kept.length;
    recount(room);
    this.#homecomings.set(activation, {
      sinceMs: clock.monotonicMs(),
      seats: plan.kept.length,
      back: 0,
      firstBackMs: undefined,
      lastBackMs: clock.monotonicMs(),
    });
  }

  /** A player is in their seat. @returns what was waited for; undefined when nobody did */
  isBack(activation: Activation, sessionId: string): AwaitedSeat | undefined {
    const awaited = activation.awaited.get(sessionId);
    if (awaited === undefined) return undefined;
    activation.awaited.delete(sessionId);
    const homecoming = this.#homecomings.get(activation);
    if (homecoming === undefined) return awaited;
    homecoming.back += 1;
    homecoming.lastBackMs = this.#parts.clock.monotonicMs();
    homecoming.firstBackMs ??= homecoming.lastBackMs;
    this.#parts.events.emit("seat:reclaimed", {
      roomId: activation.roomId,
      epoch: activation.epoch,
      sessionId: sessionId as SessionId,
      afterMs: Math.round(homecoming.lastBackMs - homecoming.sinceMs),
    });
    this.settleIfAllAreBack(activation);
    return awaited;
  }

  /** Says so, once, when nobody is awaited any more. */
  settleIfAllAreBack(activation: Activation): void {
    const homecoming = this.#homecomings.get(activation);
    if (homecoming === undefined || activation.awaited.size > 0) return;
    this.#homecomings.delete(activation);
    const { firstBackMs, lastBackMs, sinceMs } = homecoming;
    this.#parts.events.emit("room:settled", {
      roomId: activation.roomId,
      epoch: activation.epoch,
      seats: homecoming.seats,
      back: homecoming.back,
      firstBackMs: firstBackMs === undefined ? null : Math.round(firstBackMs - sinceMs),
      backMs: Math.round(lastBackMs - sinceMs),
    });
  }

  #keep(
    activation: Activation,
    seat: KeptSeat,
    snapshot: Snapshot | undefined,
    makeView: ReturnType<typeof viewMaker>,
  ): void {
    const { config, untilOwned } = this.#parts;
    const { room } = activation;
    const { sessionId, userData, auth, tokenHash, previousHash, isHeard, tokenNo, loginHash, options } = seat;
    const view = seat.view && makeView(seat.view);
    const standIn = standInFor({ sessionId, userData, auth, view, token: tokenHash });
    const saved = snapshot?.players[sessionId];
    const awaited = { options, mustRejoin: seat.mustRejoin };
    activation.occupants.set(sessionId, standIn);
    activation.tokens.set(sessionId, { hash: tokenHash, previousHash, isHeard, number: tokenNo, loginHash });
    activation.awaited.set(sessionId, awaited);
    const layout = saved?.layout ?? snapshot?.layout;
    if (layout !== undefined && layout !== layoutOf(room)) activation.otherLayouts.set(sessionId, layout);
    const away = seat.mustRejoin ? undefined : saved?.away;
    if (away !== undefined) activation.away.set(sessionId, away);

    const pending = keepFor(room, standIn);
    const waiting: Waiting = {
      activation,
      awaited,
      standIn,
      giveUp: () => pending.reject(false),
      hasLeft: false,
    };
    pending.catch(() => this.#lapsed(waiting));
    const rule = {
      hasOwnRule: hasOwnRule(room),
      elapsedMs: room.clock.elapsedTime,
      holdMs: config.seatHoldMs,
    };
    const { ms, next } = waitOf(seat, away, rule);
    onSeatTime(
      room,
      sessionId,
      ms,
      () => untilOwned(room),
      () => {
        if (next === "give up") waiting.giveUp();
        else void this.#tellOfDrop(waiting);
      },
    );
  }

  /** Has the room decide what becomes of the seat, as Colyseus does when a connection breaks. */
  async #tellOfDrop(waiting: Waiting): Promise<void> {
    const { activation, standIn } = waiting;
    const { room } = activation;
    const { sessionId } = standIn;
    if (!isAwaited(waiting)) return;
    // For a hook that neither keeps the seat nor ever ends. One that keeps it says for how long.
    onSeatTime(
      room,
      sessionId,
      this.#parts.config.seatHoldMs,
      () => this.#parts.untilOwned(room),
      waiting.giveUp,
    );
    waiting.hasLeft = room.onDrop === undefined;
    try {
      await (room.onDrop ?? room.onLeave)?.call(room, standIn, ABNORMAL_CLOSURE);
    } finally {
      if (isAwaited(waiting) && !activation.away.has(sessionId)) waiting.giveUp();
    }
  }

  #lapsed(waiting: Waiting): void {
    const { activation, awaited, standIn, hasLeft } = waiting;
    const { roomId, epoch, room } = activation;
    const owning = this.#parts.untilOwned(room);
    if (owning !== undefined) {
      void owning.then(() => this.#lapsed(waiting));
      return;
    }
    // A room that ends or moves takes its waiting seats along; they have not lapsed.
    if (!isAwaited(waiting)) return;
    activation.awaited.delete(standIn.sessionId);
    const inside = internals(room);
    inside._listing.clients = Math.max(0, inside._listing.clients - 1);
    delete inside._reservedSeats[standIn.sessionId]; // Colyseus is about to; the count is made before
    recount(room);
    giveUpFor(standIn);
    if (!awaited.mustRejoin && !hasLeft) void room.onLeave?.(standIn, ABNORMAL_CLOSURE);
    this.#parts.left(activation, standIn.sessionId);
    this.#parts.events.emit("seat:lapsed", { roomId, epoch, sessionId: standIn.sessionId as SessionId });
    this.settleIfAllAreBack(activation);
  }
}

function isAwaited({ activation, awaited, standIn }: Waiting): boolean {
  return activation.phase.name === "active" && activation.awaited.get(standIn.sessionId) === awaited;
}

/**
 * Lets Colyseus find out whether the room is full, and write it to the listing. It does so by itself when players come and
 * go, but not when seats are kept or given up: the room would be found by those who look for a free seat, or by nobody.
 */
function recount(room: Room): void {
  void room.setMatchmaking({ maxClients: room.maxClients });
}
