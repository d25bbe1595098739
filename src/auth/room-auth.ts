// What rooms ask of logins. A room knows nothing of the node that it is on; this finds its way there.
//
// Where a cluster has logins, `client.auth` of a room without an onAuth of its own is who the player is: { userId, loginId,
// isGuest } and what whoever signed them in has said of them. A room with its own static onAuth decides itself, as on any
// Colyseus server; the token that it is given was found good, and `authOf(context)` is what stands in it.

import { ServerError, type AuthContext, type Client } from "@colyseus/core";
import { ERRORS, RingsideError } from "../errors.ts";
import type { Auth, Login, Refusal } from "./login.ts";

/** What a node does for the logins of its rooms' players. */
export interface RoomLogins {
  /** Whether nobody joins without a login. */
  readonly isRequired: boolean;
  /** Whose token it is. */
  identify(token: string): Promise<Auth | Refusal>;
  /** @throws when Postgres cannot be asked */
  fresh(login: Login): Promise<Refusal | undefined>;
}

const auths = new WeakMap<AuthContext, Auth>();
const loginsOf = new WeakMap<Client, RoomLogins>();

/** @internal */
export function attachAuth(context: AuthContext, auth: Auth): void {
  auths.set(context, auth);
}

/** @internal */
export function attachLogins(client: Client, logins: RoomLogins): void {
  loginsOf.set(client, logins);
}

/** In a static onAuth: who the player is, by their token; undefined for one who is not signed in. */
export function authOf(context: AuthContext): Auth | undefined {
  return auths.get(context);
}

/**
 * For a room that only players who are signed in may join: `static override onAuth = signedIn;`
 *
 * @throws ServerError 401 for anybody else
 */
export function signedIn(_token: string, _options: unknown, context: AuthContext): Promise<Auth> {
  const auth = authOf(context);
  if (auth !== undefined) return Promise.resolve(auth);
  return Promise.reject(new ServerError(ERRORS.NOT_SIGNED_IN.http, ERRORS.NOT_SIGNED_IN.text));
}

/**
 * Whether a player is still who they were when they joined, by the database's own word now: before what must not be done for
 * one who was signed out a second ago. Players who are not signed in have nothing to be asked.
 *
 * @returns who they are; undefined for one who is not signed in
 * @throws RingsideError SESSION_REVOKED or SUSPENDED: their connection is closed in a moment; POSTGRES_UNREACHABLE: it is not
 *   known; NO_CLUSTER on a plain Colyseus server, or where SESSIONS is off
 */
export async function freshAuth(client: Client): Promise<Auth | Login | undefined> {
  const logins = loginsOf.get(client);
  if (logins === undefined) throw new RingsideError("NO_CLUSTER", { hint: "or SESSIONS is off" });
  const { auth, login } = client as { auth?: unknown; login?: Login | undefined };
  const who = isLogin(auth) ? auth : login;
  if (who === undefined) return undefined;
  let refused: Refusal | undefined;
  try {
    refused = await logins.fresh(who);
  } catch (error) {
    throw new RingsideError("POSTGRES_UNREACHABLE", {}, error);
  }
  if (refused !== undefined) throw new RingsideError(refused.code, { why: refused.text });
  return who;
}

function isLogin(auth: unknown): auth is Auth {
  if (typeof auth !== "object" || auth === null) return false;
  const { userId, loginId } = auth as Partial<Login>; // any object may be read this way
  return typeof userId === "string" && typeof loginId === "string";
}
