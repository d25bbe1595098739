// Brings rooms that nobody owns back to life on this node: those that the ring gives to it, the fullest first, and before
// them any that a player is asking for right now. A room is opened once, however many ask (single flight). What comes next
// is decided in recovery-plan.ts; here it is done.
//
// It is told when something may have changed, and looks by itself every second: nothing here depends on being told.

import type { Activation } from "../actor/activation.ts";
import { within } from "../actor/deadline.ts";
import type { RoomHost } from "../actor/room-host.ts";
import type { Config } from "../config.ts";
import { hasCode, messageOf, RingsideError, type ErrorCode } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { RoomId } from "../ids.ts";
import type { ClaimedRoom, Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Ring } from "../placement/ring.ts";
import type { Clock } from "../runtime/clock.ts";
import { Lookout } from "../runtime/lookout.ts";
import {
  boundsFor,
  planRecovery,
  type Claim,
  type ClaimReason,
  type RecoveryBounds,
} from "./recovery-plan.ts";
import { Waiters } from "./waiters.ts";

/** How often it looks by itself, in ms. */
const LOOK_EVERY_MS = 1_000;
/** Rooms that one look considers; more when none of so many is for this node. */
const LOOK_MAX = 1_000;
const LOOK_FURTHEST = 64_000;
/** How many looks there are to one question for rooms that are ours unawares: lost answers are rare. */
const LOOKS_PER_ORPHAN_LOOK = 5;
/**
 * A room that cannot be opened this many times in a row is locked away with the reason. The attempts are 1, 5, 25 and 30 s
 * apart, so that something its onCreate needs may come back meanwhile; what cannot be read will not get better.
 */
const OPEN_ATTEMPTS_MAX = 5;
const READ_ATTEMPTS_MAX = 3;
/** Failures to open a room that say nothing about the room. */
const OUR_FAULTS = ["LEASE_LOST", "STALE_EPOCH"] as const;

export interface RecoveryParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly host: RoomHost;
  /** Whether a ring of the newest view gives this room to this node. */
  readonly ring: () => Ring;
  readonly isSelf: (incarnation: string) => boolean;
  /** A room was locked away; nobody should be sent to it any more. */
  readonly onQuarantined: (roomId: RoomId) => void;
}

/** How much there is to do. */
export interface Backlog {
  /** Rooms for this node that wait for their turn, as far as it has looked. */
  readonly waiting: number;
  readonly opening: number;
}

export class Recovery {
  readonly #parts: RecoveryParts;
  readonly #bounds: RecoveryBounds;
  readonly #stopping = new AbortController();
  readonly #lookout: Lookout;
  #unowned: readonly RoomId[] = [];
  #orphaned: readonly RoomId[] = [];
  readonly #waiters: Waiters;
  readonly #claims = new Map<Claim, Promise<void>>();
  readonly #claimed = new Map<RoomId, { readonly room: ClaimedRoom; readonly atMs: number }>();
  readonly #openings = new Map<RoomId, { readonly sinceMs: number; readonly done: Promise<void> }>();
  #cancelAgain = (): void => {};
  #isAdvanceDue = false;
  #lookMax = LOOK_MAX;
  /** Whether the last look had as many rooms as it may have. */
  #wasFull = false;
  /** Whether there may be more by now, because some of them were claimed since. */
  #mayBeMore = false;
  #looks = 0;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
    this.#bounds = boundsFor(parts.config.restoresAtOnceMax);
    this.#waiters = new Waiters(parts.clock);
    this.#lookout = new Lookout(parts.clock, LOOK_EVERY_MS, () => this.#lookOnce());
  }

  get backlog(): Backlog {
    const waiting = new Set([...this.#unowned, ...this.#claimed.keys(), ...this.#waiters.roomIds]);
    for (const { roomIds } of this.#claims.keys()) for (const roomId of roomIds) waiting.add(roomId);
    const isLeft = (roomId: RoomId): boolean =>
      !this.#openings.has(roomId) && !this.#parts.host.isKnown(roomId);
    return { waiting: [...waiting].filter(isLeft).length, opening: this.#openings.size };
  }

  start(): void {
    this.#lookout.start();
  }

  /** Takes nothing up any more, gives back what was claimed and not begun, and waits for what is being opened. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelAgain();
    await this.#lookout.stop();
    await Promise.allSettled(this.#claims.values());
    const unopened = [...this.#claimed.values()];
    this.#claimed.clear();
    // If that fails they are taken from this node when it is gone.
    const release = ({ room }: { room: ClaimedRoom }): Promise<unknown> =>
      this.#parts.directory.release(room.roomId, room.epoch);
    await Promise.allSettled(unopened.map(release));
    this.#dismissIdle();
    await Promise.allSettled([...this.#openings.values()].map(({ done }) => done));
  }

  /** Rooms may have come free. */
  hurry(): void {
    this.#lookout.hurry();
  }

  /**
   * The room, opened here if nobody who counts owns it. Rooms that are asked for so are opened before others.
   *
   * @returns undefined when another node has it, when it does not exist, when it could not be opened, or when its turn
   * did not come in `config.upgradeHoldMs`; it may be opened later then
   * @throws the driver's error when Postgres could not be asked
   */
  async activate(roomId: RoomId): Promise<Activation | undefined> {
    const { clock, config, host, lease } = this.#parts;
    const here = host.activations.get(roomId);
    if (here !== undefined || host.isKnown(roomId)) return here; // it may be about to be here, or to have ended
    const mayBegin = !this.#stopping.signal.aborted && lease.isHeld;
    if (!mayBegin && !this.#openings.has(roomId)) return undefined;
    const late = (): Error => new RingsideError("ROOM_MOVING", { roomId });
    return this.#waiters.wait(roomId, async (opened) => {
      if (!this.#openings.has(roomId)) this.#advance();
      try {
        return await within(clock, config.upgradeHoldMs, opened, late);
      } catch (error) {
        if (hasCode(error, "ROOM_MOVING")) return undefined;
        throw error;
      }
    });
  }

  // ---- looking ----

  async #lookOnce(): Promise<void> {
    const { directory, lease, host } = this.#parts;
    if (!lease.isHeld) return;
    const unowned = await directory.readUnowned(this.#lookMax);
    this.#unowned = unowned.filter((roomId) => this.#isOurs(roomId));
    // Where there are more, those for this node may stand behind those for others, who are busy or cannot open them.
    this.#mayBeMore = false;
    this.#wasFull = unowned.length >= this.#lookMax;
    if (!this.#wasFull) {
      this.#lookMax = LOOK_MAX;
    } else if (this.#unowned.length === 0) {
      if (this.#lookMax < LOOK_FURTHEST) this.hurry();
      this.#lookMax = Math.min(LOOK_FURTHEST, this.#lookMax * 4);
    }
    this.#advance();
    if (this.#looks++ % LOOKS_PER_ORPHAN_LOOK !== 0) return;
    const known = [...host.known, ...this.#claimed.keys(), ...this.#openings.keys()];
    this.#orphaned = await directory.readOrphaned(known);
    this.#advance();
  }

  #isOurs(roomId: RoomId): boolean {
    const member = this.#parts.ring().memberFor(roomId);
    return member !== undefined && this.#parts.isSelf(member.incarnation);
  }

  // ---- acting ----

  /**
   * Does what is next. To be called whenever something has changed that the plan looks at. All that changes in one turn of
   * the event loop is looked at once: after a failover a gateway asks for hundreds of rooms in one breath, and one claim takes
   * them; and several rooms may be open at its end.
   */
  #advance(): void {
    if (this.#isAdvanceDue) return;
    this.#isAdvanceDue = true;
    setImmediate(() => {
      this.#isAdvanceDue = false;
      this.#advanceNow();
    });
  }

  #advanceNow(): void {
    const { clock, host, lease } = this.#parts;
    this.#cancelAgain();
    if (this.#stopping.signal.aborted || !lease.isHeld) {
      this.#dismissIdle(); // what is claimed waits for the lease, or for others to take it
      return;
    }
    const nowMs = clock.monotonicMs();
    const { open, claims, againInMs } = planRecovery(
      {
        unowned: this.#unowned,
        orphaned: this.#orphaned,
        isOurs: (roomId) => this.#isOurs(roomId),
        isHere: (roomId) => host.isKnown(roomId),
        demands: this.#waiters.demands,
        claims: [...this.#claims.keys()],
        claimed: [...this.#claimed.keys()],
        openings: [...this.#openings].map(([roomId, { sinceMs }]) => ({ roomId, forMs: nowMs - sinceMs })),
      },
      this.#bounds,
    );
    for (const claim of claims) this.#begin(claim);
    for (const roomId of open) this.#beginOpening(roomId);
    const isIdle = this.#claims.size === 0 && this.#claimed.size === 0;
    if (this.#mayBeMore && isIdle) {
      this.#mayBeMore = false;
      this.hurry();
    }
    if (againInMs !== undefined) this.#cancelAgain = clock.after(againInMs, () => this.#advance());
  }

  #begin(claim: Claim): void {
    const isTaken = new Set(claim.roomIds);
    if (claim.evenOwn) this.#orphaned = this.#orphaned.filter((roomId) => !isTaken.has(roomId));
    else this.#unowned = this.#unowned.filter((roomId) => !isTaken.has(roomId));
    if (claim.why === "recovery") this.#mayBeMore = this.#wasFull;
    const done = this.#claim(claim).finally(() => {
      this.#claims.delete(claim);
      this.#advance();
    });
    this.#claims.set(claim, done);
  }

  /** Never throws. */
  async #claim(claim: Claim): Promise<void> {
    const { clock, directory, events } = this.#parts;
    const { evenOwn, roomIds, why } = claim;
    const startedMs = clock.monotonicMs();
    let rooms: ClaimedRoom[];
    try {
      rooms = await directory.claim(roomIds, { evenOwn });
    } catch (error) {
      // Postgres is away. What it may have given us all the same is found as orphaned.
      this.#unowned = []; // the next look brings them again, which is soon enough
      this.#orphaned = [];
      for (const roomId of roomIds) this.#refuse(roomId, why, error);
      return;
    }
    const atMs = clock.monotonicMs();
    // They come in no order.
    const byId = new Map(rooms.map((room) => [room.roomId, room]));
    const taken: RoomId[] = [];
    for (const roomId of roomIds) {
      const room = byId.get(roomId);
      if (room === undefined) {
        this.#waiters.settle(roomId, undefined);
        continue;
      }
      this.#claimed.set(roomId, { room, atMs });
      taken.push(roomId);
    }
    if (taken.length > 0) {
      events.emit("rooms:claimed", {
        roomIds: taken,
        asked: roomIds.length,
        claimMs: Math.round(atMs - startedMs),
        why,
      });
    }
  }

  #beginOpening(roomId: RoomId): void {
    const claimed = this.#claimed.get(roomId);
    if (claimed === undefined) return; // never: only what is claimed is chosen
    this.#claimed.delete(roomId);
    const { clock } = this.#parts;
    const sinceMs = clock.monotonicMs();
    const done = this.#open(claimed.room, sinceMs - claimed.atMs).then((activation) => {
      this.#openings.delete(roomId);
      this.#waiters.settle(roomId, activation);
      this.#advance();
    });
    this.#openings.set(roomId, { sinceMs, done });
  }

  /**
   * Opens a room that is ours; if that fails, gives it up again, or locks it away when it has failed too often. Never
   * throws.
   */
  async #open(claimed: ClaimedRoom, waitedMs: number): Promise<Activation | undefined> {
    const { host, directory, events } = this.#parts;
    const { roomId, epoch } = claimed;
    const why = claimed.wasReleased ? "move" : this.#waiters.has(roomId) ? "demand" : "recovery";
    try {
      return await host.openClaimed(claimed, why, waitedMs);
    } catch (error) {
      events.emit("room:threw", { roomId, epoch, where: "open", error: messageOf(error), times: 1 });
      // That this node lost its lease or the room is not the room's fault: it is given up uncounted. If a call fails
      // here the room is still ours on paper: found as orphaned, and opened again.
      if (OUR_FAULTS.some((code) => isFailure(error, code))) {
        await directory.release(roomId, epoch).catch(() => false);
        return undefined;
      }
      const attemptsMax = isFailure(error, "SNAPSHOT_UNREADABLE") ? READ_ATTEMPTS_MAX : OPEN_ATTEMPTS_MAX;
      const isLockedAway = await directory
        .failedOpen(roomId, epoch, attemptsMax, messageOf(error))
        .catch(() => false);
      if (isLockedAway) {
        events.emit("room:quarantined", { roomId, epoch, reason: messageOf(error) });
        this.#parts.onQuarantined(roomId);
      }
      return undefined;
    }
  }

  // ---- those who wait ----

  /** A claim has failed. Who asked for the room is told why; who only happened to wait looks again. */
  #refuse(roomId: RoomId, why: ClaimReason, error: unknown): void {
    if (why === "demand") this.#waiters.refuse(roomId, error);
    else this.#waiters.settle(roomId, undefined);
  }

  /** Nothing is begun now: those who wait for a room that is not being opened look again. */
  #dismissIdle(): void {
    for (const roomId of this.#waiters.roomIds) {
      if (!this.#openings.has(roomId)) this.#waiters.settle(roomId, undefined);
    }
  }
}

/** Whether this is a failure with that code; Colyseus makes an error of its own of what onCreate throws, and keeps the text. */
function isFailure(error: unknown, code: ErrorCode): boolean {
  return hasCode(error, code) || messageOf(error).startsWith(`${code}:`);
}
