// A release of a game whose room class changes: see changed-rooms.ts.

import { defineRoom } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { BrokenRelease } from "./changed-rooms.ts";

export default defineCluster({ rooms: { changing: defineRoom(BrokenRelease) } });
