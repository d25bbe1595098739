// What Ringside reads and calls of a Colyseus room that is not public API, in one place.
// Checked against core 0.18.17 by test/contract/colyseus-internals.test.ts.

import { EventEmitter } from "node:events";
import {
  ClientState,
  type AuthContext,
  type Client,
  type ClientPrivate,
  type Deferred,
  type Room,
} from "@colyseus/core";
import type { Encoder } from "@colyseus/schema";
import { tellAbsentFields } from "./state-absent.ts";

export interface RoomInternals {
  readonly _events: EventEmitter;
  _listing: {
    roomId: string | undefined;
    processId: string;
    clients: number;
    metadata: unknown;
    private: boolean;
    unlisted: boolean;
    locked: boolean;
  };
  readonly _reservedSeats: Record<
    string,
    readonly [options: unknown, auth: unknown, isConsumed?: boolean, isHeldForReturn?: boolean]
  >;
  readonly _reservedSeatTimeouts: Record<string, NodeJS.Timeout>;
  readonly _reconnections: Record<string, [sessionId: string, pending: Deferred<Client>]>;
  readonly _serializer: {
    readonly encoder?: Encoder;
    handshake?(): Uint8Array | undefined;
    getFullState?(client: Client): Uint8Array;
    applyPatches(clients: Client[], ...rest: unknown[]): boolean;
  };
  /** Only where the room hears inputs. */
  readonly _inputController?: unknown;
  _simulationInterval: NodeJS.Timeout | undefined;
  readonly _lockedExplicitly: boolean;
  _onJoin(
    client: Client & ClientPrivate,
    context: AuthContext,
    options?: { readonly reconnectionToken?: string; readonly skipHandshake?: boolean },
  ): Promise<void>;
  _onMessage(client: Client & ClientPrivate, bytes: Buffer): void;
  _onLeave(client: Client & ClientPrivate, code?: number): Promise<unknown>;
  _reserveSeat(
    sessionId: string,
    options: unknown,
    auth: unknown,
    seconds?: number,
    isForReturn?: boolean,
  ): Promise<boolean>;
  checkReconnectionToken(token: string): string | undefined;
  resetAutoDisposeTimeout(seconds?: number): void;
  sendFullState(client: Client): void;
}

/** The same room, seen from inside. The cast is what this file is for; the contract test proves that it holds. */
export function internals(room: Room): RoomInternals {
  return room as unknown as RoomInternals;
}

/** Whether the room's state, or what a player may see of it, has changes that no patch has carried yet. */
export function hasUnsentChanges(room: Room): boolean {
  const encoder = internals(room)._serializer.encoder;
  if (encoder === undefined) return false;
  // Not its `hasChanges`: that is true for as long as a stream holds what nobody was sent, be it forever. What streams hold
  // is compared instead, where a checkpoint is to know (state-untold.ts).
  if (encoder.root.changes.next !== undefined || encoder.hasUnreliableChanges) return true;
  return encoder.context.hasFilters && room.clients.some(({ view }) => (view?.changes.size ?? 0) > 0);
}

/**
 * Makes the full states of a room that was not restored complete too: a player who was away must also learn of fields
 * that lost their value meanwhile (state-absent.ts).
 */
export function completeFullStates(room: Room): void {
  const { encoder } = internals(room)._serializer;
  if (encoder !== undefined) tellAbsentFields(encoder);
}

/** Sends a player who has missed patches the whole state. One who has not acknowledged the join yet gets it then anyway. */
export function resendState(room: Room, client: Client): void {
  if (room.clients.get(client.sessionId) !== client || client.state !== ClientState.JOINED) return;
  if (room.state !== undefined) internals(room).sendFullState(client);
}

/** Lets the room's clock go on as if no time had passed since its last tick, and `elapsedMs` in all. */
export function setElapsed(room: Room, elapsedMs: number): void {
  room.clock.currentTime = (room.clock as unknown as { now(): number }).now();
  room.clock.deltaTime = 0;
  room.clock.elapsedTime = elapsedMs;
}

/** Hides the author's onDispose by an own property: the room is not disposed, only what this process has of it ends. */
export function hideOnDispose(room: Room): void {
  Object.defineProperty(room, "onDispose", { value: undefined, configurable: true, writable: true });
}

/**
 * Takes a room off this process without a word to anyone: no hook runs, no listing is touched, no client hears. For a
 * room that lives on elsewhere.
 */
export function evict(room: Room): void {
  const inside = internals(room);
  // The row in the listing belongs to the next owner; Colyseus skips a listing without an id.
  inside._listing.roomId = undefined;
  hideOnDispose(room);
  for (const timeout of Object.values(inside._reservedSeatTimeouts)) clearTimeout(timeout);
  for (const client of room.clients) silence(client);
  room.clients.length = 0;
  // Past the check that holds a room's own end back while it is not ours (hosted-class.ts): this is no end of the room.
  EventEmitter.prototype.emit.call(inside._events, "dispose");
}

/** Stops a client's place from calling into its room any more. */
export function silence(client: Client): void {
  const ref = client.ref as EventEmitter & { onleave?: (...args: unknown[]) => void };
  ref.removeAllListeners("message");
  if (ref.onleave !== undefined) ref.removeListener("close", ref.onleave);
}
