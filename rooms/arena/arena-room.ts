// The arena as a Colyseus room: it lets players in and out, keeps their wishes and ticks the rules.
//
// An ordinary room. It knows nothing of nodes and runs on a plain Colyseus server just the same. What a restart needs
// is in the state, and the little that is not (keys held down, steal streaks) goes through Colyseus's own hooks,
// `onCacheRoom` and `onRestoreRoom`.

import { Room, type Client } from "@colyseus/core";
import { POPULATION, TICK_MS } from "./arena-field.ts";
import { isRecord, parseMove, parseName, STILL } from "./arena-messages.ts";
import { addPlayer, keepPopulation, markAway, removePlayer } from "./arena-population.ts";
import { openArena, step } from "./arena-rules.ts";
import { ArenaState } from "./arena-state.ts";
import { unseenOf, type UnseenBook } from "./arena-unseen.ts";

/** As long as the stock SDK keeps trying to come back (56 s), and a little more. */
const SEAT_HELD_SECONDS = 60;

export class ArenaRoom extends Room<{ state: ArenaState }> {
  override state = new ArenaState();
  override maxClients = POPULATION.humansMax;
  override patchRate = TICK_MS;
  // Moves are sent on change, at most 20 a second; more than this is not a player.
  override maxMessagesPerSecond = 80;

  override messages = {
    move: (client: Client, message: unknown): void => {
      const wish = parseMove(message);
      if (wish !== undefined && this.state.players.has(client.sessionId)) {
        unseenOf(this.#unseen, client.sessionId).move = wish;
      }
    },
    dash: (client: Client): void => {
      if (this.state.players.has(client.sessionId)) unseenOf(this.#unseen, client.sessionId).wantsDash = true;
    },
    name: (client: Client, message: unknown): void => {
      const player = this.state.players.get(client.sessionId);
      if (player !== undefined) player.name = parseName(message);
    },
  };

  readonly #unseen: UnseenBook = new Map();

  override onCreate(): void {
    openArena(this.state, seedOf(this.roomId));
    // The state is looked up each time: a restored room is given another one after onCreate.
    this.setSimulationInterval(() => step(this.state, this.#unseen), TICK_MS);
  }

  override onJoin(client: Client, options?: unknown): void {
    this.#enter(client, options);
  }

  override onDrop(client: Client): void {
    const player = this.state.players.get(client.sessionId);
    if (player !== undefined) markAway(this.state, player);
    unseenOf(this.#unseen, client.sessionId).move = STILL;
    // It rejects when the time is up, the room closes, or the client had never fully joined. In each case onLeave
    // follows and takes the player out, so there is nothing to do here.
    this.allowReconnection(client, SEAT_HELD_SECONDS).catch(() => undefined);
  }

  override onReconnect(client: Client): void {
    this.#enter(client);
  }

  override onLeave(client: Client): void {
    removePlayer(this.state, this.#unseen, client.sessionId);
    keepPopulation(this.state, this.#unseen);
  }

  override onCacheRoom(): unknown {
    return [...this.#unseen];
  }

  override onRestoreRoom(saved?: unknown): void {
    this.state.resumedTick = this.state.tick;
    // Their seats are kept, but nobody is here yet; each one's onReconnect takes it back.
    for (const [key, player] of this.state.players) {
      if (!player.isBot && !this.clients.some((client) => client.sessionId === key)) {
        markAway(this.state, player);
      }
    }
    this.#unseen.clear();
    for (const entry of Array.isArray(saved) ? (saved as unknown[]) : []) {
      if (!Array.isArray(entry)) continue;
      const [key, book] = entry as unknown[];
      if (typeof key !== "string" || !isRecord(book) || !this.state.players.has(key)) continue;
      const own = unseenOf(this.#unseen, key);
      own.move = parseMove(book["move"]) ?? STILL;
      own.wantsDash = book["wantsDash"] === true;
      own.streak = typeof book["streak"] === "number" ? book["streak"] : 0;
    }
  }

  /** Takes a player in: back into the body that waits, or into a new one. */
  #enter(client: Client, options?: unknown): void {
    const known = this.state.players.get(client.sessionId);
    if (known !== undefined) {
      known.isAway = false;
      return;
    }
    addPlayer(this.state, client.sessionId, parseName(options));
    keepPopulation(this.state, this.#unseen);
  }
}

/** Rooms differ by their id, and the same id begins the same way (FNV-1a). */
function seedOf(roomId: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < roomId.length; index++) {
    hash = Math.imul(hash ^ roomId.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
