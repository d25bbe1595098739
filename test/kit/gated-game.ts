// A room whose onCreate waits for a gate (gate.ts), as others wait for a service of their own.

import { defineRoom } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { QuietRoom } from "./probe-room.ts";

class GatedRoom extends QuietRoom {
  override autoDispose = false;

  override async onCreate(options: object): Promise<void> {
    await (await fetch(`${process.env["GATE_URL"]}/${this.roomId}`)).arrayBuffer();
    await super.onCreate(options);
  }
}

/** How long restoring a heavy room holds the event loop: longer than any slice. */
const HEAVY_MS = 10;
/** Counts the turns of the event loop in which heavy rooms were restored. */
let turn = 0;
let isTurnOver = true;

/** Knows in which turn of the event loop it was restored. */
class HeavyRoom extends GatedRoom {
  #turn = 0;

  constructor() {
    super();
    Object.assign(this.messages, { turn: (): number => this.#turn });
  }

  override onRestoreRoom(saved?: unknown): void {
    super.onRestoreRoom(saved);
    if (isTurnOver) {
      isTurnOver = false;
      turn += 1;
      setTimeout(() => (isTurnOver = true)); // as a tick would, it runs in the next turn
    }
    this.#turn = turn;
    const endsMs = performance.now() + HEAVY_MS;
    while (performance.now() < endsMs);
  }
}

export default defineCluster({ rooms: { gated: defineRoom(GatedRoom), heavy: defineRoom(HeavyRoom) } });
