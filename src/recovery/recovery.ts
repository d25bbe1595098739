// Brings rooms that nobody owns back to life on this node: those that the ring gives to it, the fullest first, and any
// that a player is asking for right now. A room is opened once, however many ask (single flight).
//
// It is told when something may have changed, and looks by itself every second: nothing here depends on being told.

import type { Activation } from "../actor/activation.ts";
import type { OpenReason, RoomHost } from "../actor/room-host.ts";
import type { Config } from "../config.ts";
import { hasCode, messageOf, type ErrorCode } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { RoomId } from "../ids.ts";
import type { ClaimedRoom, Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Ring } from "../placement/ring.ts";
import type { Clock } from "../runtime/clock.ts";

/** How often it looks by itself, in ms. */
const LOOK_EVERY_MS = 1_000;
/** Rooms that one claim takes at most, and that one look considers. */
const CLAIM_MAX = 64;
const LOOK_MAX = 1_000;
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

export class Recovery {
  readonly #parts: RecoveryParts;
  readonly #opening = new Map<RoomId, Promise<Activation | undefined>>();
  readonly #stopping = new AbortController();
  #look: Promise<void> | undefined;
  #lookAgain = false;
  #loop: Promise<void> | undefined;
  #looks = 0;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#look;
    await Promise.allSettled(this.#opening.values());
  }

  /** Something may have changed: looks now, or once more when a look is under way. */
  hurry(): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#look !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#look = this.#lookUntilQuiet().finally(() => (this.#look = undefined));
  }

  /**
   * The room, opened here if nobody who counts owns it.
   *
   * @returns undefined when another node has it, when it does not exist, or when it could not be opened
   */
  async activate(roomId: RoomId): Promise<Activation | undefined> {
    const here = this.#parts.host.activations.get(roomId);
    if (here !== undefined) return here;
    const underWay = this.#opening.get(roomId);
    if (underWay !== undefined) return underWay;
    if (this.#stopping.signal.aborted || !this.#parts.lease.isHeld) return undefined;
    const opening = this.#claimOne(roomId).finally(() => this.#opening.delete(roomId));
    this.#opening.set(roomId, opening);
    return opening;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.hurry();
      await this.#look;
      await this.#parts.clock.sleep(LOOK_EVERY_MS, this.#stopping.signal).catch(() => {});
    }
  }

  async #lookUntilQuiet(): Promise<void> {
    do {
      this.#lookAgain = false;
      try {
        await this.#lookOnce();
      } catch {
        return; // Postgres is away; the heartbeat says so, and the next look comes by itself
      }
    } while (this.#lookAgain && !this.#stopping.signal.aborted);
  }

  async #lookOnce(): Promise<void> {
    const { directory, lease, host } = this.#parts;
    if (!lease.isHeld) return;
    const unowned = await directory.readUnowned(LOOK_MAX);
    const mine = unowned.filter((roomId) => this.#isMine(roomId));
    // There may be more, and taking ours makes room for them in the next look.
    if (unowned.length === LOOK_MAX && mine.length > 0) this.#lookAgain = true;
    await this.#claimAll(mine, false);
    // Lost answers are rare, so the question is too.
    if (this.#looks++ % 5 === 0) await this.#claimAll(await directory.readOrphaned(host.known), true);
  }

  async #claimAll(roomIds: readonly RoomId[], evenOwn: boolean): Promise<void> {
    const { host, lease } = this.#parts;
    for (let from = 0; from < roomIds.length && lease.isHeld; from += CLAIM_MAX) {
      // Asked for each batch anew: while the one before was opened, players may have come for rooms of this one.
      const batch = roomIds
        .slice(from, from + CLAIM_MAX)
        .filter((roomId) => !this.#opening.has(roomId) && !host.isKnown(roomId));
      if (batch.length > 0) await this.#claimMany(batch, evenOwn);
    }
  }

  #isMine(roomId: RoomId): boolean {
    const member = this.#parts.ring().memberFor(roomId);
    return member !== undefined && this.#parts.isSelf(member.incarnation);
  }

  async #claimOne(roomId: RoomId): Promise<Activation | undefined> {
    const [claimed] = await this.#parts.directory.claim([roomId]);
    return claimed && this.#open(claimed, "demand");
  }

  /** One statement claims many; they are then opened a few at a time, so that the rooms already here keep their ticks. */
  async #claimMany(roomIds: readonly RoomId[], evenOwn: boolean): Promise<void> {
    const claiming = this.#parts.directory.claim(roomIds, { evenOwn });
    const settled = new Map<RoomId, (activation: Activation | undefined) => void>();
    for (const roomId of roomIds) {
      const opening = new Promise<Activation | undefined>((resolve) => settled.set(roomId, resolve));
      this.#opening.set(
        roomId,
        opening.finally(() => this.#opening.delete(roomId)),
      );
    }
    try {
      const queue = await claiming;
      const open = async (): Promise<void> => {
        for (let claimed = queue.shift(); claimed !== undefined; claimed = queue.shift()) {
          settled.get(claimed.roomId)?.(await this.#open(claimed, "recovery"));
        }
      };
      await Promise.all(Array.from({ length: this.#parts.config.restoresAtOnceMax }, open));
    } finally {
      for (const resolve of settled.values()) resolve(undefined); // those that others were faster to claim
    }
  }

  /** Opens a room that is ours; if that fails, gives it up again, or locks it away when it has failed too often. */
  async #open(claimed: ClaimedRoom, why: OpenReason): Promise<Activation | undefined> {
    const { host, directory, events } = this.#parts;
    const { roomId, epoch } = claimed;
    try {
      return await host.openClaimed(claimed, claimed.wasReleased ? "move" : why);
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
}

/** Whether this is a failure with that code; Colyseus makes an error of its own of what onCreate throws, and keeps the text. */
function isFailure(error: unknown, code: ErrorCode): boolean {
  return hasCode(error, code) || messageOf(error).startsWith(`${code}:`);
}
