// Rooms that call methods of rooms on other nodes, by whatever name a test says.

import { matchMaker, type Client } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { WiredRoom } from "./redis-game.ts";

class CallingRoom extends WiredRoom {
  constructor() {
    super();
    Object.assign(this.messages, {
      listed: async (): Promise<string[]> =>
        (await matchMaker.query({ name: "calling" })).map(({ roomId }) => roomId),
      /** What came of a call, or what it failed with. */
      call: async (
        _client: Client,
        { roomId, method, args }: { roomId: string; method: string; args?: unknown[] },
      ): Promise<unknown> =>
        matchMaker.remoteRoomCall(roomId, method as never, args as never).then(
          (answer: unknown) => ({ answer }),
          (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
        ),
    });
  }

  /** A getter may do anything. */
  get trap(): number {
    return process.exit(99);
  }

  circle(): unknown {
    const circle: Record<string, unknown> = {};
    return (circle["self"] = circle);
  }

  throwing(): never {
    throw new Error("thrown by a call");
  }

  rejecting(): Promise<never> {
    return Promise.reject(new Error("rejected by a call"));
  }
}

export default defineCluster({ rooms: { calling: CallingRoom } });
