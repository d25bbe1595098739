// How seats and rooms end when they are hosted: a broken connection is a drop, a seat lapses and a room ends only while the
// room is this node's, and a room whose author says nothing of drops keeps its players' seats all the same. Who comes back
// to a seat is in seat-return.ts.

import { ClientState, CloseCode, Room, type Client, type ClientPrivate, type Deferred } from "@colyseus/core";
import { ERRORS } from "../errors.ts";
import { Leaves } from "./leaves.ts";
import { override, untilOwned } from "./override.ts";
import type { RoomGuard } from "./room-guard.ts";
import { internals } from "./room-internals.ts";
import { decided, isTold, undecided } from "./seat-return.ts";

/** A room's class as its author wrote it. */
export type RoomClass = (new () => Room) & { readonly prototype: Room };

/** What setTimeout can wait at most: 24 days. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** Rooms whose seats are kept by keepSeats: their authors have no rule of their own. */
const withoutRule = new WeakSet<Room>();
/** Players who were given up: a hook that keeps their seats now would keep them for ever. */
const givenUp = new WeakSet<Client>();

const leaves = new Leaves();

/** The same as untilOwned, but for ever pending when the room is on its way: its next owner finds out by itself who is gone. */
function untilStaying(room: Room, guard: RoomGuard): Promise<void> | undefined {
  return guard.isMoving(room) ? new Promise(() => {}) : untilOwned(room, guard);
}

/** Resolves when all who are just leaving this room have left it, or their seats are kept. */
export function untilLeft(room: Room): Promise<void> {
  return leaves.none(room);
}

/**
 * A connection that breaks before the player has acknowledged the join, or while onReconnect runs, loses the seat in
 * stock Colyseus: allowReconnection refuses a client that "has not joined", and a return cut short counts as denied. After
 * a failover that is where connections break, and the seat is durable by then. So it is treated as the drop it is. Only
 * one who cannot have been told of the seat has none.
 */
export function wrapDrops(room: Room, guard: RoomGuard): void {
  const { allowReconnection } = room;
  const inside = internals(room);
  const { _onLeave, _onMessage } = inside;

  override(room, "allowReconnection", (client: Client & ClientPrivate, seconds: number | "manual") => {
    if (givenUp.has(client)) {
      const refused = Promise.reject(new Error("the seat has lapsed"));
      refused.catch(() => {}); // authors leave it alone
      return refused;
    }
    const isSeated = guard.hasSeat(room, client.sessionId) && isTold(client);
    if (isSeated && isCutOff(client)) delete client._enqueuedMessages;
    const pending = allowReconnection.call(room, client, seconds);
    // Authors leave this promise alone, as Colyseus's own examples do. Its rejection is told by onLeave.
    pending.catch(() => {});
    if (inside._reconnections[client.reconnectionToken] === undefined) return pending;
    const ms = Number.isFinite(seconds) ? Number(seconds) * 1_000 : Number.POSITIVE_INFINITY;
    if (guard.kept(room, client, ms) && Number.isFinite(ms)) lapseAfter(room, guard, client, ms);
    decided(room, client.sessionId);
    leaves.end(room, client);
    return pending;
  });

  override(room, "_onLeave", async (client: Client & ClientPrivate, code?: number) => {
    const waiting = untilStaying(room, guard);
    if (waiting !== undefined) await waiting;
    const { sessionId } = client;
    // Who never said that they have heard of their seat would otherwise hold it for as long as a return takes.
    if (code === ERRORS.JOIN_UNANSWERED.close) giveUpFor(client);
    // Whoever was signed out or suspended does not come back: no hook can keep their seat.
    if (code === ERRORS.SESSION_REVOKED.close || code === ERRORS.SUSPENDED.close) giveUpFor(client);
    const isReturnCutShort =
      isCutOff(client) &&
      (client.state === ClientState.RECONNECTING || code === CloseCode.FAILED_TO_RECONNECT);
    if (isReturnCutShort) client.state = ClientState.JOINING; // so that onDrop is called, not onLeave
    const isThere = room.clients.get(sessionId) === client;
    if (isThere) {
      undecided(room, sessionId);
      leaves.begin(room, client);
    }
    try {
      await _onLeave.call(room, client, isReturnCutShort ? CloseCode.ABNORMAL_CLOSURE : code);
      if (isThere) decided(room, sessionId);
      // Colyseus says nothing of a player who left while onJoin ran. And who asked to leave is told when it is durable.
      if (!isSeatInUse(room, client)) await guard.left(room, sessionId);
    } finally {
      leaves.end(room, client);
    }
  });

  override(room, "_onMessage", (client: Client & ClientPrivate, bytes: Buffer) => {
    const wasJoining = client.state === ClientState.JOINING;
    _onMessage.call(room, client, bytes);
    if (wasJoining && client.state === ClientState.JOINED) guard.acknowledged(room, client);
  });
}

function isSeatInUse(room: Room, client: Client): boolean {
  const isKept = internals(room)._reservedSeats[client.sessionId]?.[3] === true;
  return isKept || room.clients.get(client.sessionId) !== undefined;
}

/**
 * Lets a seat that was just kept lapse only while the room is ours. Where it is not, the player could not have come back,
 * so their time starts anew.
 */
function lapseAfter(room: Room, guard: RoomGuard, client: Client, ms: number): void {
  const { _reconnections } = internals(room);
  const { sessionId, reconnectionToken } = client;
  const pending: Deferred<Client> | undefined = _reconnections[reconnectionToken]?.[1];
  onSeatTime(
    room,
    sessionId,
    ms,
    () => untilStaying(room, guard),
    () => {
      if (pending !== undefined && _reconnections[reconnectionToken]?.[1] === pending) pending.reject(false);
    },
  );
}

/**
 * Calls `work` when a seat has waited for `ms`, in place of what it waited for before. Not at all when its player comes
 * back or the room goes elsewhere; while the room is not ours, its time starts anew.
 */
export function onSeatTime(
  room: Room,
  sessionId: string,
  ms: number,
  owned: () => Promise<void> | undefined,
  work: () => void,
): void {
  const { _reservedSeatTimeouts } = internals(room);
  clearTimeout(_reservedSeatTimeouts[sessionId]);
  const timeout = setTimeout(
    () => {
      const waiting = owned();
      if (waiting === undefined) work();
      else {
        void waiting.then(() => {
          if (_reservedSeatTimeouts[sessionId] === timeout) onSeatTime(room, sessionId, ms, owned, work);
        });
      }
    },
    Math.min(ms, TIMEOUT_MS_MAX),
  );
  _reservedSeatTimeouts[sessionId] = timeout;
}

/** From now on no hook can keep this player's seat. */
export function giveUpFor(client: Client): void {
  givenUp.add(client);
}

/** Whether the room's author has a rule for broken connections. */
export function hasOwnRule(room: Room): boolean {
  return !withoutRule.has(room);
}

/** The author's onDispose, and all that leads to it, only while the room is ours. */
export function wrapEnd(room: Room, guard: RoomGuard): void {
  const inside = internals(room);
  const { _events } = inside;
  const emit = _events.emit.bind(_events);
  let isHeldBack = false;
  _events.emit = (name, ...args) => {
    if (name !== "dispose") return emit(name, ...args);
    if (isHeldBack || guard.isMoving(room)) return false;
    const waiting = untilOwned(room, guard);
    if (waiting === undefined) return emit(name, ...args);
    isHeldBack = true;
    void waiting.then(() => {
      isHeldBack = false;
      inside.resetAutoDisposeTimeout(); // it may have players again by then
    });
    return false;
  };

  const { onDispose } = room;
  if (onDispose === undefined) return;
  override(room, "onDispose", () => {
    const waiting = untilOwned(room, guard);
    return waiting === undefined ? onDispose.call(room) : waiting.then(() => onDispose.call(room));
  });
}

/**
 * Whether the author may keep seats in what was there before onDrop: an onLeave that calls allowReconnection. That it will
 * cannot be seen from outside before it has taken the player out of the game, so the source is asked.
 */
export function mayKeepSeats(Authored: RoomClass): boolean {
  const written: unknown[] = [Authored.prototype.onLeave];
  for (let Class: unknown = Authored; typeof Class === "function" && Class !== Room;) {
    written.push(Class);
    Class = Object.getPrototypeOf(Class);
  }
  return written.some((code) => typeof code === "function" && code.toString().includes("allowReconnection"));
}

/**
 * Gives a room an onDrop that keeps the seat: a gateway that dies would otherwise end the sessions of all whose sockets
 * led over it, though the room is well. onLeave follows when nobody has come back.
 */
export function keepSeats(room: Room, guard: RoomGuard): void {
  withoutRule.add(room);
  override(room, "onDrop", (client: Client, code?: number) => {
    if (!RETURN_CODES.has(code)) return;
    // An onLeave that calls allowReconnection where mayKeepSeats cannot see it would keep the seat of one who is given up.
    room.allowReconnection(client, guard.seatHoldMs / 1_000).catch(() => giveUpFor(client));
  });
}

/** The close codes after which the stock SDK tries to come back; at any other it knows that it has left. */
const RETURN_CODES: ReadonlySet<number | undefined> = new Set([
  CloseCode.GOING_AWAY,
  CloseCode.NO_STATUS_RECEIVED,
  CloseCode.ABNORMAL_CLOSURE,
  CloseCode.MAY_TRY_RECONNECT,
]);

function isCutOff(client: ClientPrivate): boolean {
  return client.readyState !== WebSocket.OPEN;
}
