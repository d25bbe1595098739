// Rooms whose players are signed in: one that says nothing of it, one for members only, and one that decides by itself.

import { defineRoom, Room, type AuthContext, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { authOf, defineCluster, freshAuth, signedIn } from "../../src/index.ts";

const WhoState = schema({ tick: t.uint32().default(0), left: t.array("string") }, "WhoState");

class PlainRoom extends Room {
  override state = new WhoState();

  override messages = {
    who: (client: Client): unknown => client.auth as unknown,
    /** What the room was told by those who made it and joined it: nothing of ours. */
    options: (): unknown => this.#options,
    fresh: async (client: Client): Promise<unknown> => {
      try {
        return { is: await freshAuth(client) };
      } catch (error) {
        return { refused: (error as { code?: unknown }).code };
      }
    },
    /** So that a checkpoint is written. */
    touch: (): number => (this.state.tick += 1),
  };

  readonly #options: unknown[] = [];

  override onCreate(options: unknown): void {
    this.autoDispose = false;
    this.#options.push(options);
  }

  override onJoin(_client: Client, options: unknown): void {
    this.#options.push(options);
  }

  override onLeave(client: Client): void {
    this.state.left.push(client.sessionId);
  }
}

class MembersRoom extends PlainRoom {
  static override onAuth = signedIn;
}

class OwnRoom extends PlainRoom {
  static override onAuth(token: string, options: unknown, context: AuthContext): Promise<unknown> {
    return Promise.resolve({
      own: true,
      token,
      userId: authOf(context)?.userId ?? "nobody",
      options: { ...(options as object) },
    });
  }
}

/** As older games have it. */
class InstanceRoom extends PlainRoom {
  /** What it was shown of each player's token. */
  readonly #shown: unknown[] = [];

  constructor() {
    super();
    Object.assign(this.messages, { shown: () => this.#shown });
  }

  override onAuth(_client: Client, _options: unknown, context: AuthContext): boolean {
    this.#shown.push(context.token);
    return true;
  }
}

/** Keeps the seats of whoever drops, whatever the reason. */
class KeepingRoom extends PlainRoom {
  override onDrop(client: Client): void {
    void this.allowReconnection(client, 60);
  }
}

export default defineCluster({
  rooms: {
    plain: defineRoom(PlainRoom),
    members: defineRoom(MembersRoom),
    own: defineRoom(OwnRoom),
    instance: defineRoom(InstanceRoom),
    keeping: defineRoom(KeepingRoom),
  },
  ringside: { sessions: "optional" },
});
