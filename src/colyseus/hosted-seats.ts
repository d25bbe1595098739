// How seats and rooms end when they are hosted: a broken connection is a drop, a seat lapses and a room ends only while the
// room is this node's, and a room whose author says nothing of drops keeps its players' seats all the same.

import { ClientState, CloseCode, Room, type Client, type ClientPrivate, type Deferred } from "@colyseus/core";
import { override, untilOwned } from "./override.ts";
import type { RoomGuard } from "./room-guard.ts";
import { internals } from "./room-internals.ts";

/** A room's class as its author wrote it. */
export type RoomClass = (new () => Room) & { readonly prototype: Room };

/**
 * A connection that breaks before the player has acknowledged the join, or while onReconnect runs, loses the seat in
 * stock Colyseus: allowReconnection refuses a client that "has not joined", and a return cut short counts as denied. After
 * a failover that is where connections break, and the seat is durable by then. So it is treated as the drop it is.
 */
export function wrapDrops(room: Room, guard: RoomGuard): void {
  const { allowReconnection } = room;
  const inside = internals(room);
  const { _onLeave } = inside;

  override(room, "allowReconnection", (client: Client & ClientPrivate, seconds: number | "manual") => {
    if (guard.hasSeat(room, client.sessionId) && isCutOff(client)) delete client._enqueuedMessages;
    const isKnown = inside._reconnections[client.reconnectionToken] !== undefined;
    const pending = allowReconnection.call(room, client, seconds);
    // Authors leave this promise alone, as Colyseus's own examples do. Its rejection is told by onLeave.
    pending.catch(() => {});
    if (!isKnown && Number.isFinite(seconds)) lapseWhileOwned(room, guard, client, Number(seconds) * 1_000);
    return pending;
  });

  override(room, "_onLeave", async (client: Client & ClientPrivate, code?: number) => {
    const waiting = untilOwned(room, guard);
    if (waiting !== undefined) await waiting;
    const isReturnCutShort =
      isCutOff(client) &&
      (client.state === ClientState.RECONNECTING || code === CloseCode.FAILED_TO_RECONNECT);
    if (isReturnCutShort) client.state = ClientState.JOINING; // so that onDrop is called, not onLeave
    await _onLeave.call(room, client, isReturnCutShort ? CloseCode.ABNORMAL_CLOSURE : code);
    // Colyseus says nothing of a player who left while onJoin ran.
    if (!isSeatInUse(room, client)) guard.left(room, client.sessionId);
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
function lapseWhileOwned(room: Room, guard: RoomGuard, client: Client, ms: number): void {
  const { _reconnections, _reservedSeatTimeouts } = internals(room);
  const { sessionId, reconnectionToken } = client;
  const pending: Deferred<Client> | undefined = _reconnections[reconnectionToken]?.[1];
  const arm = (): void => {
    if (pending === undefined || _reconnections[reconnectionToken]?.[1] !== pending) return;
    clearTimeout(_reservedSeatTimeouts[sessionId]);
    _reservedSeatTimeouts[sessionId] = setTimeout(() => {
      const waiting = untilOwned(room, guard);
      if (waiting === undefined) pending.reject(false);
      else void waiting.then(arm);
    }, ms);
  };
  arm();
}

/** The author's onDispose, and all that leads to it, only while the room is ours. */
export function wrapEnd(room: Room, guard: RoomGuard): void {
  const inside = internals(room);
  const { _events } = inside;
  const emit = _events.emit.bind(_events);
  let isHeldBack = false;
  _events.emit = (name, ...args) => {
    if (name !== "dispose") return emit(name, ...args);
    if (isHeldBack) return false;
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
  const hasLapsed = new WeakSet<Client>();
  const { allowReconnection } = room;
  override(room, "onDrop", (client: Client, code?: number) => {
    if (!RETURN_CODES.has(code)) return;
    room.allowReconnection(client, guard.seatHoldMs / 1_000).catch(() => hasLapsed.add(client));
  });
  // For an onLeave that calls it where mayKeepSeats cannot see it: that would keep the seat of one who is given up.
  override(room, "allowReconnection", (client: Client, seconds: number | "manual") =>
    hasLapsed.has(client)
      ? Promise.reject(new Error("the seat has lapsed"))
      : allowReconnection.call(room, client, seconds),
  );
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
