// Commits of this node's rooms: one at a time for each room, in the order they were asked for, many rooms at once.
//
// A room's turn: its callback runs, and in the moment it has ended the room is captured, so that the checkpoint holds what
// the callback did and nothing of the commits that wait. From the callback's beginning until the outcome is known no other
// checkpoint of the room is saved: a change that may yet be taken back must not become durable by itself.
//
// An outcome that got lost is found out, never guessed. While it is unknown the room plays on, unsaved.

import { AsyncLocalStorage } from "node:async_hooks";

import type { Checkpointer, Saveable } from "../checkpoint/checkpointer.ts";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Clock } from "../runtime/clock.ts";
import { unreachable } from "../runtime/unreachable.ts";
import type { CommitStore } from "./commit-store.ts";
import type { Outcome } from "./outcome.ts";
import { isPromise } from "./promise.ts";
import { Transaction, type CommitTx, type OwnTransaction, type Unit } from "./transaction.ts";

/** Commits of one room that may wait for their turn. */
const WAITING_MAX = 1_000;
/** How long between two attempts to learn of an outcome that got lost, in ms. */
const FIND_AGAIN_MS = 250;

/** What a committer needs to know of a room's activation. */
export interface Committable extends Saveable {
  /** Whether commits may begin: it runs, or has just been disposed and is still this node's. */
  readonly mayCommit: boolean;
  /** Whether it has ended here for good: the room, if there is one, is another node's. */
  readonly isGone: boolean;
}

export interface CommitterParts<Room extends Committable> {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly checkpointer: Checkpointer<Room>;
  readonly store: CommitStore;
  readonly lease: { readonly isHeld: boolean };
}

/** The author's part of a commit. */
export type CommitWork<Result> = (tx: CommitTx) => Result | Promise<Result>;

/** A commit that has been asked for. */
interface Turn<Result> {
  readonly work: CommitWork<Result>;
  /** Where it is, and so what its deadline means. */
  phase: "waiting" | "inside" | "sent";
  isLate: boolean;
  /** Rejects at the deadline. */
  readonly late: PromiseWithResolvers<never>;
  readonly told: PromiseWithResolvers<Result>;
}

interface Queue {
  readonly waiting: Turn<unknown>[];
  /** Set while one is under way. */
  idle: Promise<void> | undefined;
}

export class Committer<Room extends Committable> {
  readonly #parts: CommitterParts<Room>;
  readonly #queues = new WeakMap<Room, Queue>();
  /** In which commit's callback the running code is. */
  readonly #inside = new AsyncLocalStorage<{ readonly room: Room; readonly tx: Transaction }>();

  constructor(parts: CommitterParts<Room>) {
    this.#parts = parts;
  }

  /**
   * Commits the room and what `work` adds, together.
   *
   * @returns what `work` gave, once it cannot be lost any more
   * @throws what `work` throws; RingsideError COMMIT_REFUSED, STALE_EPOCH, LEASE_LOST, ROOM_MOVING, ROOM_TOO_LARGE,
   *   POSTGRES_UNREACHABLE or TOO_MANY: nothing was written, and the steps given to `tx.undo` have been called;
   *   COMMIT_UNKNOWN: it will turn out, and `tx.undo` or `tx.after` be called then. Neither is when it never turns out here,
   *   because the room is another node's by then
   */
  commit<Result>(room: Room, work: CommitWork<Result>): Promise<Result> {
    const inside = this.#inside.getStore();
    if (inside?.room === room && !inside.tx.isOver) {
      const why =
        "inside the callback of another commit of this room, which it would wait for: use that one's tx";
      return Promise.reject(new RingsideError("COMMIT_REFUSED", { roomId: room.roomId, why }));
    }
    const queue = this.#queueOf(room);
    if (queue.waiting.length >= WAITING_MAX) {
      return Promise.reject(new RingsideError("TOO_MANY", { roomId: room.roomId, waiting: WAITING_MAX }));
    }
    const turn: Turn<Result> = {
      work,
      phase: "waiting",
      isLate: false,
      late: Promise.withResolvers<never>(),
      told: Promise.withResolvers<Result>(),
    };
    turn.late.promise.catch(() => {}); // looked at by whoever is waiting, if anybody is
    const entry = turn as unknown as Turn<unknown>; // what its work gives goes nowhere but to its own caller
    const { clock, config } = this.#parts;
    const cancel = clock.after(config.commitMs, () => this.#onDeadline(room, queue, entry));
    turn.told.promise.then(cancel, cancel);
    queue.waiting.push(entry);
    if (queue.idle === undefined) {
      // Known to be under way before the callback runs: what that asks for must queue up behind it.
      const { promise, resolve } = Promise.withResolvers<void>();
      queue.idle = promise;
      void this.#drain(room, queue).finally(resolve);
    }
    return turn.told.promise;
  }

  /** Resolves when no commit of the room is under way or waits: at once, if there is none. */
  async idle(room: Room): Promise<void> {
    await this.#queues.get(room)?.idle;
  }

  #queueOf(room: Room): Queue {
    let queue = this.#queues.get(room);
    if (queue === undefined) {
      queue = { waiting: [], idle: undefined };
      this.#queues.set(room, queue);
    }
    return queue;
  }

  async #drain(room: Room, queue: Queue): Promise<void> {
    try {
      for (let next = queue.waiting.shift(); next !== undefined; next = queue.waiting.shift()) {
        room.isCommitting = true;
        await this.#run(room, next);
        // What the author does when told comes first: an undo in a `catch` belongs to the commit that failed.
        await new Promise(setImmediate);
        if (queue.waiting.length > 0) await this.#parts.checkpointer.saveIfOverdue(room);
      }
    } finally {
      room.isCommitting = false;
      queue.idle = undefined;
    }
  }

  #onDeadline({ roomId }: Room, { waiting }: Queue, turn: Turn<unknown>): void {
    const { commitMs } = this.#parts.config;
    turn.isLate = true;
    switch (turn.phase) {
      case "waiting": {
        const why = "the commits before it did not end in time";
        waiting.splice(waiting.indexOf(turn), 1);
        turn.told.reject(new RingsideError("POSTGRES_UNREACHABLE", { roomId, why, commitMs }));
        return;
      }
      case "inside": {
        const why = "its callback did not end in time";
        turn.late.reject(new RingsideError("POSTGRES_UNREACHABLE", { roomId, why, commitMs }));
        return;
      }
      case "sent":
        turn.told.reject(new RingsideError("COMMIT_UNKNOWN", { roomId, commitMs }));
        return;
      default:
        unreachable(turn.phase);
    }
  }

  /** Over only when the outcome is known, or is nobody's to know any more. Does not reject. */
  async #run(room: Room, turn: Turn<unknown>): Promise<void> {
    const { checkpointer, store } = this.#parts;
    const { late, told } = turn;
    turn.phase = "inside";
    const tx = new Transaction(() => store.open());
    const giveUp = (error: unknown): void => {
      this.#report(room, tx.takeBack());
      room.unsavedSinceMs ??= this.#parts.clock.monotonicMs();
      told.reject(error);
    };
    let result: unknown;
    let unit: Awaited<ReturnType<Transaction["close"]>>;
    let taken: ReturnType<Checkpointer<Room>["take"]>;
    try {
      this.#refuseUnlessMay(room);
      const given = this.#inside.run({ room, tx }, () => turn.work(tx));
      result = isPromise(given) ? await Promise.race([given, late.promise]) : given;
      unit = await Promise.race([tx.close(), late.promise]);
      this.#refuseUnlessMay(room);
      if (turn.isLate) await late.promise; // it throws
      // From here to the statement's departure without a pause: the checkpoint is of this moment.
      taken = checkpointer.take(room);
    } catch (error) {
      giveUp(error);
      return;
    }
    turn.phase = "sent";
    const { checkpoint } = taken;
    let outcome = await this.#send({ statements: unit.statements, checkpoint }, unit.own);
    if (outcome.kind === "unknown") outcome = await this.#findOut(room, checkpoint.seq, outcome.error);
    switch (outcome.kind) {
      case "committed":
        checkpointer.settle(taken, true);
        this.#report(room, tx.finish());
        told.resolve(result);
        return;
      case "stale":
        checkpointer.settle(taken, false);
        giveUp(new RingsideError("STALE_EPOCH", { roomId: room.roomId, epoch: room.epoch }));
        return;
      case "baseless": {
        checkpointer.putBack(taken, { isBaseGone: true });
        const why = "this Postgres lacks an earlier checkpoint of the room; the next commit does without it";
        giveUp(new RingsideError("POSTGRES_UNREACHABLE", { roomId: room.roomId, why }));
        return;
      }
      case "refused":
        checkpointer.putBack(taken);
        giveUp(outcome.error);
        return;
      case "unknown":
        // The room is another's now, and so is the truth: neither undone nor done, here.
        if (!room.isGone) checkpointer.settle(taken, false);
        told.reject(new RingsideError("COMMIT_UNKNOWN", { roomId: room.roomId }, outcome.error));
        return;
      default:
        unreachable(outcome);
    }
  }

  async #send(unit: Unit, own: OwnTransaction | undefined): Promise<Outcome> {
    try {
      return own === undefined ? await this.#parts.store.commit(unit) : await own.commit(unit);
    } catch (error) {
      return { kind: "refused", error: error as RingsideError }; // TOO_MANY: nothing else is thrown
    }
  }

  /** Asks Postgres until it answers, however long that takes. */
  async #findOut(room: Room, seq: number, cause: unknown): Promise<Outcome> {
    const { clock, events, store } = this.#parts;
    const { roomId, epoch } = room;
    events.emit("commit:doubted", { roomId, epoch, seq, error: messageOf(cause) });
    while (!room.isGone) {
      try {
        const found = await store.find(roomId, epoch, seq);
        if (found === undefined) break;
        events.emit("commit:settled", { roomId, epoch, seq, isCommitted: found });
        if (found) return { kind: "committed" };
        const error = new RingsideError("POSTGRES_UNREACHABLE", { why: messageOf(cause) }, cause);
        return { kind: "refused", error };
      } catch {
        // Postgres is away, which the heartbeat says.
      }
      await clock.sleep(FIND_AGAIN_MS);
    }
    return { kind: "unknown", error: cause };
  }

  #refuseUnlessMay(room: Room): void {
    const { roomId } = room;
    if (!room.mayCommit) throw new RingsideError("ROOM_MOVING", { roomId });
    if (!this.#parts.lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId });
  }

  #report(room: Room, thrown: readonly unknown[]): void {
    const { roomId, epoch } = room;
    for (const error of thrown) {
      this.#parts.events.emit("room:threw", {
        roomId,
        epoch,
        where: "commit",
        error: messageOf(error),
        times: 1,
      });
    }
  }
}
