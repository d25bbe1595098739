// The public API: what the author of a game imports.

import type { GameOptions } from "./colyseus/server.ts";

export type { GameOptions };
export type { SavedRecord, SavedRoom } from "./actor/migrate.ts";
export { durableTimers, type DurableTimers, type TimerHandler } from "./actor/durable-timers.ts";
export { command, type CommandOptions } from "./commit/command.ts";
export { commit } from "./commit/commit.ts";
export type { CommitTx } from "./commit/transaction.ts";
export { RingsideError, ERRORS, type ErrorCode } from "./errors.ts";

/** A game, ready to be run by as many nodes as there are. */
export interface Cluster {
  readonly game: GameOptions;
}

/**
 * Describes a game. Takes what Colyseus's `defineServer` takes (rooms, routes, express, beforeListen, auth, database),
 * except for what a cluster brings itself: transport, presence, driver, shutdown and the choice of a process for a room.
 * Nothing starts here: `src/main.ts` runs it.
 *
 * Room classes need no other base class and no edits. What survives a node's death: the Schema state, what
 * `onCacheRoom()` returns (given back to `onRestoreRoom(saved)` after `onCreate` has run again with its first options),
 * metadata, lock, privacy, `maxClients`, the room's clock, every seat with its auth, `client.userData`, and the timers that
 * the room declares with `durableTimers(this, handlers)` in `onCreate`. What does not: fields of the room or of its state
 * that are none of these, other timers of its clock (set them in `onCreate`), and `client.view`.
 *
 * A room class may change between releases: added fields keep their defaults, removed ones are dropped. For anything else it
 * raises its `static checkpointVersion` and has a method `migrateCheckpoint`: see SavedRoom.
 */
export function defineCluster(game: GameOptions): Cluster {
  return { game };
}
