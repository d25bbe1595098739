// Rooms that write down which of their hooks ran in which process, where it outlives them: a file, one line for each call.
// The rooms are told its name by the options with which they are created.

import { appendFileSync, readFileSync } from "node:fs";
import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";

export interface HookCall {
  readonly hook: string;
  readonly pid: number;
  readonly sessionId?: string;
  readonly at: number;
}

interface HooksOptions {
  readonly log: string;
  /** What onJoin is to wait for: as many ms. */
  readonly joinMs?: number;
  /** The id that the room gives itself. */
  readonly roomId?: string;
  /** Whether the first try to open the room again fails, after its onCreate. */
  readonly failsOnce?: boolean;
}

const HooksState = schema({ calls: t.uint32().default(0) }, "HooksState");

/** Says nothing of broken connections. */
class PlainRoom extends Room {
  override state = new HooksState();
  #log = "";
  #failsOnce = false;

  override messages = {
    pid: (): number => process.pid,
    lock: (): Promise<void> => {
      this.tell("lock");
      return this.lock();
    },
  };

  override onCreate({ log, roomId, failsOnce = false }: HooksOptions): void {
    this.#log = log;
    this.#failsOnce = failsOnce;
    if (roomId !== undefined) this.roomId = roomId;
    this.tell("onCreate");
  }

  override onCacheRoom(): unknown {
    return undefined;
  }

  override onRestoreRoom(): void {
    const isFirst = !readFileSync(this.#log, "utf8").includes("onRestoreRoom");
    this.tell("onRestoreRoom");
    if (this.#failsOnce && isFirst) throw new Error("the first time does not count");
  }

  override async onJoin(client: Client, options: HooksOptions | undefined): Promise<void> {
    this.tell("onJoin", client);
    await new Promise((resolve) => setTimeout(resolve, options?.joinMs ?? 0));
  }

  override onReconnect(client: Client): void {
    this.tell("onReconnect", client);
  }

  override onLeave(client: Client): void | Promise<void> {
    this.tell("onLeave", client);
  }

  override onDispose(): void {
    this.tell("onDispose");
  }

  protected tell(hook: string, client?: Client): void {
    this.state.calls += 1;
    const call: HookCall = {
      hook,
      pid: process.pid,
      ...(client && { sessionId: client.sessionId }),
      at: Date.now(),
    };
    appendFileSync(this.#log, `${JSON.stringify(call)}\n`);
  }
}

/** Keeps a seat for a second, by onDrop. */
class BriefRoom extends PlainRoom {
  override onDrop(client: Client): void {
    this.tell("onDrop", client);
    this.allowReconnection(client, 1).catch(() => undefined);
  }
}

/** Keeps a seat by onLeave, as rooms did before there was onDrop. */
class OldStyleRoom extends PlainRoom {
  override async onLeave(client: Client, code?: number): Promise<void> {
    this.tell("onLeave", client);
    if (code === 4000) return;
    await this.allowReconnection(client, 20).then(
      () => this.tell("back", client),
      () => this.tell("gone", client),
    );
  }
}

export default defineCluster({
  rooms: {
    plain: defineRoom(PlainRoom),
    brief: defineRoom(BriefRoom),
    old: defineRoom(OldStyleRoom),
  },
});
