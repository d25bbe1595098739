// Rooms at which a test shouts: the probe, one that hears little, one that talks a lot, and one that takes inputs.

import { schema, t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";
import { ProbeRoom } from "./probe-room.ts";

/** How much StrictRoom hears of a player in a second. */
export const STRICT_PER_SECOND = 20;

class StrictRoom extends ProbeRoom {
  override maxMessagesPerSecond = STRICT_PER_SECOND;
}

const Move = schema({ x: t.number().default(0), name: t.string().default("") }, "Move");

class MovesRoom extends ProbeRoom {
  override inputs = this.defineInput(Move) as never; // the probe has said nothing of inputs
}

/** Says as much as it can to whoever has not acknowledged their seat. */
class ChattyRoom extends ProbeRoom {
  override onCreate(options: object): void | Promise<void> {
    this.clock.setInterval(() => this.broadcast("chat", "x".repeat(20_000)), 20);
    return super.onCreate(options);
  }
}

export default defineCluster({
  rooms: { probe: ProbeRoom, strict: StrictRoom, moves: MovesRoom, chatty: ChattyRoom },
});
