// What is on its way to one player. Who reads slowly costs nobody else anything: patches are left out and made up for with one
// full state, what waits for them has a bound, and who does not catch up in time is cut off, to come back by the SDK's own
// retry.

import type { Duplex } from "node:stream";
import type { Config } from "../config.ts";
import type { Clock } from "../runtime/clock.ts";

/** Bytes that may wait for a player before patches are left out, beyond a full state on its way. */
const BEHIND_BYTES = 64 * 1024;
/** A player who falls behind again and again costs one full state in this time. */
const RESYNC_EVERY_MS = 1_000;

export interface OutboxParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly socket: Duplex;
  /** Patches were left out and the player reads again: the full state, please. */
  readonly onCaughtUp: () => void;
  /** The player must go. */
  readonly onCutOff: (why: string) => void;
}

/**
 * Takes whole WebSocket frames, of which the same may go to many players. Whoever has a patch for many gives it to their
 * outboxes and leaves the players alone: of thousands, none is in the processor's cache when it is their turn, and each object
 * that is looked at on the way to the socket is waited for.
 */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #socket: Duplex;
  /** Patches are being left out. */
  #isBehind = false;
  /** What was on its way with the last full state, that state with it, until all of it is read. */
  #stateBytes = 0;
  #resyncedAtMs = Number.NEGATIVE_INFINITY;
  #cancelDeadline = (): void => {};
  #isOver = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#socket = parts.socket;
    parts.socket.on("drain", () => this.#drained());
  }

  /** Whether what waits for the player is more than a reader has waiting. */
  get isFull(): boolean {
    return this.#socket.writableLength > BEHIND_BYTES;
  }

  patch(framed: Buffer): void {
    this.#write(framed, true);
  }

  fullState(framed: Buffer): void {
    this.#isBehind = false;
    this.#stateBytes = this.#socket.writableLength + framed.length;
    this.#write(framed, false);
  }

  message(framed: Buffer): void {
    this.#write(framed, false);
  }

  /** The connection ends: nothing follows what was said last. */
  stop(): void {
    this.#isOver = true;
    this.#cancelDeadline();
  }

  #write(framed: Buffer, mayBeLeftOut: boolean): void {
    if (this.#isOver || !this.#socket.writable) return;
    const queued = this.#socket.writableLength;
    // Nearly always. One message may be larger than the bound, or nobody could join a room with a large state.
    if (queued === 0 && !this.#isBehind) {
      this.#socket.write(framed);
      return;
    }
    const bytesMax = this.#stateBytes + this.#parts.config.playerBytesMax;
    const isTooMuch = queued > 0 && queued + framed.length > bytesMax;
    // A patch is never a reason to cut anybody off.
    if (queued > this.#stateBytes + BEHIND_BYTES || (mayBeLeftOut && isTooMuch)) this.#fallBehind();
    if (mayBeLeftOut && this.#isBehind) return;
    if (isTooMuch) {
      this.#parts.onCutOff("too much waits for a slow reader");
      return;
    }
    this.#socket.write(framed);
  }

  #fallBehind(): void {
    if (this.#isBehind) return;
    this.#isBehind = true;
    this.#cancelDeadline();
    this.#cancelDeadline = this.#parts.clock.after(this.#parts.config.playerBehindMs, () => {
      // After a pause of this process the timers come first; what the socket has done meanwhile comes next.
      setImmediate(() => {
        if (this.#isBehind && this.#socket.writableLength > 0) {
          this.#parts.onCutOff("did not catch up in time");
        }
      });
    });
  }

  /** The player has read all that waited. */
  #drained(): void {
    this.#stateBytes = 0;
    this.#cancelDeadline();
    if (!this.#isBehind) return;
    const { clock, onCaughtUp } = this.#parts;
    const soonestMs = this.#resyncedAtMs + RESYNC_EVERY_MS;
    this.#cancelDeadline = clock.after(Math.max(0, soonestMs - clock.monotonicMs()), () => {
      this.#resyncedAtMs = clock.monotonicMs();
      onCaughtUp();
    });
  }
}
