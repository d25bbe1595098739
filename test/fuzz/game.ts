// What is played while it is attacked: the arena, and rooms that hear everything. And a look at the process from inside.

import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { ArenaRoom } from "../../rooms/arena/arena-room.ts";
import { defineCluster } from "../../src/index.ts";

const State = schema({ tick: t.uint32().default(0), heard: t.map("string") }, "FuzzState");
const Input = schema(
  {
    x: t.number().default(0),
    y: t.float32().default(0),
    aim: t.quantized({ min: -1, max: 1, bits: 16 }),
    fires: t.boolean().default(false),
    name: t.string().default(""),
  },
  "FuzzInput",
);

/** Hears everything, and answers what it is asked. */
class TargetRoom extends Room<{ state: InstanceType<typeof State> }> {
  override state = new State();
  override patchRate = 50;
  override maxClients = 500;

  override messages = {
    add: (client: Client, message: unknown): string => {
      const text = String(JSON.stringify(message) ?? "").slice(0, 40);
      this.state.heard.set(client.sessionId, text);
      return text;
    },
    echo: (client: Client, message: unknown): void => client.send("echo", message),
    "*": (): void => {},
  };

  override onCreate(): void {
    this.setTimestep(() => void (this.state.tick += 1), 50);
  }

  override onLeave(client: Client): void {
    this.state.heard.delete(client.sessionId);
  }

  /** For other nodes. */
  whereAmI(): number {
    return process.pid;
  }
}

class InputRoom extends TargetRoom {
  override inputs = this.defineInput(Input) as never; // the class above has said nothing of inputs

  override onCreate(): void {
    this.setTimestep(() => {
      this.state.tick += 1;
      const inputs = this.inputs as unknown as { get(sessionId: string): { drain(): unknown[] } };
      for (const { sessionId } of this.clients) inputs.get(sessionId).drain();
    }, 50);
  }
}

export interface Inside {
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly descriptors: number;
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

export default defineCluster({
  rooms: { arena: defineRoom(ArenaRoom), target: defineRoom(TargetRoom), inputs: defineRoom(InputRoom) },
  express: (app) => {
    app.get("/fuzz/inside", (_request, response) => {
      collectGarbage();
      const { heapUsed, external, rss } = process.memoryUsage();
      const inside: Inside = {
        heapBytes: heapUsed + external,
        residentBytes: rss,
        descriptors: readdirSync("/proc/self/fd").length,
      };
      response.json(inside);
    });
  },
});
