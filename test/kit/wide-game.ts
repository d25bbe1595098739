// A room with a wide state, all of which changes all the time: 2 MB/s to each player. For who reads too slowly.

import { randomBytes } from "node:crypto";
import { t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";
import { ProbeState, QuietRoom } from "./probe-room.ts";

const LINES = 20;
const LINE_BYTES = 5_000;

const WideState = ProbeState.extend({ lines: t.array("string") }, "WideState");

class WideRoom extends QuietRoom {
  override state = new WideState() as never;
  override patchRate = 50;

  override onCreate(options: object): void | Promise<void> {
    const state = this.state as unknown as InstanceType<typeof WideState>;
    for (let line = 0; line < LINES; line++) state.lines.push("");
    this.setTimestep(() => {
      state.tick += 1;
      for (let line = 0; line < LINES; line++)
        state.lines[line] = randomBytes(LINE_BYTES / 2).toString("hex");
    }, 50);
    return super.onCreate(options);
  }
}

export default defineCluster({ rooms: { wide: WideRoom } });
