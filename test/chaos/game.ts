// What a cluster plays in a chaos run: the ledger, beside the arena and the shop as they are.

import { defineRoom } from "@colyseus/core";
import rooms from "../../rooms/index.ts";
import { defineCluster } from "../../src/index.ts";
import { watchEpochs } from "./epoch-witness.ts";
import { GATEWAY_LOG_ENV } from "./gateway-log.ts";
import { watchGateway } from "./gateway-witness.ts";
import { LedgerRoom } from "./ledger-room.ts";
import { answerMemory } from "./memory-witness.ts";
import { callFrom, OWN_ADDRESS_ENV } from "./own-address.ts";

watchEpochs();
const { [GATEWAY_LOG_ENV]: gatewayLog, [OWN_ADDRESS_ENV]: ownAddress } = process.env;
if (gatewayLog !== undefined) watchGateway(gatewayLog);
if (ownAddress !== undefined) callFrom(ownAddress);

export default defineCluster({
  ...rooms.game,
  management: answerMemory,
  rooms: { ...rooms.game.rooms, ledger: defineRoom(LedgerRoom) },
});
