// The public API: what the author of a game imports.

import type { GameOptions } from "./colyseus/server.ts";

export type { GameOptions };
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
 * metadata, lock, privacy, `maxClients`, the room's clock, every seat with its auth, and `client.userData`. What does not:
 * fields of the room or of its state that are none of these, timers (set them in `onCreate`), and `client.view`.
 */
export function defineCluster(game: GameOptions): Cluster {
  return { game };
}
