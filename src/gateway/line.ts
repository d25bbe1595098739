// A line: the way from a gateway to a node that owns rooms, over a link, or within this node.

import type { Player } from "./player.ts";

/** A place at an owner, as the gateway holds it. */
export interface HeldPlace {
  send(bytes: Uint8Array): void;
  /** The player is gone. */
  leave(code: number): void;
  /** Patches were left out: the full state, please. */
  resync(): void;
}

export interface Line {
  /**
   * Asks for a place for a player, in the room and for the seat that they ask for.
   *
   * @param signal gives the attempt up: the room has turned out to be elsewhere, or the time is over
   * @returns whether the player has a place there now
   */
  open(player: Player, signal: AbortSignal): Promise<boolean>;
}
