// A room that is played by inputs (`defineInput`), and keeps in its state which of them it has heard, in what order, and what
// became of them. It takes whatever comes, as it comes: nothing in it sorts, or leaves out what it has had before.

import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";

export const Step = schema({ seq: t.uint32(), by: t.int32() }, "Step");
const Walker = schema({ at: t.int32().default(0), heard: t.array("uint32") }, "Walker");
const WalkState = schema({ tick: t.uint32().default(0), walkers: t.map(Walker) }, "WalkState");

/** More than a player says while their connection is away. */
const INPUTS_MAX = 1_000;
const TICK_MS = 20;

class WalkRoom extends Room {
  override state = new WalkState();
  override maxClients = 16;
  override inputs = this.defineInput(Step, { bufferMaxSize: INPUTS_MAX });

  override onCreate(): void {
    this.patchRate = 50;
    this.setSimulationInterval(() => this.#walk(), TICK_MS);
  }

  override onJoin({ sessionId }: Client): void {
    this.state.walkers.set(sessionId, new Walker());
  }

  override onLeave({ sessionId }: Client): void {
    this.state.walkers.delete(sessionId);
  }

  #walk(): void {
    this.state.tick += 1;
    for (const [sessionId, walker] of this.state.walkers) {
      for (const { seq, by } of this.inputs.get(sessionId)) {
        walker.heard.push(seq);
        walker.at += by;
      }
    }
  }
}

export default defineCluster({ rooms: { walk: defineRoom(WalkRoom) } });
