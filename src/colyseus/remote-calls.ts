// What another node may have this one do: a table of Colyseus's own requests, and what the game's room class offers itself.
// Stock calls any method of a room, or of what it inherits from, by the name that came (IPC1).
//
// Who asks has shown the cluster's key, so this is no wall between enemies: it is what makes a wrong version, a mistake or a
// stolen name an answer, instead of a call into the inside of a room.

import { Room } from "@colyseus/core";
import { isName } from "../ids.ts";

/** A request as it comes from another node: for a room or a process, by the name of its channel. */
export interface Request {
  readonly to: string;
  readonly method: string | undefined;
  readonly args: readonly unknown[] | undefined;
}

const NAME_LENGTH_MAX = 128;
const ARGS_MAX = 64;
const TO = /^(?:\$|p:)[A-Za-z0-9_-]{1,64}$/u;

/** @returns undefined when this is no request */
export function parseRequest(body: unknown): Request | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { to, method, args } = body as Partial<Record<string, unknown>>;
  if (typeof to !== "string" || !TO.test(to)) return undefined;
  if (!isAbsent(method) && (typeof method !== "string" || method.length > NAME_LENGTH_MAX)) return undefined;
  if (!isAbsent(args) && (!Array.isArray(args) || args.length > ARGS_MAX)) return undefined;
  return { to, method: method ?? undefined, args: (args as unknown[] | null) ?? undefined };
}

/** @returns why a process does not do this, if so */
export function refusedByProcess({ method, args = [] }: Request): string | undefined {
  if (method === "healthcheck") return undefined;
  if (method !== undefined) return `a process has no method ${method}`;
  const [name, options, restoringId, presetId, ...more] = args;
  const isCreation =
    typeof name === "string" &&
    (isAbsent(options) || isRecord(options)) &&
    isAbsent(restoringId) &&
    (isAbsent(presetId) || isName(presetId)) &&
    more.length === 0;
  return isCreation ? undefined : "this is no request to create a room";
}

/** What Colyseus's matchmaker asks of rooms on other nodes. */
const MATCHMAKING: Readonly<Record<string, (args: readonly unknown[]) => boolean>> = {
  _reserveSeat: ([sessionId, options, , ...more]) =>
    isName(sessionId) && (isAbsent(options) || isRecord(options)) && more.length === 0,
  _reserveMultipleSeats: ([sessionIds, options, auths, ...more]) =>
    Array.isArray(sessionIds) &&
    sessionIds.every(isName) &&
    [options, auths].every((each) => Array.isArray(each) && each.length === sessionIds.length) &&
    more.length === 0,
  checkReconnectionToken: ([token, ...more]) => typeof token === "string" && more.length === 0,
};

/** What is public in every room, and says something to a game on another node. */
const PUBLIC_METHODS: ReadonlySet<string> = new Set([
  "broadcast",
  "disconnect",
  "getInspectorView",
  "hasReachedMaxClients",
  "kickClient",
  "lock",
  "setMatchmaking",
  "setMetadata",
  "setPrivate",
  "unlock",
]);
const PUBLIC_FIELDS: ReadonlySet<string> = new Set([
  "clients",
  "locked",
  "maxClients",
  "metadata",
  "roomId",
  "roomName",
  "state",
]);
/** What Colyseus calls, by its time, wherever the author has put it. */
const HOOKS: ReadonlySet<string> = new Set([
  "onAuth",
  "onBeforePatch",
  "onBeforeShutdown",
  "onCacheRoom",
  "onCreate",
  "onDispose",
  "onDrop",
  "onJoin",
  "onLeave",
  "onReconnect",
  "onRestoreRoom",
  "onUncaughtException",
]);
/** Fields that each room has of its own, and that are the framework's to use. */
export const ROOM_FIELDS: ReadonlySet<string> = new Set([
  "autoDispose",
  "clients",
  "clock",
  "inputs",
  "maxClients",
  "maxMessagesPerSecond",
  "messages",
  "patchRate",
  "plugins",
  "presence",
  "seatReservationTimeout",
  "state",
  "unreliablePatchRate",
]);

/** @returns why a room does not do this, if so. Without arguments, what is no method is read, as in stock. */
export function refusedByRoom(room: Room, { method, args }: Request): string | undefined {
  if (method === undefined) return "a request of a room names what it asks for";
  if (Object.hasOwn(MATCHMAKING, method)) {
    return MATCHMAKING[method]?.(args ?? []) === true ? undefined : `these are no arguments of ${method}`;
  }
  if (PUBLIC_METHODS.has(method)) return undefined;
  if (PUBLIC_FIELDS.has(method)) return args === undefined ? undefined : `${method} is no method`;
  const offered = offeredBy(room, method);
  if (offered === undefined) return `the room offers nothing called ${method}`;
  if (typeof offered.value !== "function" && args !== undefined) return `${method} is no method`;
  return undefined;
}

/** A method of the author's classes, or a field that they have set: no getter, no hook, nothing that every room has. */
function offeredBy(room: Room, name: string): PropertyDescriptor | undefined {
  const isTheFrameworks =
    name.startsWith("_") || name in Room.prototype || HOOKS.has(name) || ROOM_FIELDS.has(name);
  if (isTheFrameworks) return undefined;
  const own = Object.getOwnPropertyDescriptor(room, name);
  if (own !== undefined) return own.enumerable === true && "value" in own ? own : undefined;
  for (
    let prototype: unknown = Object.getPrototypeOf(room);
    prototype !== Room.prototype && typeof prototype === "object" && prototype !== null;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    const found = Object.getOwnPropertyDescriptor(prototype, name);
    if (found !== undefined) return typeof found.value === "function" ? found : undefined;
  }
  return undefined;
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
