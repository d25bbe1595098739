// Who somebody is: the words that all of auth/ shares.
//
// A login begins when somebody signs in and ends when they sign out, are thrown out, or stay away too long. Its access token
// (access-token.ts) says who they are, to any node, without a question; its refresh token (refresh-token.ts) is exchanged for
// the next pair. The stock SDK keeps one string, `client.auth.token`, and sends it with everything, so the two travel as
// `<access>~<refresh>`; of what comes in the refresh part goes no further than auth-door.ts.

import { ERRORS } from "../errors.ts";

export interface Login {
  readonly userId: string;
  readonly loginId: string;
  readonly isGuest: boolean;
}

/** What rooms find in `client.auth`: the login, and what whoever signed the user in has said of them. */
export interface Auth extends Login {
  readonly [claim: string]: unknown;
}

/** Why somebody may not go on, as they are told. */
export interface Refusal {
  readonly code: "NOT_SIGNED_IN" | "SESSION_REVOKED" | "SUSPENDED" | "TOKEN_EXPIRED" | "TOKEN_REFUSED";
  /** The code's own text, where there is no more to say. */
  readonly text: string;
}

/** Claims may have any name but `userId`. */
export function isRefused(answer: Auth | Refusal): answer is Refusal {
  return !("userId" in answer);
}

/** What a token may be long, both parts together. Longer ones are not looked at. */
export const TOKEN_LENGTH_MAX = 4_096;
/** What may be said of a user in an access token, as JSON: it must fit into a URL together with the rest. */
export const CLAIMS_LENGTH_MAX = 1_024;
export const GUEST_PREFIX = "guest-";

const USER_ID = /^[\x21-\x7e]{1,128}$/;

export function isUserId(value: unknown): value is string {
  return typeof value === "string" && USER_ID.test(value);
}

export function refusal(code: Refusal["code"]): Refusal {
  return { code, text: ERRORS[code].text };
}

/** @param leftMs what is left of it */
export function suspended(nowMs: number, leftMs: number, reason: string): Refusal {
  const until = leftMs > FOR_GOOD_MS ? "" : ` until ${new Date(nowMs + leftMs).toISOString().slice(0, 19)}Z`;
  return { code: "SUSPENDED", text: `${ERRORS.SUSPENDED.text}${until}: ${reason}` };
}

/** Postgres tells of a year at most. */
const FOR_GOOD_MS = 364 * 86_400_000;

/** The two parts of what the SDK keeps as one. */
export function splitToken(token: string): { readonly access: string; readonly refresh: string | undefined } {
  const at = token.indexOf("~");
  return at === -1
    ? { access: token, refresh: undefined }
    : { access: token.slice(0, at), refresh: token.slice(at + 1) };
}

export function joinToken(access: string, refresh: string): string {
  return `${access}~${refresh}`;
}

/**
 * What was said of a user, as it may go into a token; undefined when it is no object, or too large. `sessionId` is left out: where
 * `client.auth` has one, Colyseus takes it for the seat's, which is then no secret, and one player's in a room at most.
 */
export function parseClaims(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { sessionId: _, ...claims } = value as Record<string, unknown>; // any object may be read this way
  return JSON.stringify(claims).length <= CLAIMS_LENGTH_MAX ? claims : undefined;
}
