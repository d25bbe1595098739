// How a room of the chaos run learns its epoch, which the product tells no room: by watching activations being entered.
// It changes nothing; and it is in place before a node starts, because the game is loaded first (src/main.ts).

import type { Room } from "@colyseus/core";
import { RoomTable } from "../../src/actor/room-table.ts";

/** A room that wants to know. Called before any player can hear of it. */
export interface EpochAware {
  onEpoch(epoch: number): void;
}

/** From now on rooms that have an `onEpoch` are told. */
export function watchEpochs(): void {
  const enter = RoomTable.prototype.enter; // oxlint-disable-line typescript/unbound-method -- called with its own `this`
  RoomTable.prototype.enter = function (this: RoomTable, activation) {
    const entered = enter.call(this, activation);
    (activation.room as Room & Partial<EpochAware>).onEpoch?.(activation.epoch);
    return entered;
  };
}
