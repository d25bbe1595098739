// A line: the way from a gateway to a node that owns rooms, over a link, or within this node.

import type { Player } from "./player.ts";

export interface Line {
  /**
   * Asks for a place for a player, in the room and for the seat that they ask for.
   *
   * @param signal gives the attempt up: the room has turned out to be elsewhere, or the time is over
   * @returns whether the player has a place there now
   */
  open(player: Player, signal: AbortSignal): Promise<boolean>;
}
