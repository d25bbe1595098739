// Rooms that use Redis in every way a game can: they call methods of rooms on other nodes, publish and listen, keep values,
// and look for rooms.

import { defineRoom, matchMaker, type Client } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { ProbeRoom, QuietRoom } from "./probe-room.ts";

const TOPIC = "news";

export class WiredRoom extends ProbeRoom {
  readonly #heard: string[] = [];
  readonly #hear = (text: string): void => void this.#heard.push(text);

  constructor() {
    super();
    Object.assign(this.messages, {
      /** The process that holds another room, by that room's own word. */
      call: (_client: Client, roomId: string): Promise<number> =>
        matchMaker.remoteRoomCall(roomId, "whereAmI" as never, ["there"]) as Promise<number>,
      tell: (_client: Client, text: string): Promise<unknown> =>
        this.presence.publish(TOPIC, text) as Promise<unknown>,
      heard: (): string[] => this.#heard,
      keep: (_client: Client, text: string): Promise<unknown> =>
        this.presence.set("kept", text) as Promise<unknown>,
      kept: (): Promise<unknown> => Promise.resolve(this.presence.get("kept")),
      count: (): Promise<number> => this.presence.hincrbyex("counts", "one", 1, 60),
      rooms: async (): Promise<string[]> =>
        (await matchMaker.query({ name: "wired" })).map(({ roomId }) => roomId),
    });
  }

  whereAmI(_word: string): number {
    return process.pid;
  }

  override async onCreate(options: object): Promise<void> {
    await this.presence.subscribe(TOPIC, this.#hear);
    await super.onCreate(options);
  }
}

export default defineCluster({ rooms: { wired: defineRoom(WiredRoom), quiet: defineRoom(QuietRoom) } });
