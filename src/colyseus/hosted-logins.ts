// Rooms where players are signed in: who joins is asked once, when the seat is reserved, and whoever then comes to the seat
// must be the same.
//
// Colyseus reserves a seat for one HTTP request and gives it to whichever connection brings its session id. So the login of
// the request goes along with the join's options to the room's owner, unseen by the room, and is compared there.

import { Room, ServerError, type AuthContext, type Client, type ClientPrivate } from "@colyseus/core";
import { isRefused, type Auth, type Login } from "../auth/login.ts";
import { attachAuth, attachLogins, type RoomLogins } from "../auth/room-auth.ts";
import { ERRORS } from "../errors.ts";
import { override } from "./override.ts";
import type { RoomClient } from "./room-client.ts";
import { internals } from "./room-internals.ts";

/** With which login a seat was asked for; "" for none. A client's own value is overwritten. */
const LOGIN_OPTION = "ringside:login";

type OnAuth = (typeof Room)["onAuth"];

/** What rooms without an onAuth of their own ask: whose token is it? */
export function askForLogins(logins: RoomLogins): void {
  Room.onAuth = async (token, options, context) => {
    const auth = await identify(logins, token, context);
    note(options, auth);
    return auth ?? true;
  };
}

/** An author's static onAuth, behind the same question. */
export function withLogin(onAuth: OnAuth, logins: RoomLogins): OnAuth {
  return async function (this: typeof Room, token, options, context) {
    const auth = await identify(logins, token, context);
    if (isRecord(options)) delete options[LOGIN_OPTION];
    const result = await onAuth.call(this, token, options, context);
    note(options, auth);
    return result;
  };
}

/** @throws ServerError 401 or 403 */
async function identify(
  logins: RoomLogins,
  token: string | null | undefined,
  context: AuthContext,
): Promise<Auth | undefined> {
  if (token === undefined || token === null || token === "") {
    if (logins.isRequired) throw new ServerError(ERRORS.NOT_SIGNED_IN.http, ERRORS.NOT_SIGNED_IN.text);
    return undefined;
  }
  const auth = await logins.identify(token);
  if (isRefused(auth)) throw new ServerError(ERRORS[auth.code].http, auth.text);
  attachAuth(context, auth);
  return auth;
}

function note(options: unknown, auth: Auth | undefined): void {
  if (isRecord(options)) options[LOGIN_OPTION] = auth === undefined ? "" : nameOf(auth);
}

export function wrapLogins(room: Room, logins: RoomLogins): void {
  const inside = internals(room);
  const { _onJoin, _reserveSeat } = inside;
  const { onCreate } = room;
  const askedBy = new WeakMap<object, string>();

  override(room, "onCreate", (options: unknown) => {
    const given = isRecord(options) ? { ...options } : options;
    if (isRecord(given)) delete given[LOGIN_OPTION];
    return onCreate?.call(room, given);
  });

  override(
    room,
    "_reserveSeat",
    async (sessionId: string, options: unknown, ...rest: [unknown, number?, boolean?]) => {
      const name = isRecord(options) ? options[LOGIN_OPTION] : undefined;
      if (isRecord(options)) delete options[LOGIN_OPTION];
      const isReserved = await _reserveSeat.call(room, sessionId, options, ...rest);
      const seat = inside._reservedSeats[sessionId];
      if (isReserved && seat !== undefined && typeof name === "string") askedBy.set(seat, name);
      return isReserved;
    },
  );

  override(
    room,
    "_onJoin",
    async (
      client: Client & ClientPrivate & Partial<RoomClient>,
      context: AuthContext,
      options?: { reconnectionToken?: string },
    ) => {
      attachLogins(client, logins);
      const seat = inside._reservedSeats[client.sessionId];
      // A seat that the game itself has reserved is for whoever brings its session id.
      const asked = seat === undefined ? undefined : askedBy.get(seat);
      const isReturn = options?.reconnectionToken !== undefined;
      if (!isReturn && asked !== undefined && asked !== (client.login ? nameOf(client.login) : "")) {
        throw new ServerError(ERRORS.TOKEN_REFUSED.http, ERRORS.TOKEN_REFUSED.text);
      }
      await _onJoin.call(room, client, context, options);
    },
  );
}

function nameOf({ loginId, userId }: Login): string {
  return `${loginId} ${userId}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
