// `commit`, as rooms call it. A room knows nothing of the node that it is on; this finds its way there.

import type { Room } from "@colyseus/core";

import { ERRORS, RingsideError } from "../errors.ts";
import type { CommitWork } from "./committer.ts";

/** What a node does for the commits of one of its rooms. */
export interface CommitsOfRoom {
  commit<Result>(work: CommitWork<Result>): Promise<Result>;
  /** Nobody waits for a commit that has ended. */
  onUnheard(): void;
}

const NOT_YET = "or its onCreate has not ended yet";

const byRoom = new WeakMap<Room, CommitsOfRoom>();

/** From now on the room's commits go to this node's. */
export function attachCommits(room: Room, commits: CommitsOfRoom): void {
  byRoom.set(room, commits);
}

/**
 * Saves the room together with SQL of your own, in one transaction: either all of it is durable when this resolves, and no
 * crash can lose or undo it, or nothing was written.
 *
 * The callback changes the room's memory and adds statements; the checkpoint is taken in the moment it ends. Commits of one
 * room run one after the other, in the order of the calls; the room's ticks and messages go on meanwhile.
 *
 * If nothing was written the room's memory stays as the callback left it, but for what it gave to `tx.undo`.
 *
 * @example
 * await commit(this, (tx) => {
 *   player.coins -= price;
 *   tx.undo(() => { player.coins += price; });
 *   tx.run("INSERT INTO ledger (player_id, item, price) VALUES ($1, $2, $3)", [player.id, item, price]);
 *   tx.after(() => this.broadcast("bought", { item }));
 * });
 *
 * @returns what the callback gave
 * @throws what the callback throws; RingsideError with `code`, and `facts` that say more than its message, which players may hear: NO_CLUSTER on a plain Colyseus server, COMMIT_REFUSED (Postgres or `expect` said no), STALE_EPOCH,
 *   LEASE_LOST, ROOM_MOVING, ROOM_TOO_LARGE, POSTGRES_UNREACHABLE, TOO_MANY: nothing was written.
 *   COMMIT_UNKNOWN after `COMMIT_MS`: the connection broke in the middle of it; the outcome is found out as soon as Postgres
 *   answers, and `tx.undo` or `tx.after` called then (neither, if the room is another node's by then). Until that, neither
 *   this room's checkpoints nor its commits go on
 */
export function commit<Result>(room: Room, work: CommitWork<Result>): Promise<Result> {
  const commits = byRoom.get(room);
  if (commits === undefined) {
    const refused = Promise.reject(
      new RingsideError("NO_CLUSTER", { roomName: room.roomName, hint: NOT_YET }),
    );
    refused.catch(() => {}); // one that nobody awaits must not end a plain Colyseus server
    return refused;
  }
  const promise = Heard.around(commits.commit(work));
  const looked = (): void => {
    // Whoever awaits it has said so by now: a turn of the event loop has gone by since it was made, at the least.
    if (!promise.isHeard) commits.onUnheard();
  };
  promise.whenSettled(looked);
  return promise;
}

/**
 * An author's handler or hook that lets it pass tells the player its message: what Postgres said of their tables is no part of
 * that. It stays in `facts`, and in the stack, which logs have.
 */
function forAnybody(error: unknown): unknown {
  if (error instanceof RingsideError) error.message = `${error.code}: ${ERRORS[error.code].text}`;
  return error;
}

/** A promise that knows whether anybody has asked for its result. */
class Heard<Result> extends Promise<Result> {
  isHeard = false;

  static around<Result>(inner: Promise<Result>): Heard<Result> {
    return new Heard<Result>(
      (resolve, reject) => void inner.then(resolve, (error: unknown) => reject(forAnybody(error))),
    );
  }

  // What `then` makes of it is an ordinary promise.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise, and listens to who asks
  override then<Then = Result, Else = never>(
    onResolved?: ((value: Result) => Then | PromiseLike<Then>) | null,
    onRejected?: ((reason: unknown) => Else | PromiseLike<Else>) | null,
  ): Promise<Then | Else> {
    this.isHeard = true;
    return super.then(onResolved, onRejected);
  }

  /** Not counted as asking. A failure that nobody hears is reported by `step`, and not as an unhandled rejection. */
  whenSettled(step: () => void): void {
    void super.then(step, step);
  }
}
