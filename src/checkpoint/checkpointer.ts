// Saves the rooms that have changed, every `checkpointMs`, off the tick's back.
//
// One pass at a time: it encodes the rooms that are due, a bounded slice of the event loop at a time, and sends them as
// one statement. A room is encoded right before its batch leaves, so while Postgres is slow nothing queues up: the next
// pass takes the rooms as they are then. One room is encoded in one piece, however large: it must be of one moment.

import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Epoch, RoomId } from "../ids.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import { sealBody, worthStandingOn, type Base } from "./base.ts";
import { serializeSnapshot, type Snapshot } from "./snapshot.ts";
import type { Checkpoint, CheckpointStore } from "./store.ts";

/** A batch leaves when it holds this many bytes, however few rooms that is. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/** What the checkpointer needs to know of a room's activation. */
export interface Saveable {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly players: number;
  /** Whether the room runs, rather than being opened, moved or over. */
  readonly isActive: boolean;
  /** Whether it has ended here, by itself or because it went elsewhere. */
  readonly isOver: boolean;
  /** Set from the beginning of a commit until its outcome is known: what may yet be taken back must not be saved by itself. */
  isCommitting: boolean;
  /** The number of the next checkpoint. Every attempt has its own: the outcome of a lost one is never guessed. */
  nextSeq: number;
  /** When the next checkpoint is due, by the monotonic clock, if there are changes. */
  nextDueMs: number;
  /** When to look next for changes that nobody announced. */
  nextLookMs: number;
  /** Where in the interval this room's turn is, from 0 to 1, so that rooms restored together are not saved together. */
  readonly turn: number;
  /** Since when there are changes that no checkpoint holds; undefined when there are none. */
  unsavedSinceMs: number | undefined;
  /** Since when there are changes that only a checkpoint on its way to Postgres holds; undefined when none is. */
  savingSinceMs: number | undefined;
  /** The newest checkpoint that Postgres has, when it took it by the monotonic clock, and its size. */
  saved: { readonly seq: number; readonly atMs: number; readonly bytes: number } | undefined;
  /** The newest whole checkpoint of this activation that Postgres has. */
  base: Base | undefined;
  /** Whether it was last found larger than half of what is allowed. */
  isLarge: boolean;
  /** Finds changes that nobody announced, and sets `unsavedSinceMs` if there are any. */
  findChanges(nowMs: number): void;
  capture(): Snapshot;
}

export interface CheckpointerParts<Room extends Saveable> {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly store: CheckpointStore;
  readonly activations: () => Iterable<Room>;
  /** Whether this node may act as an owner; without the lease a save would only be refused. */
  readonly mayAct: () => boolean;
  /** A save was refused: another node owns the room. */
  readonly onRefused: (activation: Room) => void;
}

/** A room as it was at one moment, on its way to Postgres. */
export interface Taken<Room extends Saveable> {
  readonly activation: Room;
  readonly checkpoint: Checkpoint;
  /** What `unsavedSinceMs` was, to be put back if the save fails. */
  readonly unsavedSinceMs: number;
  /** What it will be for others once it is saved. */
  readonly base: Base | undefined;
}

export class Checkpointer<Room extends Saveable> {
  readonly #parts: CheckpointerParts<Room>;
  readonly #stopping = new AbortController();
  readonly #passEveryMs: number;
  #loop: Promise<void> | undefined;
  /** The bodies that are held for others to stand on, as of the last pass's beginning and what has come since. */
  #basesBytes = 0;

  constructor(parts: CheckpointerParts<Room>) {
    this.#parts = parts;
    this.#passEveryMs = Math.max(10, Math.min(100, parts.config.checkpointMs / 10));
  }

  start(): void {
    const { clock } = this.#parts;
    // A pass reports its own failures; what arrives here is a bug, and bugs are not swallowed.
    this.#loop = repeat(
      clock,
      this.#passEveryMs,
      this.#stopping.signal,
      () => this.#pass(),
      (error) => {
        process.nextTick(() => {
          throw error;
        });
      },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /**
   * Saves one room now, whether or not it is due.
   *
   * @returns false when a newer activation exists
   * @throws when Postgres could not be reached in time, or the room is too large; its last checkpoint stands
   */
  async saveNow(activation: Room): Promise<boolean> {
    for (;;) {
      const taken = this.take(activation);
      try {
        const saved = await this.#parts.store.save([taken.checkpoint]);
        if (!saved.baseless.has(taken.checkpoint)) return this.settle(taken, saved.has(taken.checkpoint));
        this.putBack(taken, { isBaseGone: true });
      } catch (error) {
        this.putBack(taken);
        throw error;
      }
    }
  }

  async #pass(): Promise<void> {
    const { clock, config } = this.#parts;
    if (!this.#parts.mayAct()) return;
    let batch: Taken<Room>[] = [];
    let bytes = 0;
    // At once, and before any of them gets a new one: what is held meanwhile is added to this.
    this.#basesBytes = 0;
    for (const { base } of this.#parts.activations()) this.#basesBytes += base?.body?.length ?? 0;
    let nowMs = clock.monotonicMs();
    let sliceEndsMs = nowMs + config.encodeSliceMs;
    for (const activation of this.#parts.activations()) {
      // Most rooms are neither due nor to be looked at, and most passes find that out for most of them.
      // What falls due before the next pass is taken in this one: a room is saved a little early, and never late.
      if (!isToBeSeen(activation, nowMs + this.#passEveryMs)) continue;
      const taken = this.#takeIfChanged(activation, nowMs);
      nowMs = clock.monotonicMs();
      if (nowMs > sliceEndsMs) {
        await new Promise(setImmediate); // the rooms' turn
        nowMs = clock.monotonicMs();
        sliceEndsMs = nowMs + config.encodeSliceMs;
      }
      if (taken === undefined) continue;
      batch.push(taken);
      bytes += taken.checkpoint.bytes.length;
      if (batch.length < config.checkpointBatchMax && bytes < BATCH_BYTES_MAX) continue;
      await this.#send(batch);
      batch = [];
      bytes = 0;
      nowMs = clock.monotonicMs();
    }
    if (batch.length > 0) await this.#send(batch);
  }

  /**
   * Saves a room whose turn has gone by while it was committing. Between two commits, for one that has them without a pause:
   * those that are refused save nothing, and no pass takes it meanwhile. Never rejects.
   */
  async saveIfOverdue(activation: Room): Promise<void> {
    const { clock, config } = this.#parts;
    const nowMs = clock.monotonicMs();
    const { isActive, nextDueMs, unsavedSinceMs = nowMs } = activation;
    const isOverdue = nowMs - unsavedSinceMs >= config.checkpointMs && nowMs >= nextDueMs;
    if (!isOverdue || !isActive || !this.#parts.mayAct()) return;
    const taken = this.#takeIfChanged(activation, nowMs);
    if (taken !== undefined) await this.#send([taken]);
  }

  #takeIfChanged(activation: Room, nowMs: number): Taken<Room> | undefined {
    const { config, events } = this.#parts;
    const dueAfter = (dueMs: number): number =>
      nextDue(Math.max(nowMs, dueMs), config.checkpointMs, activation.turn);
    try {
      if (activation.unsavedSinceMs === undefined) {
        activation.nextLookMs = dueAfter(activation.nextLookMs);
        activation.findChanges(nowMs);
        if (activation.unsavedSinceMs === undefined) return undefined;
      }
      activation.nextDueMs = dueAfter(activation.nextDueMs);
      return this.take(activation);
    } catch (error) {
      // Too large, or the author's onCacheRoom threw. The last checkpoint stands; the room is tried again in its next turn.
      const { roomId, epoch } = activation;
      events.emit("room:threw", { roomId, epoch, where: "checkpoint", error: messageOf(error), times: 1 });
      return undefined;
    }
  }

  /**
   * Captures a room and seals it, for the caller to save; exactly one of `settle` and `putBack` must follow.
   *
   * @throws RingsideError ROOM_TOO_LARGE, or INTERNAL when something in it cannot be saved; nothing has changed
   */
  take(activation: Room): Taken<Room> {
    const { config, clock } = this.#parts;
    const { roomId, epoch, players } = activation;
    const snapshot = activation.capture();
    const body = serializeSnapshot(snapshot, config.checkpointBytesMax);
    const nowMs = clock.monotonicMs();
    const sealed = sealBody(body, activation.base, nowMs, config.historyEveryMs);
    this.#warnIfLarge(activation, body.length);
    const unsavedSinceMs = activation.unsavedSinceMs ?? nowMs;
    activation.unsavedSinceMs = undefined;
    activation.savingSinceMs = Math.min(unsavedSinceMs, activation.savingSinceMs ?? unsavedSinceMs);
    const seq = activation.nextSeq++;
    const { classVersion } = snapshot;
    const checkpoint = { roomId, epoch, seq, ...sealed, bodyBytes: body.length, players, classVersion };
    const storedBytes = sealed.bytes.length;
    const base = sealed.isKept
      ? { seq, madeAtMs: nowMs, storedBytes, body: worthStandingOn(body) }
      : undefined;
    return { activation, checkpoint, unsavedSinceMs, base };
  }

  /** Said once, while there is time: past the limit a room keeps its last checkpoint and loses more with every second. */
  #warnIfLarge(activation: Room, bytes: number): void {
    const bytesMax = this.#parts.config.checkpointBytesMax;
    const isLarge = bytes * 2 > bytesMax;
    const { roomId, epoch } = activation;
    if (isLarge && !activation.isLarge) {
      this.#parts.events.emit("checkpoint:grew-large", { roomId, epoch, bytes, bytesMax });
    }
    activation.isLarge = isLarge;
  }

  async #send(batch: readonly Taken<Room>[]): Promise<void> {
    const { clock, events, store } = this.#parts;
    const startedMs = clock.monotonicMs();
    try {
      const saved = await store.save(batch.map(({ checkpoint }) => checkpoint));
      for (const taken of batch) {
        if (saved.baseless.has(taken.checkpoint)) this.putBack(taken, { isBaseGone: true });
        else this.settle(taken, saved.has(taken.checkpoint));
      }
      const bytes = batch.reduce((sum, { checkpoint }) => sum + checkpoint.bytes.length, 0);
      events.emit("checkpoint:saved", {
        rooms: saved.size,
        bytes,
        saveMs: Math.round(clock.monotonicMs() - startedMs),
      });
    } catch (error) {
      for (const taken of batch) this.putBack(taken);
      events.emit("checkpoint:failed", { rooms: batch.length, error: messageOf(error) });
    }
  }

  /** Postgres has taken it, or has refused it because another node owns the room. @returns `wasSaved` */
  settle({ activation, checkpoint, base }: Taken<Room>, wasSaved: boolean): boolean {
    const { config, clock, events } = this.#parts;
    const { seq, bodyBytes } = checkpoint;
    // Two may be under way, a pass's and a commit's, and end in any order: the newer one counts.
    if (isNewest(activation, seq)) activation.savingSinceMs = undefined;
    if (wasSaved) {
      if (seq > (activation.saved?.seq ?? 0)) {
        activation.saved = { seq, atMs: clock.monotonicMs(), bytes: bodyBytes };
      }
      if (base !== undefined && seq > (activation.base?.seq ?? 0)) {
        this.#hold(activation, base, config.checkpointBasesBytesMax);
      }
    } else if (!activation.isOver) {
      // Of a room that ended while this was on its way nothing is to be saved any more.
      const { roomId, epoch } = activation;
      events.emit("checkpoint:refused", { roomId, epoch });
      this.#parts.onRefused(activation);
    }
    return wasSaved;
  }

  /** Others may stand on this one from now on. Where memory is short they are whole until the next pass has counted. */
  #hold(activation: Room, base: Base, bytesMax: number): void {
    const bytes = base.body?.length ?? 0;
    this.#basesBytes -= activation.base?.body?.length ?? 0;
    if (this.#basesBytes + bytes > bytesMax) base.body = undefined;
    else this.#basesBytes += bytes;
    activation.base = base;
  }

  /**
   * It was not saved, or may not have been: what it held is still to be saved.
   *
   * @param isBaseGone whether Postgres does not have what it stood on: the next one is whole
   */
  putBack({ activation, checkpoint, unsavedSinceMs }: Taken<Room>, { isBaseGone = false } = {}): void {
    if (isNewest(activation, checkpoint.seq)) activation.savingSinceMs = undefined;
    if (isBaseGone) {
      // Another one may have been saved since.
      if (activation.base?.seq === checkpoint.baseSeq) activation.base = undefined;
      activation.nextDueMs = 0; // at once: nothing of it is safe
    }
    activation.unsavedSinceMs = Math.min(unsavedSinceMs, activation.unsavedSinceMs ?? unsavedSinceMs);
  }
}

/** Whether nothing of the room was taken after this one. */
function isNewest(activation: Saveable, seq: number): boolean {
  return seq === activation.nextSeq - 1;
}

/** Whether a room has announced changes and is due, or has not and is to be looked at. */
function isToBeSeen(activation: Saveable, nowMs: number): boolean {
  if (!activation.isActive || activation.isCommitting || nowMs < activation.nextDueMs) return false;
  return activation.unsavedSinceMs !== undefined || nowMs >= activation.nextLookMs;
}

/** The next time after `nowMs` at which a room has its turn: at most `everyMs` away. */
export function nextDue(nowMs: number, everyMs: number, turn: number): number {
  // A turn that a room has had is not its next one by a rounding error.
  const turns = Math.floor(nowMs / everyMs - turn + 1e-6);
  return (turns + 1 + turn) * everyMs;
}
