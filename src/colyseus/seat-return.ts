// Who may sit down in a seat that is somebody's (SEAT3): whoever brings its reconnection token and, where the player joined
// with an auth token, is that user. A wrong token changes nothing at all; of right ones the newest connection has the seat.
//
// Inside the room a token goes by its hash: what Colyseus is given as `reconnectionToken` was hashed on the way in.

import { isDeepStrictEqual } from "node:util";
import {
  ClientState,
  ErrorCode,
  Room,
  ServerError,
  type AuthContext,
  type Client,
  type ClientPrivate,
  type Deferred,
} from "@colyseus/core";
import { ERRORS } from "../errors.ts";
import { statesMayChange } from "./full-states.ts";
import { override } from "./override.ts";
import type { RoomClient } from "./room-client.ts";
import type { RoomGuard } from "./room-guard.ts";
import { internals, silence } from "./room-internals.ts";

type AnyClient = Client & ClientPrivate;

/** The auth tokens with which players joined. */
const logins = new WeakMap<Client, string>();
/** Players who were sent the token of their seat. */
const told = new WeakSet<Client>();
/** Players whose connections broke and whose rooms have not said yet what becomes of their seats. */
const undecidedIn = new WeakMap<Room, Map<string, PromiseWithResolvers<void>>>();

export function wrapReturns(room: Room, guard: RoomGuard): void {
  const inside = internals(room);
  const { _onJoin, _reserveSeat } = inside;
  const { hasReservedSeat } = room;

  // Whether a token opens the seat, and from when on the answer may be given, is for _onJoin: here is no time to wait.
  override(room, "hasReservedSeat", (sessionId: string, hash?: string) =>
    hash === undefined ? hasReservedSeat.call(room, sessionId) : true,
  );

  override(
    room,
    "_onJoin",
    async (client: AnyClient, context: AuthContext, options?: { reconnectionToken?: string }) => {
      statesMayChange(); // an author's onAuth may be what runs first
      const { sessionId } = client;
      const hash = options?.reconnectionToken;
      if (hash === undefined) {
        if (isText(context.token)) logins.set(client, context.token);
        await _onJoin.call(room, client, context, options);
      } else {
        await untilAllowed(room, guard, client, hash, context);
        takeOver(room, client);
        const name = nameOf(room, sessionId);
        if (name === undefined) throw refusal();
        told.add(client); // what they came with opens the seat until they have heard of the next one
        await _onJoin.call(room, client, context, { ...options, reconnectionToken: name });
      }
      if (client.state !== ClientState.LEAVING) told.add(client);
    },
  );

  // The author's onAuth may choose session ids. One that is somebody's opens no second way to their seat.
  override(
    room,
    "_reserveSeat",
    async (
      sessionId: string,
      joinOptions: unknown,
      auth: unknown,
      seconds?: number,
      isForReturn?: boolean,
    ) => {
      const [, , isConsumed, isKept] = inside._reservedSeats[sessionId] ?? [];
      const isThere = room.clients.get(sessionId) !== undefined || isConsumed === true || isKept === true;
      const isSomebodys = isThere && isForReturn !== true;
      return !isSomebodys && _reserveSeat.call(room, sessionId, joinOptions, auth, seconds, isForReturn);
    },
  );

  // The way back after a page was loaded again: over HTTP, with nothing but the token. Whoever is in the seat stays there
  // until the newer connection has come.
  override(room, "checkReconnectionToken", async (token: unknown) => {
    const sessionId = typeof token === "string" ? guard.sessionOf(room, token) : undefined;
    if (sessionId === undefined) await guard.wrongToken(room, undefined, undefined);
    return sessionId;
  });
}

/** Whether this player can know the token of their seat. */
export function isTold(client: Client): boolean {
  return told.has(client);
}

/** The auth token with which a player joined, if their client sent one. */
export function loginOf(client: Client): string | undefined {
  return logins.get(client);
}

/** Keeps a seat without a word to the room's author and without an end; whoever asks for it sees to that. */
export function keepFor(room: Room, client: Client): Deferred<Client> {
  const pending = Room.prototype.allowReconnection.call(room, client, "manual");
  pending.catch(() => {});
  return pending as Deferred<Client>;
}

/** A connection broke; what becomes of the seat is being asked of the room. */
export function undecided(room: Room, sessionId: string): void {
  let waits = undecidedIn.get(room);
  if (waits === undefined) undecidedIn.set(room, (waits = new Map()));
  waits.set(sessionId, Promise.withResolvers());
}

/** The room has said what becomes of a seat. */
export function decided(room: Room, sessionId: string): void {
  const waits = undecidedIn.get(room);
  waits?.get(sessionId)?.resolve();
  waits?.delete(sessionId);
}

/** @throws ServerError when this is not the seat's player, as soon as that may be said, or when they are gone */
async function untilAllowed(
  room: Room,
  guard: RoomGuard,
  client: AnyClient,
  hash: string,
  context: AuthContext,
): Promise<void> {
  const { sessionId } = client;
  // Who is connected was let in once. The auth token of then may be over by now, and theirs is not asked for again.
  const { isConnected } = client as Partial<RoomClient>;
  const isRight =
    guard.opensSeat(room, sessionId, hash) &&
    (isConnected === true || (await isSameUser(room, guard, client, context)));
  if (!isRight) {
    await guard.wrongToken(room, sessionId, context.ip);
    throw refusal();
  }
  // A quick player is back before a slow hook has kept their seat.
  await undecidedIn.get(room)?.get(sessionId)?.promise;
  if (client.readyState !== WebSocket.OPEN || !guard.opensSeat(room, sessionId, hash)) throw refusal();
  if (isConnected === true && isSuperseded(room, guard, sessionId, hash)) throw new SeatTaken();
}

/** A newer connection sits there, which has not said yet that it has heard of its token. */
export class SeatTaken extends ServerError {
  constructor() {
    super(ErrorCode.MATCHMAKE_EXPIRED, ERRORS.SEAT_TAKEN.text);
  }
}

/**
 * Whether the seat of a connection that lost its place has gone to a newer one meanwhile, which has not said yet that it has
 * heard of its token. What sits there may also be that same connection's former place.
 */
function isSuperseded(room: Room, guard: RoomGuard, sessionId: string, hash: string): boolean {
  const there = room.clients.get(sessionId) as (AnyClient & Partial<RoomClient>) | undefined;
  if (there === undefined) return false;
  const token = there.isConnected === true ? there.presentedToken : there.reconnectionToken;
  return token !== undefined && guard.resolveToken(room, sessionId, token) !== hash;
}

/**
 * Whether who comes with the token is who joined, as far as that can be told. The stock SDK sends the auth token that the
 * page has (`client.auth.token`), and nothing else, when it joins and when it returns. The same one is the same user; of
 * another, which a page has after it was loaded again or the login was renewed, the room's onAuth is asked whose it is.
 */
async function isSameUser(
  room: Room,
  guard: RoomGuard,
  client: AnyClient,
  context: AuthContext,
): Promise<boolean> {
  const { sessionId } = client;
  const given = isText(context.token) ? context.token : undefined;
  const isSame = guard.isSameLogin(room, sessionId, given);
  if (isSame !== false) return true;
  if (given === undefined) return false;
  const { onAuth } = room.constructor as typeof Room;
  try {
    let auth: unknown = await onAuth.call(room.constructor, given, {}, context);
    if (onAuth === Room.onAuth && room.onAuth !== Room.prototype.onAuth) {
      const result: unknown = await room.onAuth(client, {}, context);
      if (result !== true || auth === true) auth = result; // `true` adds nothing to what the token says
    } else if (onAuth === Room.onAuth && auth === true) {
      return true; // a room that asks nobody who they are
    }
    return isSameAuth(authOf(room, sessionId), auth);
  } catch {
    return false; // that is how onAuth refuses
  }
}

function authOf(room: Room, sessionId: string): unknown {
  return room.clients.get(sessionId)?.auth ?? internals(room)._reservedSeats[sessionId]?.[1];
}

/** Under what name an id goes in what onAuth gives, most often. */
const ID_FIELDS = ["id", "_id", "userId", "uid", "sub"];

/** Whether two answers of an author's onAuth are about the same user: by their id, or as a whole where there is none. */
export function isSameAuth(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined || !other) return false;
  if (isRecord(one) && isRecord(other)) {
    const field = ID_FIELDS.find((name) => one[name] !== undefined && one[name] !== null);
    if (field !== undefined) return isDeepStrictEqual(plain(one[field]), plain(other[field]));
  }
  return isDeepStrictEqual(plain(one), plain(other));
}

/**
 * Ends the connection that has the seat. The player is not away for a moment, so the room hears of no drop, only of the
 * return. The close tells an old page that it has lost the seat, so that it does not come to take it back.
 */
function takeOver(room: Room, { sessionId }: Client): void {
  const before = room.clients.get(sessionId) as AnyClient | undefined;
  if (before === undefined) return;
  silence(before);
  room.clients.delete(before);
  before.state = ClientState.LEAVING;
  delete before._enqueuedMessages; // as one who has joined, whether or not they said so
  keepFor(room, before);
  const socket = before.ref as unknown as WebSocket & { terminate(): void };
  socket.close(ERRORS.SEAT_TAKEN.close, ERRORS.SEAT_TAKEN.text);
  socket.terminate(); // it may lead nowhere: over a frozen gateway, or a network that the player has left
}

/** The name by which Colyseus knows a seat that is kept. */
function nameOf(room: Room, sessionId: string): string | undefined {
  const { _reconnections, _reservedSeats } = internals(room);
  if (_reservedSeats[sessionId]?.[3] !== true) return undefined;
  return Object.keys(_reconnections).find((name) => _reconnections[name]?.[0] === sessionId);
}

function refusal(): ServerError {
  return new ServerError(ErrorCode.MATCHMAKE_EXPIRED, ERRORS.SEAT_UNKNOWN.text);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** As it is after a journey through Postgres. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value) ?? "null") as unknown);
}
