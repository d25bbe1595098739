// The duel as a Colyseus room: two seats, requests with answers, and a timer for the turn instead of a loop.
//
// `room.request("drop", { column, move })` resolves with `{ row }` or rejects with a word of `Refusal`.
// An answer that was lost with the connection may be asked for again: the same move is never made twice.

import { Room, type Client, type Delayed, type MessageContext } from "@colyseus/core";
import { parseName } from "../arena/arena-messages.ts";
import { parseDrop, type Refusal } from "./duel-messages.ts";
import { begin, drop, endLateTurn, extendTurn, seat, unseat } from "./duel-rules.ts";
import { DuelState } from "./duel-state.ts";

const SEAT_HELD_SECONDS = 60;

export class DuelRoom extends Room<{ state: DuelState }> {
  override state = new DuelState();
  override maxClients = 2;
  override maxMessagesPerSecond = 20;

  override messages = {
    drop: (client: Client, message: unknown, ctx: MessageContext): unknown => {
      const request = parseDrop(message);
      if (request === undefined) return ctx.reject("unreadable" satisfies Refusal);
      const answer = drop(this.state, client.sessionId, request, Date.now());
      this.#armTurn();
      return answer.ok ? { row: answer.row } : ctx.reject(answer.why);
    },
    rematch: (client: Client, _message: unknown, ctx: MessageContext): unknown => {
      if (this.state.phase !== "over") return ctx.reject("not-playing" satisfies Refusal);
      if (this.state.duelists.size < 2) return ctx.reject("no-opponent" satisfies Refusal);
      this.#wantsRematch.add(client.sessionId);
      if (this.#wantsRematch.size === 2) this.#begin();
      return { begun: this.state.phase !== "over" };
    },
  };

  /** Who has asked for another game. Nobody needs to see it, so it is saved by the hooks. */
  readonly #wantsRematch = new Set<string>();
  #turnTimer: Delayed | undefined;

  override onJoin(client: Client, options?: unknown): void {
    seat(this.state, client.sessionId, parseName(options), Date.now());
    this.#armTurn();
  }

  override onDrop(client: Client): void {
    const duelist = this.state.duelists.get(client.sessionId);
    if (duelist !== undefined) duelist.isAway = true;
    // Every way in which it rejects is followed by onLeave, which does what there is to do.
    this.allowReconnection(client, SEAT_HELD_SECONDS).catch(() => undefined);
  }

  override onReconnect(client: Client): void {
    const duelist = this.state.duelists.get(client.sessionId);
    if (duelist !== undefined) duelist.isAway = false;
  }

  override onLeave(client: Client): void {
    unseat(this.state, client.sessionId);
    this.#wantsRematch.delete(client.sessionId);
    this.#armTurn();
  }

  override onCacheRoom(): unknown {
    return [...this.#wantsRematch];
  }

  override onRestoreRoom(saved?: unknown): void {
    this.#wantsRematch.clear();
    for (const key of Array.isArray(saved) ? (saved as unknown[]) : []) {
      if (typeof key === "string" && this.state.duelists.has(key)) this.#wantsRematch.add(key);
    }
    for (const [key, duelist] of this.state.duelists) {
      duelist.isAway = !this.clients.some((client) => client.sessionId === key);
    }
    extendTurn(this.state, Date.now());
    this.#armTurn();
  }

  #begin(): void {
    this.#wantsRematch.clear();
    begin(this.state, Date.now());
    this.#armTurn();
  }

  /** One timer for the turn under way, none while there is no turn. */
  #armTurn(): void {
    this.#turnTimer?.clear();
    this.#turnTimer = undefined;
    if (this.state.phase !== "playing") return;
    const leftMs = Math.max(0, this.state.turnEndsAtMs - Date.now());
    this.#turnTimer = this.clock.setTimeout(() => {
      // The room's clock and wall time may differ by a tick: ask again instead of ending a turn early.
      if (!endLateTurn(this.state, Date.now())) this.#armTurn();
    }, leftMs);
  }
}
