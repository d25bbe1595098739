// What a request must be before anybody looks further: nobody speaks to Colyseus, or to Express, before this. One that Colyseus
// cannot read would otherwise end the process, because its handlers are not awaited.

import type { IncomingMessage } from "node:http";
import type { ErrorCode } from "../errors.ts";
import { isHost } from "./address.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const TARGET_LENGTH_MAX = 8_192;
/** Segments that lead back or nowhere, in every spelling that a URL knows of them. */
const DOTS = /\/(?:\.|%2e){1,2}(?:\/|$)/iu;
/** A browser sends about twenty, and a proxy adds a few. */
const HEADERS_MAX = 100;

export interface SizeRules {
  readonly matchmakeBytesMax: number;
  readonly httpBodyBytesMax: number;
}

/** @returns why the request goes no further, or undefined when Colyseus may see it */
export function inspect(request: IncomingMessage, sizes: SizeRules): ErrorCode | undefined {
  const { method = "", url = "", headers } = request;
  if (!METHODS.has(method)) return "NOT_ALLOWED";
  if (request.rawHeaders.length > HEADERS_MAX * 2) return "HEADERS_TOO_LARGE";
  if (!url.startsWith("/") || url.length > TARGET_LENGTH_MAX) return "BAD_REQUEST";
  const path = url.split(/[?#]/u, 1)[0] ?? "";
  // Some take it for a slash, others for a letter; and some go where dots lead, so that the rules here would be for another
  // path than the one that is served. Who asks by a URL has resolved both before.
  if (path.includes("\\") || DOTS.test(path)) return "BAD_REQUEST";
  if (headers.host === undefined || !isHost(headers.host)) return "BAD_REQUEST";
  // Together, as Colyseus makes one of them.
  if (URL.parse(`http://${headers.host}${url}`) === null) return "BAD_REQUEST";
  if (Number(headers["content-length"] ?? 0) > bodyBytesMax(request, sizes)) return "BODY_TOO_LARGE";
  return undefined;
}

/** Matchmaking: how a player asks for a seat. */
export function isMatchmaking({ method, url = "" }: IncomingMessage): boolean {
  return method === "POST" && /^\/+matchmake\//iu.test(url);
}

/** Where players sign in and out, and refresh what they are known by. */
export function isSignIn({ method, url = "" }: IncomingMessage): boolean {
  return method === "POST" && /^\/+auth\//iu.test(url);
}

/** How large a request's body may be; one that does not tell its size is counted as it comes. */
export function bodyBytesMax(request: IncomingMessage, sizes: SizeRules): number {
  return isMatchmaking(request) ? sizes.matchmakeBytesMax : sizes.httpBodyBytesMax;
}
