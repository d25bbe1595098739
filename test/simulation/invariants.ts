// What must hold in every run, each with a number that failures cite.

export const INVARIANTS = {
  /** One writer an epoch: what is written of a room carries its current epoch, and comes from the node that got that epoch. */
  S1: "a room is written to at its current epoch, by the node that got it",
  /** A room's epochs rise, and none is handed out twice. */
  S2: "epochs rise and are never handed out twice",
  /**
   * No frame leaves a node after its deadline, time in which it was frozen included. The deadline is worked out anew here: a
   * lease less the margin from when the last answered renewal was sent; or, later than that, at most FAILSAFE_MS, with a
   * promise that still holds of every living node that was there when that renewal was sent.
   */
  S3: "no frame leaves after its node's deadline",
  /** Players see nothing of an older activation after the first frame of a newer one. */
  S4: "nothing old reaches a player after something newer",
  /**
   * Nobody speaks for a room that is another's: whoever speaks is, in Postgres and at that moment, the owner at that epoch,
   * and counts. So no two nodes ever speak for one room. (A room that an operator took is told of it a little later.)
   */
  S5: "who speaks for a room owns it",
  /** What a checkpoint held whose save was acknowledged is in every later activation. */
  S6: "acknowledged checkpoints are never lost",
  /** An acknowledged commit is in every later activation, and what it wrote for the author is there exactly once. */
  S7: "acknowledged commits are never lost, and happen once",
  /** Of a commit, the room's change and the author's rows stand together or not at all; of a refused one nothing stands. */
  S8: "commits are whole, and refused ones leave nothing",
  /** A node is marked down only when it is gone or may not act: never while it may still speak. */
  S9: "nobody is marked down who may still speak",
  /** A room is taken only from nobody, or from a node that is down: a node's death moves its rooms, and no others. */
  S10: "a node's death moves only its rooms",
  /** A node that nothing has happened to is not called silent, and its rooms stay. */
  S11: "rooms stay where they are when nothing is wrong",
  /** After Postgres was away for everyone, everyone gets the time to renew before anybody is called silent. */
  S12: "nobody is called silent right after Postgres is back",
  /** No code of the product fails in a way that nobody handles, and no room is locked away. */
  S13: "nothing fails unhandled",
  /** Once all is healed, or but a minority is, every room is owned by a living node and goes on, in a bounded time. */
  L1: "every room runs again in time",
} as const;

export type InvariantId = keyof typeof INVARIANTS;

/** Tells that one does not hold. The run goes on to the end of the event that it happened in. */
export type Fail = (id: InvariantId, what: string) => void;

export interface Breach {
  readonly id: InvariantId;
  readonly what: string;
}
