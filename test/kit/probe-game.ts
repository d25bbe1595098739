// The test rooms as a game for a cluster.

import { defineRoom } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { ProbeRoom, QuietRoom, ThrowingRoom } from "./probe-room.ts";

export default defineCluster({
  rooms: {
    probe: defineRoom(ProbeRoom),
    quiet: defineRoom(QuietRoom),
    throwing: defineRoom(ThrowingRoom),
  },
});
