// What a cluster plays in a chaos run: the ledger, beside the arena and the shop as they are.

import { defineRoom } from "@colyseus/core";
import rooms from "../../rooms/index.ts";
import { defineCluster } from "../../src/index.ts";
import { watchEpochs } from "./epoch-witness.ts";
import { LedgerRoom } from "./ledger-room.ts";

watchEpochs();

export default defineCluster({
  ...rooms.game,
  rooms: { ...rooms.game.rooms, ledger: defineRoom(LedgerRoom) },
});
