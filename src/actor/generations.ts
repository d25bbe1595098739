// The generations of a room's checkpoints, the newest first: one after the other until one can be read and fits. Those that
// cannot, or do not, are told of and kept, with the reason, for whoever comes to look.
//
// Several may stand on one whole checkpoint, and be lost with it: all that are make one generation, so that damage to one
// row does not end a room that has others.
//
// The room's history, older than its last generations, is not among them. Its first checkpoints hold next to nothing and so
// fit any class: a release whose class is wrong would have the room all but start anew. That is for an operator to choose.

import { needsBase, openFrame } from "../checkpoint/frame.ts";
import { decodeSnapshot, type Snapshot } from "../checkpoint/snapshot.ts";
import type { Config } from "../config.ts";
import { hasCode, messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { ClaimedRoom, Directory, StoredCheckpoint } from "../ownership/directory.ts";
import type { Clock } from "../runtime/clock.ts";
import { within } from "./deadline.ts";

/** What an opening waits at most for the mark on a checkpoint that could not be read, in ms. */
const KEEP_MS = 1_000;

export interface GenerationsParts {
  readonly config: Pick<Config, "checkpointGenerations">;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly directory: Pick<Directory, "readOlder" | "keepUnreadable">;
}

/** A checkpoint that was read. Both are undefined when the room was never saved. */
export interface Readable {
  readonly checkpoint: StoredCheckpoint | undefined;
  readonly snapshot: Snapshot | undefined;
  /** The number of the newest checkpoint that is stored, be it readable or not; 0 when there is none. */
  readonly newestSeq: number;
}

interface Lost {
  readonly base: Uint8Array | undefined;
}

export class Generations {
  readonly #claimed: ClaimedRoom;
  readonly #parts: GenerationsParts;
  #at: StoredCheckpoint | undefined;
  /** How many generations were tried. */
  #given = 0;
  /** A whole checkpoint that is damaged, or undefined where it is missing: the last one that others could not be read for. */
  #lost: Lost | undefined;
  #failure: RingsideError | undefined;

  constructor(claimed: ClaimedRoom, parts: GenerationsParts) {
    this.#claimed = claimed;
    this.#parts = parts;
  }

  /**
   * The newest generation that can be read and was not given yet.
   *
   * @throws RingsideError SNAPSHOT_UNREADABLE when there is none left: the room must not start empty. Why the oldest one
   * was of no use
   */
  async next(): Promise<Readable> {
    const { roomId, checkpoint: newest } = this.#claimed;
    if (newest === undefined) return { checkpoint: undefined, snapshot: undefined, newestSeq: 0 };
    const { config, directory } = this.#parts;
    for (;;) {
      const checkpoint = this.#at === undefined ? newest : await directory.readOlder(roomId, this.#at.seq);
      // Counted, not reckoned from seq: attempts to save that failed have left gaps.
      if (checkpoint === undefined || this.#given === config.checkpointGenerations) {
        throw this.#failure ?? new RingsideError("INTERNAL", { roomId, why: "nothing was refused" });
      }
      this.#at = checkpoint;
      const lost = lostBaseOf(checkpoint);
      if (!this.#isLostAlready(checkpoint, lost)) this.#given += 1;
      this.#lost = lost ?? this.#lost;
      try {
        return {
          checkpoint,
          snapshot: decodeSnapshot(checkpoint.bytes, checkpoint.base),
          newestSeq: newest.seq,
        };
      } catch (error) {
        if (!hasCode(error, "SNAPSHOT_UNREADABLE")) throw error;
        await this.refuse(error);
      }
    }
  }

  /** Whether it is lost by the damage that the one before it was lost by. */
  #isLostAlready({ bytes }: StoredCheckpoint, lost: Lost | undefined): boolean {
    if (this.#lost === undefined) return false;
    const one = this.#lost.base;
    const other = lost === undefined ? bytes : lost.base;
    return one === undefined || other === undefined ? one === other : Buffer.compare(one, other) === 0;
  }

  /** The generation that `next` gave last is of no use. */
  async refuse(why: RingsideError): Promise<void> {
    if (this.#at === undefined) throw why; // never: what was not saved is not read
    const { events } = this.#parts;
    const { roomId, epoch } = this.#claimed;
    const { seq } = this.#at;
    this.#failure = why;
    events.emit("room:unreadable", { roomId, epoch, seq, error: messageOf(why) });
    await this.#keep(seq, messageOf(why)).catch((error: unknown) => {
      // The room comes first. Unmarked, the checkpoint is pruned like any other, some generations later.
      events.emit("room:threw", {
        roomId,
        epoch,
        where: "keepUnreadable",
        error: messageOf(error),
        times: 1,
      });
    });
  }

  #keep(seq: number, reason: string): Promise<unknown> {
    const { clock, directory } = this.#parts;
    const { roomId, epoch } = this.#claimed;
    const late = (): Error => new RingsideError("POSTGRES_UNREACHABLE", { roomId, waitedMs: KEEP_MS });
    return within(clock, KEEP_MS, directory.keepUnreadable(roomId, epoch, seq, reason), late);
  }
}

/** The whole checkpoint that one stands on, if that is what it cannot be read for. */
function lostBaseOf({ bytes, base }: StoredCheckpoint): Lost | undefined {
  if (!needsBase(bytes)) return undefined;
  try {
    if (base !== undefined) openFrame(base);
    return base === undefined ? { base } : undefined;
  } catch {
    return { base }; // why is told when it is tried
  }
}
