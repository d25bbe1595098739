// The page's seat in the arena, on the stock SDK.
//
// The SDK returns by itself when a connection breaks, if it had lasted 5 s. When it gives up (too young a connection,
// a final refusal, no more tries) this file goes on: with the seat's token first, and when the seat is gone, by joining
// anew. The token is kept for the tab, so a reloaded page takes the same seat.

import { Client, type Room } from "@colyseus/sdk";
import type { ArenaRoom } from "../rooms/arena/arena-room.ts";
import type { ArenaState } from "../rooms/arena/arena-state.ts";

export type ArenaConnection = Room<ArenaRoom, ArenaState>;

export type Status =
  | { readonly name: "joining" }
  | { readonly name: "here" }
  /** The SDK, or this file after it, is trying to return. */
  | { readonly name: "away"; readonly code: number }
  /** Joined, but in a new seat: the old one was gone. */
  | { readonly name: "reseated" };

export interface ConnectionListener {
  onStatus(status: Status): void;
  /** A state or patch has been applied to `room.state`. */
  onPatch(room: ArenaConnection): void;
}

const TOKEN_KEY = "ringside.seat";
const LEFT_KEY = "ringside.left";
/** As long as a seat is held. After that the token opens nothing, and the page joins anew. */
const TOKEN_GOOD_MS = 60_000;
const RETRY_MS_MAX = 3_000;
/** A room on its way to another node may be unknown for a moment: so often a seat is asked for before it is given up. */
const REFUSALS_MAX = 3;
/** Colyseus: no such room, and no such seat. Anything else may heal. */
const SEAT_GONE_CODES: readonly unknown[] = [522, 524];
const CONSENTED = 4_000;

export class Connection {
  room: ArenaConnection | undefined;
  readonly #client: Client;
  readonly #listener: ConnectionListener;
  readonly #nameOf: () => string;
  #savedToken = "";

  constructor(endpoint: string, nameOf: () => string, listener: ConnectionListener) {
    this.#client = new Client(endpoint);
    this.#nameOf = nameOf;
    this.#listener = listener;
  }

  /** Takes a seat and keeps it. Resolves when the first seat is taken; after that the listener hears of everything. */
  async start(): Promise<void> {
    this.#listener.onStatus({ name: "joining" });
    addEventListener("pagehide", () => sessionStorage.setItem(LEFT_KEY, String(Date.now())));
    const leftMs = Number(sessionStorage.getItem(LEFT_KEY) ?? Date.now());
    const isFresh = Date.now() - leftMs < TOKEN_GOOD_MS;
    await this.#enter((isFresh ? sessionStorage.getItem(TOKEN_KEY) : null) ?? "", false);
  }

  /** Measures one round trip through the room's connection. Calls back only if it is answered. */
  ping(onPong: (ms: number) => void): void {
    this.room?.ping(onPong);
  }

  /** Sent only while connected: what was wanted before a break is no longer what is wanted after it. */
  send(type: "move", message: { x: number; y: number }): void;
  send(type: "name", message: { name: string }): void;
  send(type: "dash"): void;
  send(type: "move" | "name" | "dash", message?: unknown): void {
    if (this.room?.connection.isOpen === true) this.room.send(type, message);
  }

  /** Tries until it is in: the old seat while that can still be held, then a new one. */
  async #enter(token: string, isReturn: boolean): Promise<void> {
    const startedMs = performance.now();
    let isSeatGone = token === "";
    let refusals = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        const room = isSeatGone
          ? await this.#client.joinOrCreate<ArenaRoom>("arena", { name: this.#nameOf() })
          : await this.#client.reconnect<ArenaRoom>(token);
        this.#watch(room);
        this.#listener.onStatus(isSeatGone && isReturn ? { name: "reseated" } : { name: "here" });
        return;
      } catch (error) {
        // The SDK's errors carry the matchmaker's code, a failed request has none.
        if (SEAT_GONE_CODES.includes((error as { code?: unknown } | undefined)?.code)) refusals += 1;
        if (refusals >= REFUSALS_MAX || performance.now() - startedMs > TOKEN_GOOD_MS) isSeatGone = true;
        const waitMs = Math.min(RETRY_MS_MAX, 250 * 1.6 ** attempt);
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  #watch(room: ArenaConnection): void {
    this.room = room;
    room.onStateChange(() => {
      this.#saveToken(room);
      this.#listener.onPatch(room);
    });
    room.onDrop((code) => this.#listener.onStatus({ name: "away", code }));
    room.onReconnect(() => this.#listener.onStatus({ name: "here" }));
    room.onError((code, message) => console.warn(`arena: ${code} ${message ?? ""}`));
    room.onLeave((code) => {
      if (this.room !== room) return;
      this.#listener.onStatus({ name: "away", code });
      // 4000: the room let us go for good; there is no seat to return to.
      void this.#enter(code === CONSENTED ? "" : room.reconnectionToken, true);
    });
  }

  /** Each return brings a new token, and only the newest opens the seat. */
  #saveToken(room: ArenaConnection): void {
    if (room.reconnectionToken === this.#savedToken) return;
    this.#savedToken = room.reconnectionToken;
    sessionStorage.setItem(TOKEN_KEY, this.#savedToken);
  }
}
