// Rooms that end their own process at a chosen moment of a player's coming or going, as nothing from outside could time it;
// and rooms that tell who is in them, beyond what their state says.

import { setTimeout } from "node:timers/promises";
import { defineRoom, type AuthContext, type Client } from "@colyseus/core";
import { defineCluster } from "../../src/index.ts";
import { ProbeRoom, QuietRoom } from "./probe-room.ts";

/** `joined`: the seat is durable, and nobody has told the player. `leaving`: the seat is given up, and nobody has told them. */
export type Doom =
  "onJoin" | "joined" | "onLeave" | "leaving" | "onDrop" | "dropped" | "onReconnect" | "returned";

export interface Census {
  readonly clients: readonly string[];
  /** Seats that are kept or reserved, by Colyseus's own book. */
  readonly reserved: readonly string[];
  readonly listed: number;
  readonly locked: boolean;
}

/** What the census reads of Colyseus's own. */
interface Inside {
  readonly _events: { on(name: "join", listener: () => void): void };
  readonly _reservedSeats: Readonly<Record<string, unknown>>;
  readonly _listing: { readonly clients: number };
}

/** How long a slow hook takes: longer than a player who comes back at once. */
const SLOW_MS = 300;

const die = (): never => {
  process.kill(process.pid, "SIGKILL");
  for (;;); // not one more line of this process
};

class SeatsRoom extends QuietRoom {
  #doom: Doom | undefined;

  constructor() {
    super();
    Object.assign(this.messages, {
      doom: (_client: Client, doom: unknown): void => void (this.#doom = doom as Doom),
      shout: (_client: Client, word: unknown): void => this.broadcast("shout", word),
      census: (): Census => {
        const { _reservedSeats, _listing } = this as unknown as Inside;
        return {
          clients: this.clients.map(({ sessionId }) => sessionId),
          reserved: Object.keys(_reservedSeats),
          listed: _listing.clients,
          locked: this.locked,
        };
      },
    });
    // After the seat is durable, before the player is told.
    (this as unknown as Inside)._events.on("join", () => this.#meet("joined"));
  }

  override onJoin(...[client, options, auth]: Parameters<QuietRoom["onJoin"]>): void {
    super.onJoin(client, options, auth);
    this.#meet("onJoin");
  }

  override onDrop(client: Client): void {
    this.#meet("onDrop");
    this.state.trail.push(`drop ${this.state.players.get(client.sessionId)?.joinedAs}`);
    super.onDrop(client);
    if (this.#doom === "dropped") setImmediate(die);
  }

  override onReconnect(client: Client): void {
    super.onReconnect(client);
    this.#meet("onReconnect");
    if (this.#doom === "returned") setImmediate(die); // the player has been told by then, and has not answered
  }

  override onLeave(client: Client): void {
    super.onLeave(client);
    this.#meet("onLeave");
    if (this.#doom === "leaving") client.leave = die; // called when all is done, to tell them
  }

  #meet(doom: Doom): void {
    if (this.#doom === doom) die();
  }
}

/** Keeps seats by an onLeave, as rooms did before there was onDrop. */
class OldSeatsRoom extends SeatsRoom {
  // As if the author had never written it.
  override onDrop = undefined as unknown as SeatsRoom["onDrop"];
  #seconds = 1;

  override onCreate(options: { holdSeconds?: number }): void | Promise<void> {
    this.#seconds = options.holdSeconds ?? 1;
    return super.onCreate(options);
  }

  /** As rooms do that wait in onLeave; what it overrides does not. */
  override onLeave = ((client: Client, code?: number) =>
    this.#wait(client, code)) as unknown as SeatsRoom["onLeave"];

  async #wait(client: Client, code?: number): Promise<void> {
    if (code !== 4000) {
      this.state.trail.push(`drop ${this.state.players.get(client.sessionId)?.joinedAs}`);
      try {
        await this.allowReconnection(client, this.#seconds);
        return;
      } catch {
        // they did not come
      }
    }
    super.onLeave(client);
  }
}

/** Takes its time over everything. */
class SlowRoom extends SeatsRoom {
  override onJoin = (async (...given: Parameters<QuietRoom["onJoin"]>) => {
    await setTimeout(SLOW_MS);
    super.onJoin(...given);
  }) as unknown as SeatsRoom["onJoin"];

  override onDrop = (async (client: Client) => {
    await setTimeout(SLOW_MS);
    super.onDrop(client);
  }) as unknown as SeatsRoom["onDrop"];
}

/**
 * Knows its players by the auth tokens of their pages: "ada-1" and "ada-2" are both ada's, and "ada-2@9000" until then. Whoever
 * is called "twin" is given a session id by that name.
 */
class LoginRoom extends ProbeRoom {
  static override onAuth(token: string, _options: unknown, _context: AuthContext): Promise<unknown> {
    const [user, login] = (token ?? "").split("-");
    if (user === undefined || login === undefined) throw new Error("who are you?");
    if (Date.now() > Number(login.split("@")[1] ?? Infinity)) throw new Error("that login is over");
    return Promise.resolve({ id: user, login, ...(user === "twin" ? { sessionId: "twin" } : {}) });
  }
}

export default defineCluster({
  rooms: {
    probe: defineRoom(SeatsRoom),
    old: defineRoom(OldSeatsRoom),
    slow: defineRoom(SlowRoom),
    login: defineRoom(LoginRoom),
  },
});
