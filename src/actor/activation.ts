// One activation: a room on this node, at one epoch. Holds what Ringside knows of it beside Colyseus's Room.

import { crc32 } from "node:zlib";
import { serialize } from "node:v8";
import type { Client, Room } from "@colyseus/core";
import type { Saveable } from "../checkpoint/checkpointer.ts";
import type { SavedAbsence, SavedPlayer, Snapshot } from "../checkpoint/snapshot.ts";
import { versionOfClass } from "../colyseus/class-version.ts";
import { captureAnswers } from "../commit/answers.ts";
import { hasUnsentChanges, internals } from "../colyseus/room-internals.ts";
import { layoutOf } from "../colyseus/state-layout.ts";
import { captureState, isSchemaState } from "../colyseus/state-tree.ts";
import { untoldPrint } from "../colyseus/state-untold.ts";
import { captureViews } from "../colyseus/state-views.ts";
import type { Epoch, RoomId } from "../ids.ts";
import { captureTimers, timersPrint } from "./durable-timers.ts";
import type { Phase } from "./phase.ts";
import { agePrint } from "./seat-plan.ts";
import type { SeatToken } from "./seat-token.ts";

/** Whoever sits in a seat: a connected player, or the stand-in for one who is away. */
export interface Occupant {
  readonly sessionId: string;
  userData?: unknown;
  view?: unknown;
}

/** A seat of a restored room whose player has not come back yet. */
export interface AwaitedSeat {
  readonly options: unknown;
  /** Whether the restored state has never heard of the player, so that they must join again. */
  readonly mustRejoin: boolean;
}

export class Activation implements Saveable {
  readonly roomId: RoomId;
  readonly name: string;
  readonly epoch: Epoch;
  readonly room: Room;
  phase: Phase = { name: "opening" };

  nextSeq = 1;
  nextDueMs = 0;
  nextLookMs = 0;
  readonly turn: number;
  unsavedSinceMs: number | undefined;
  savingSinceMs: number | undefined;
  saved: Saveable["saved"];
  base: Saveable["base"];
  isLarge = false;
  isCommitting = false;
  #lastExtras: number | string = "";
  #lastTimers: string | undefined;
  #lastUntold: number | undefined;
  #lastAge = 0;

  /** Everyone with a seat whose onJoin has at least begun. */
  readonly occupants = new Map<string, Occupant>();
  readonly joining = new Set<string>();
  /** Players away whose pages know the state by another layout than this room's. */
  readonly otherLayouts = new Map<string, number>();
  readonly awaited = new Map<string, AwaitedSeat>();
  /** What opens each durable seat. */
  readonly tokens = new Map<string, SeatToken>();
  /** Seats that the author's hook keeps for players who are away. */
  readonly away = new Map<string, SavedAbsence>();

  /** What players sent while the room might not act, in order. */
  held: { readonly client: Client; readonly bytes: Buffer }[] = [];
  /** How much of it is whose. */
  readonly heldBytes = new Map<Client, number>();
  /** Players from whom a frame was kept back. Their mirror has a hole. */
  readonly missed = new Set<Client>();

  readonly #throws = new Map<string, { readonly sinceMs: number; times: number }>();

  constructor(roomId: RoomId, name: string, epoch: Epoch, room: Room) {
    this.roomId = roomId;
    this.turn = crc32(roomId) / 2 ** 32;
    this.name = name;
    this.epoch = epoch;
    this.room = room;
  }

  get isActive(): boolean {
    return this.phase.name === "active";
  }

  get isOver(): boolean {
    return this.phase.name === "ended";
  }

  get mayCommit(): boolean {
    const { phase } = this;
    if (phase.name === "moving") return !phase.isSealed;
    return this.isActive || (phase.name === "ended" && phase.why === "disposed");
  }

  get isGone(): boolean {
    return this.phase.name === "ended" && this.phase.why !== "disposed";
  }

  get players(): number {
    return this.room.clients.length;
  }

  /**
   * Counts what the author's code throws.
   *
   * @returns how many times it has thrown there since that was last told; 0 when that was less than a second ago
   */
  countThrow(where: string, nowMs: number): number {
    const told = this.#throws.get(where);
    if (told !== undefined && nowMs - told.sinceMs < 1_000) {
      told.times += 1;
      return 0;
    }
    this.#throws.set(where, { sinceMs: nowMs, times: 0 });
    return (told?.times ?? 0) + 1;
  }

  markChanged(nowMs: number): void {
    this.unsavedSinceMs ??= nowMs;
  }

  /** Finds changes of the state that no patch has announced yet. */
  noticeUnsent(nowMs: number): void {
    if (this.unsavedSinceMs === undefined && hasUnsentChanges(this.room)) this.markChanged(nowMs);
  }

  /** Finds changes that no patch announced: a room that never patches, and what is not Schema state at all. */
  findChanges(nowMs: number): void {
    if (this.unsavedSinceMs !== undefined) return;
    const { room } = this;
    if (hasUnsentChanges(room) || timersPrint(room) !== this.#lastTimers) this.markChanged(nowMs);
    else if (this.#age !== this.#lastAge) this.markChanged(nowMs);
    else if (untoldPrint(room) !== this.#lastUntold) this.markChanged(nowMs);
    else if (printOf(this.#extras()) !== this.#lastExtras) this.markChanged(nowMs);
  }

  /** The whole room, as it is now. */
  capture(): Snapshot {
    const extras = this.#extras();
    this.#lastExtras = printOf(extras);
    this.#lastTimers = timersPrint(this.room);
    this.#lastAge = this.#age;
    const state = captureOf(this.room);
    this.#lastUntold = untoldPrint(this.room, state);
    return {
      // Without players nobody knows it by any; to work it out for the first time is dear.
      layout: this.occupants.size === 0 ? undefined : layoutOf(this.room),
      state,
      ...extras,
      elapsedMs: this.room.clock.elapsedTime,
      timers: captureTimers(this.room),
      answers: captureAnswers(this.room),
    };
  }

  get #age(): number {
    return agePrint(this.away.values(), this.room.clock.elapsedTime);
  }

  #extras(): Extras {
    const { room } = this;
    const inside = internals(room);
    const players: Record<string, SavedPlayer> = {};
    const views = captureViews(room.state, this.occupants.values());
    for (const [sessionId, occupant] of this.occupants) {
      // The state has never heard of them, and a restore from it must not believe that it has.
      if (this.awaited.get(sessionId)?.mustRejoin === true) continue;
      const view = views.get(occupant.view);
      players[sessionId] = {
        userData: occupant.userData,
        ...(view === undefined ? {} : { view }),
        ...layoutPart(this.otherLayouts.get(sessionId)),
        ...(this.joining.has(sessionId) ? { joining: true as const } : {}),
        ...awayPart(this.away.get(sessionId)),
      };
    }
    return {
      classVersion: versionOf(room),
      cached: room.onCacheRoom?.(),
      room: {
        metadata: inside._listing.metadata,
        locked: inside._lockedExplicitly,
        private: inside._listing.private,
        unlisted: inside._listing.unlisted,
        maxClients: room.maxClients,
      },
      players,
    };
  }
}

/** What is saved but is not Schema state, and no hook tells of. */
type Extras = Pick<Snapshot, "classVersion" | "cached" | "room" | "players">;

/** Something small that changes with it. A room that waits for players has little, and there may be thousands of those. */
function printOf(extras: Extras): number | string {
  const { cached, players, room } = extras;
  const { locked, private: isPrivate, unlisted, maxClients, metadata } = room;
  if (cached === undefined && (metadata === undefined || metadata === null) && isEmpty(players)) {
    return `${locked} ${isPrivate} ${unlisted} ${maxClients}`;
  }
  return crc32(serialize(extras));
}

function isEmpty(object: object): boolean {
  for (const _name in object) return false;
  return true;
}

function layoutPart(layout: number | undefined): { layout?: number } {
  return layout === undefined ? {} : { layout };
}

function awayPart(away: SavedAbsence | undefined): { away?: SavedAbsence } {
  return away === undefined ? {} : { away };
}

function captureOf(room: Room): Snapshot["state"] {
  const state: unknown = room.state;
  return isSchemaState(state) ? captureState(state) : undefined;
}

/** Which version of its class a room is of: what migrateCheckpoint is asked to bring older checkpoints to. */
export function versionOf(room: Room): number {
  return versionOfClass(room.constructor);
}
