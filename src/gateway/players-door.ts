// Where players' WebSockets come in: the handshake, within the bounds that stock Colyseus sets, and the looks by which a
// connection that is gone without a word is noticed.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { ERRORS } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { forgetTimeout } from "../runtime/forget-timeout.ts";
import type { Player } from "./player.ts";
import { LOOK_EVERY_MS } from "./signs-of-life.ts";

/** In how many pieces a message may come: browsers send it in one, and the stock SDK too. */
const FRAGMENTS_MAX = 16;
/** In how many reads a message may come. */
const READS_MAX = 1_024;
/** How long a player may take to answer a close. */
const CLOSE_MS = 2_000;

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

export class PlayersDoor {
  readonly #server: WebSocketServer;
  readonly #players = new Set<Player>();
  readonly #maySpeak: () => boolean;
  readonly #stopping = new AbortController();

  /** @param maySpeak a ping is a word too: a node that may not speak sends none, and counts none */
  constructor(clock: Clock, messageBytesMax: number, maySpeak: () => boolean) {
    this.#maySpeak = maySpeak;
    // Pings are answered by Player, which counts them.
    const options = {
      noServer: true,
      maxPayload: messageBytesMax,
      perMessageDeflate: false,
      autoPong: false,
    };
    // These are newer than the types.
    const newer = { closeTimeout: CLOSE_MS, maxFragments: FRAGMENTS_MAX, maxBufferedChunks: READS_MAX };
    this.#server = new WebSocketServer({ ...options, ...newer } as typeof options);
    this.#lookSoon(clock);
  }

  get players(): ReadonlySet<Player> {
    return this.#players;
  }

  enter(player: Player): void {
    this.#players.add(player);
  }

  /** @returns whether they were here */
  leave(player: Player): boolean {
    return this.#players.delete(player);
  }

  /** Completes a handshake. @returns undefined when it cannot be completed, which the other side has been told */
  complete({ request, socket, head }: Upgrade): WebSocket | undefined {
    let completed: WebSocket | undefined;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => (completed = webSocket));
    forgetTimeout(socket); // of the HTTP server's; ws has called it off
    return completed;
  }

  /** Completes an upgrade only to tell the player, in the protocol's own way, that there is nothing for them here. */
  decline(upgrade: Upgrade, sayGone: (webSocket: WebSocket) => void): void {
    const webSocket = this.complete(upgrade);
    if (webSocket === undefined) return;
    webSocket.on("error", () => {}); // a close follows
    sayGone(webSocket);
    webSocket.close(ERRORS.ROOM_GONE.close, ERRORS.ROOM_GONE.text);
  }

  /** Says goodbye to every player, so that the SDK goes to another node. */
  stop(): void {
    this.#stopping.abort();
    for (const player of this.#players) player.close(ERRORS.DRAINING.close, ERRORS.DRAINING.text);
  }

  /** Whoever has not answered by now is cut off. */
  cut(): void {
    for (const player of this.#players) player.close(1006, "");
    this.#server.close();
  }

  #lookSoon(clock: Clock): void {
    clock.after(LOOK_EVERY_MS, () => {
      if (this.#stopping.signal.aborted) return;
      if (this.#maySpeak()) for (const player of this.#players) player.lookForLife();
      this.#lookSoon(clock);
    });
  }
}
