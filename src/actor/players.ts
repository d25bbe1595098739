// Players' comings and goings in one room: seats that are durable before anybody is told (SEAT1), tokens that change at each
// return (SEAT3), and what is said while the room may not listen. Seats that wait for their players after a restore are in
// awaited-seats.ts.

import type { Client, Room } from "@colyseus/core";
import type { Snapshot } from "../checkpoint/snapshot.ts";
import { internals } from "../colyseus/room-internals.ts";
import type { RoomClient } from "../colyseus/room-client.ts";
import { placeOf } from "../colyseus/room-transport.ts";
import { loginOf } from "../colyseus/seat-return.ts";
import type { Config } from "../config.ts";
import { ERRORS, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { SessionId } from "../ids.ts";
import { hashToken, newToken, type ClaimedRoom } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Activation } from "./activation.ts";
import { AwaitedSeats } from "./awaited-seats.ts";
import { within } from "./deadline.ts";
import { firstToken, heard, notTurned, opens, turned } from "./seat-token.ts";
import type { NewSeat, Seats } from "./seats.ts";
import { TokenTries } from "./token-tries.ts";

export interface PlayersParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly seats: Seats;
  /** See RoomGuard. */
  readonly untilOwned: (room: Room) => Promise<void> | undefined;
}

/** What a message that is held costs at least, however little it says. */
const HELD_MESSAGE_BYTES_MIN = 64;

/** A returning player waits no longer than this for the new token to be durable; then they keep the one they came with. */
const CHANGE_TOKEN_MS = 500;

export class Players {
  readonly #parts: PlayersParts;
  readonly #awaited: AwaitedSeats;
  readonly #tries = new TokenTries();

  constructor(parts: PlayersParts) {
    this.#parts = parts;
    this.#awaited = new AwaitedSeats({
      ...parts,
      left: (activation, sessionId) => void this.left(activation, sessionId),
    });
  }

  /** The author's onJoin is about to run. A checkpoint taken now would know half of this player, and says so. */
  joining(activation: Activation, client: Client): void {
    activation.occupants.set(client.sessionId, client);
    activation.joining.add(client.sessionId);
  }

  /**
   * The author's onJoin has run: makes the seat durable.
   *
   * @throws RingsideError when it cannot be; the player is then refused, and has not joined
   */
  async joined(activation: Activation, client: Client, options: unknown): Promise<void> {
    const { roomId, epoch } = activation;
    const { sessionId } = client;
    activation.joining.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    client.reconnectionToken = newToken();
    const login = loginOf(client);
    const token = firstToken(hashToken(client.reconnectionToken), login && hashToken(login));
    const seat = { roomId, epoch, sessionId, token, options, auth: client.auth as unknown };
    if (!(await this.#parts.seats.save(seat))) throw new RingsideError("STALE_EPOCH", { roomId, epoch });
    if (!this.#parts.lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId });
    activation.tokens.set(sessionId, token);
    this.#parts.events.emit("seat:taken", { roomId, sessionId: sessionId as SessionId });
  }

  /**
   * A player is back in their seat. Resolves when the token that they are about to be told is durable.
   *
   * @returns the options of the join when the room's state has never heard of this player
   */
  async reconnected(
    activation: Activation,
    client: Client,
  ): Promise<{ readonly options: unknown } | undefined> {
    const { sessionId } = client;
    activation.occupants.set(sessionId, client);
    activation.otherLayouts.delete(sessionId); // the page was loaded again, or it would have been refused
    activation.away.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    await this.#changeToken(activation, client);
    // A newer connection is on its way to the seat, and what was waited for is its to hear.
    if (activation.occupants.get(sessionId) !== client) return undefined;
    // From here on without a pause until the author's hook: who is counted as back has been told of.
    const awaited = this.#awaited.isBack(activation, sessionId);
    if (awaited?.mustRejoin !== true) return undefined;
    activation.joining.add(sessionId); // until `rejoined`
    return { options: awaited.options };
  }

  /** The author's onJoin has run for a player of whom the restored state had never heard. */
  rejoined(activation: Activation, client: Client): void {
    activation.joining.delete(client.sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
  }

  /** The player has acknowledged what they were told on joining, or on coming back. */
  acknowledged(activation: Activation, { sessionId }: Client): void {
    const token = activation.tokens.get(sessionId);
    if (token === undefined || token.isHeard) return;
    const known = heard(token);
    activation.tokens.set(sessionId, known);
    const { roomId, epoch } = activation;
    this.#parts.seats.changeTokenSoon({ roomId, epoch, sessionId }, known);
  }

  /** The author keeps a seat for `ms`. @returns whether that counts: not for a seat that is kept already */
  kept(activation: Activation, { sessionId }: Client, ms: number): boolean {
    if (activation.away.has(sessionId) || !activation.tokens.has(sessionId)) return false;
    activation.away.set(sessionId, { sinceMs: activation.room.clock.elapsedTime, heldMs: ms });
    activation.markChanged(this.#parts.clock.monotonicMs());
    return true;
  }

  /**
   * The seats of a room as they are stored, as far as the room knows: the options of those who have joined here are not kept,
   * and a checkpoint that knows these players makes them needless.
   */
  seatsOf({ roomId, epoch, occupants, awaited, tokens }: Activation): NewSeat[] {
    return [...tokens].map(([sessionId, token]) => {
      // All that sit in a seat are clients, or stand-ins for them.
      const { auth } = occupants.get(sessionId) as Client;
      return {
        roomId,
        epoch,
        sessionId,
        token,
        options: awaited.get(sessionId)?.options,
        auth: auth as unknown,
      };
    });
  }

  /** A player is gone for good, and so is the seat. Resolves when that is durable, or could not be made so yet. */
  left(activation: Activation, sessionId: string): Promise<void> {
    const { roomId, epoch } = activation;
    const place = { roomId, epoch, sessionId };
    if (!activation.occupants.delete(sessionId)) return this.#parts.seats.whenGivenUp(place);
    for (const each of [activation.otherLayouts, activation.awaited, activation.tokens, activation.away]) {
      each.delete(sessionId);
    }
    activation.joining.delete(sessionId);
    activation.markChanged(this.#parts.clock.monotonicMs());
    return this.#parts.seats.giveUp(place);
  }

  /** See AwaitedSeats. */
  await(activation: Activation, claimed: ClaimedRoom, snapshot: Snapshot | undefined): void {
    this.#awaited.await(activation, claimed, snapshot);
  }

  /** See AwaitedSeats. */
  settleIfAllAreBack(activation: Activation): void {
    this.#awaited.settleIfAllAreBack(activation);
  }

  /** Whether this opens that seat; `hash` is of a reconnection token. */
  opensSeat(activation: Activation, sessionId: string, hash: string): boolean {
    const token = activation.tokens.get(sessionId);
    return token !== undefined && opens(token, hash);
  }

  /** Whose seat a token opens. */
  sessionOf(activation: Activation, hash: string): string | undefined {
    for (const [sessionId, token] of activation.tokens) if (opens(token, hash)) return sessionId;
    return undefined;
  }

  /** What opened nothing may be answered when this resolves. */
  async wrongToken(
    activation: Activation,
    sessionId: string | undefined,
    address: string | undefined,
  ): Promise<void> {
    const { clock, events } = this.#parts;
    const { roomId, epoch } = activation;
    const { waitMs, tries, isNews } = this.#tries.wrong(roomId, sessionId, address, clock.monotonicMs());
    if (isNews) events.emit("seat:guessed", { roomId, epoch, tries });
    if (waitMs === 0) return;
    const done = this.#tries.wait();
    await clock.sleep(waitMs);
    done();
  }

  /** Keeps a message until the room may listen again; past the limit the SDK is told to come back. */
  hold(activation: Activation, client: Client, bytes: Buffer): void {
    const max = this.#parts.config.heldMessageBytesMax;
    const before = activation.heldBytes.get(client) ?? 0;
    if (before > max) return; // they have been told already
    const waiting = before + Math.max(bytes.length, HELD_MESSAGE_BYTES_MIN);
    activation.heldBytes.set(client, waiting);
    if (waiting > max) {
      client.leave(ERRORS.LEASE_LOST.close, ERRORS.LEASE_LOST.text);
      return;
    }
    activation.held.push({ client, bytes });
  }

  /** The room may act again: those with a hole in their mirror start anew, and what waited is heard, in order. */
  catchUp(activation: Activation): void {
    const { held, missed } = activation;
    activation.held = [];
    activation.heldBytes.clear();
    const inside = internals(activation.room);
    for (const { client, bytes } of held) {
      if (!missed.has(client)) inside._onMessage(client as never, bytes);
    }
    // Their gateway presents them anew, with what they have said.
    for (const client of missed) {
      placeOf(client).cut(held.filter((message) => message.client === client).map(({ bytes }) => bytes));
    }
    missed.clear();
  }

  async #changeToken(activation: Activation, client: Client): Promise<void> {
    const { clock, seats } = this.#parts;
    const { roomId, epoch } = activation;
    const { sessionId } = client;
    const before = activation.tokens.get(sessionId);
    if (before === undefined) return; // given up in this very moment
    const { presentedToken, isConnected } = client as Partial<RoomClient>;
    const presentedHash = presentedToken === undefined ? before.hash : hashToken(presentedToken);
    // Nobody has used it, only their gateway, and that may be ahead of what the player has read: a token that is new to both
    // each time a place is lost could leave the player with one that is worth nothing.
    if (isConnected === true && presentedToken !== undefined && presentedHash === before.hash) {
      client.reconnectionToken = presentedToken;
      return;
    }
    client.reconnectionToken = newToken();
    const changed = turned(before, presentedHash, hashToken(client.reconnectionToken));
    activation.tokens.set(sessionId, changed);
    const changing = seats.changeToken({ roomId, epoch, sessionId }, changed);
    const facts = { roomId, why: "the new token is not durable yet" };
    const isDurable = await within(
      clock,
      CHANGE_TOKEN_MS,
      changing,
      () => new RingsideError("POSTGRES_UNREACHABLE", facts),
    ).catch(() => false);
    if (isDurable || presentedToken === undefined || activation.tokens.get(sessionId) !== changed) return;
    // They are let in all the same, also while there is no Postgres. What they came with is good whatever became of this:
    // it is either still the newest there, or the one before.
    activation.tokens.set(sessionId, notTurned(changed, presentedHash));
    client.reconnectionToken = presentedToken;
  }
}
