// The public API: what the author of a game imports.

import type { GameOptions } from "./colyseus/server.ts";

export type { GameOptions };
export type { SavedRecord, SavedRoom } from "./actor/migrate.ts";
export { durableTimers, type DurableTimers, type TimerHandler } from "./actor/durable-timers.ts";
export type { Auth, Login } from "./auth/login.ts";
export { authOf, freshAuth, signedIn } from "./auth/room-auth.ts";
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
 * metadata, lock, privacy, `maxClients`, the room's clock, every seat with its auth, `client.userData` and `client.view` (a
 * returning player sees exactly what they may see; a StateView that the room itself holds is another one, so set it again in
 * `onReconnect`, and so is a `priority` given to `view.subscribe`), and the timers that the room declares with
 * `durableTimers(this, handlers)` in `onCreate`. What does not: fields of the room, fields of its state that are not
 * synchronized (`noSync()`, plain properties), and other timers of its clock (set them in `onCreate`).
 *
 * A room class may change between releases: added fields keep their defaults, removed ones are dropped. For anything else it
 * raises its `static checkpointVersion` and has a method `migrateCheckpoint`: see SavedRoom.
 */
export function defineCluster(game: GameOptions): Cluster {
  return { game };
}
