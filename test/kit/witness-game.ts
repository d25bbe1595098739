// A room that signs what it says: in its state stand the process that said it, and when. So its players can testify, each
// and together, who spoke for it at which time (kit/witness.ts).

import { defineRoom, type Client } from "@colyseus/core";
import { t, type SchemaType } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ProbeState, QuietRoom } from "./probe-room.ts";

const WitnessState = ProbeState.extend(
  {
    /** The process, and its wall clock; all processes of a test share a machine. */
    saidBy: t.uint32().default(0),
    saidAt: t.float64().default(0),
  },
  "WitnessState",
);
export type WitnessState = SchemaType<typeof WitnessState>;

class WitnessRoom extends QuietRoom {
  override state = new WitnessState();

  constructor() {
    super();
    Object.assign(this.messages, {
      /** Holds up the whole process, as careless code does. @returns for how long, in ms */
      stall: (_client: Client, message: unknown): number => {
        const from = systemClock.monotonicMs();
        while (systemClock.monotonicMs() - from < Number(message));
        return systemClock.monotonicMs() - from;
      },
    });
  }

  override onCreate(options: object): void | Promise<void> {
    this.setTimestep(() => {
      this.state.tick += 1;
      this.state.saidBy = process.pid;
      this.state.saidAt = systemClock.nowMs();
    }, 50);
    return super.onCreate(options);
  }
}

export default defineCluster({ rooms: { probe: defineRoom(WitnessRoom) } });
