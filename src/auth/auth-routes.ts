// What players sign in and out with, over HTTP. `anonymous` and `userdata` are what the stock SDK itself asks for
// (`client.auth.signInAnonymously`, `getUserData`, `onChange`); the others are asked for with `client.http`:
//
//   POST /auth/anonymous    a guest's login; with a refresh token, the login that it is of, refreshed; with {options: {token}},
//                           an exchange. The SDK keeps what this one answers, also for when the page is loaded again
//   POST /auth/refresh      the next token
//   POST /auth/exchange     {token}: a login for whom the game's backend, or its identity provider, names
//   POST /auth/signout      {everywhere?}: ends the login, or all of the user's
//   GET  /auth/userdata     {user}
//   GET  /auth/keys         the public keys, for whoever checks access tokens elsewhere
//
// Any other path below /auth is the game's own. Every answer comes within STORE_MS (an exchange: and 3 s); one that needed Postgres and had none is
// 503, and what was presented is as good as before.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { matchMaker } from "@colyseus/core";
import type { Config } from "../config.ts";
import { ERRORS, hasCode, RingsideError, type ErrorCode } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { isRefusal, type AccessTokens } from "./access-token.ts";
import type { KeySet } from "./keys.ts";
import { GUEST_PREFIX, joinToken, refusal, type Refusal } from "./login.ts";
import type { Continued, Logins } from "./logins.ts";
import { PROVIDER_MS, type OutsideLogins } from "./outside-login.ts";
import type { RefreshToken, RefreshTokens } from "./refresh-token.ts";
import type { Revocations } from "./revocations.ts";

const BODY_BYTES_MAX = 16 * 1024;
const ROUTES = [
  "POST /auth/anonymous",
  "POST /auth/refresh",
  "POST /auth/exchange",
  "POST /auth/signout",
  "GET /auth/userdata",
  "GET /auth/keys",
] as const;
export type AuthRoute = (typeof ROUTES)[number];

/** What came in the Authorization header, taken apart. */
export interface Bearer {
  readonly access: string;
  readonly refresh: string | undefined;
}

export interface AuthRoutesParts {
  readonly config: Pick<Config, "guests" | "storeMs">;
  readonly clock: Clock;
  readonly access: AccessTokens;
  readonly logins: Logins;
  readonly outside: OutsideLogins;
  readonly refreshTokens: RefreshTokens;
  readonly revocations: Revocations;
  readonly keys: () => KeySet;
  readonly onError: (error: unknown) => void;
}

interface Answer {
  readonly body: object;
  /** The refresh token in it, if one is. */
  readonly refresh?: RefreshToken;
}

export function authRouteOf({ method, url }: IncomingMessage): AuthRoute | undefined {
  const asked = `${method ?? ""} ${url?.split("?")[0] ?? ""}`;
  return ROUTES.find((route) => route === asked);
}

export class AuthRoutes {
  readonly #parts: AuthRoutesParts;

  constructor(parts: AuthRoutesParts) {
    this.#parts = parts;
  }

  /** Never throws. */
  async answer(
    route: AuthRoute,
    bearer: Bearer | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { logins } = this.#parts;
    try {
      const body = request.method === "POST" ? await readBody(request) : {};
      const answer = await this.#do(route, bearer, body);
      if ("code" in answer) {
        refuse(request, response, answer.code, answer.text);
        return;
      }
      const { refresh } = answer as Answer;
      if (refresh !== undefined) response.once("finish", () => logins.told(refresh));
      send(request, response, 200, (answer as Answer).body);
    } catch (error) {
      refuse(request, response, this.#codeOf(error));
    }
  }

  async #do(
    route: AuthRoute,
    bearer: Bearer | undefined,
    body: Readonly<Record<string, unknown>>,
  ): Promise<Answer | Refusal> {
    const { config, keys, logins, refreshTokens } = this.#parts;
    const refresh = refreshTokens.read(bearer?.refresh);
    switch (route) {
      case "POST /auth/refresh":
        return refresh === undefined ? refusal("TOKEN_REFUSED") : this.#refresh(refresh);
      case "POST /auth/anonymous": {
        const token = (body["options"] as { token?: unknown } | null | undefined)?.token;
        if (token !== undefined) return this.#exchange(token);
        // Whoever is somebody already goes on as that, and does not become a second guest behind their own back.
        if (refresh !== undefined) return this.#refresh(refresh);
        if (config.guests !== "on") throw new RingsideError("NOT_ALLOWED");
        return this.#given(await this.#inTime(logins.open(`${GUEST_PREFIX}${randomUUID()}`, true, {})));
      }
      case "POST /auth/exchange":
        return this.#exchange(body["token"]);
      case "POST /auth/signout":
        return this.#inTime(this.#signOut(bearer, refresh, body["everywhere"] === true));
      case "GET /auth/userdata":
        return this.#userData(bearer);
      case "GET /auth/keys":
        return { body: keys().published };
    }
  }

  async #refresh(refresh: RefreshToken): Promise<Answer | Refusal> {
    return this.#given(await this.#inTime(this.#parts.logins.refresh(refresh)));
  }

  /** A provider that is asked for its keys has a deadline of its own (outside-login.ts). */
  async #exchange(token: unknown): Promise<Answer | Refusal> {
    const { config, logins, outside } = this.#parts;
    const user = await this.#inTime(outside.verify(token), config.storeMs + PROVIDER_MS);
    if ("code" in user) return user as Refusal;
    return this.#given(await this.#inTime(logins.open(user.userId, false, user.claims)));
  }

  async #given(given: Continued | Refusal): Promise<Answer | Refusal> {
    if ("code" in given) return given;
    const { claims, login, refresh } = given;
    const { token, expiresAtMs } = await this.#parts.access.make(login, claims);
    return {
      body: {
        user: { ...claims, ...login },
        token: joinToken(token, this.#parts.refreshTokens.write(refresh)),
        expiresAt: expiresAtMs,
      },
      refresh,
    };
  }

  /** The refresh token is enough, so that nobody needs to refresh in order to sign out. */
  async #signOut(
    bearer: Bearer | undefined,
    refresh: RefreshToken | undefined,
    everywhere: boolean,
  ): Promise<Answer | Refusal> {
    const { access, logins } = this.#parts;
    let loginId = refresh?.loginId;
    if (loginId === undefined) {
      if (bearer === undefined) return refusal("NOT_SIGNED_IN");
      const found = await access.verify(bearer.access);
      if (isRefusal(found)) return found;
      loginId = found.auth.loginId;
    }
    return { body: { ended: await logins.end(loginId, everywhere) } };
  }

  async #userData(bearer: Bearer | undefined): Promise<Answer | Refusal> {
    const { access, revocations } = this.#parts;
    if (bearer === undefined) return refusal("NOT_SIGNED_IN");
    const found = await access.verify(bearer.access);
    if (isRefusal(found)) return found;
    return (await revocations.check(found.auth)) ?? { body: { user: found.auth } };
  }

  async #inTime<Result>(work: Promise<Result>, ms = this.#parts.config.storeMs): Promise<Result> {
    const { clock } = this.#parts;
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(ms, () => reject(new RingsideError("POSTGRES_UNREACHABLE")));
    });
    work.catch(() => {}); // it may fail when nobody waits any more
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  }

  #codeOf(error: unknown): ErrorCode {
    if (!(error instanceof RingsideError)) return "POSTGRES_UNREACHABLE"; // the driver's own; nothing else here asks anybody
    if (hasCode(error, "BAD_CONFIG")) this.#parts.onError(error);
    return error.code;
  }
}

/** One line of JSON that the SDK shows: it takes `error` as the message. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  code: ErrorCode,
  text: string = ERRORS[code].text,
): void {
  send(request, response, ERRORS[code].http, { code, error: text });
}

function send(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, {
    "content-type": "application/json",
    "cache-control": "no-store",
    // As Colyseus itself answers: to the pages that the front door has let in.
    ...matchMaker.controller.getCorsHeaders(new Headers(request.headers as Record<string, string>)),
    ...(status === 503 ? { "retry-after": "1" } : {}),
  });
  response.end(JSON.stringify(body));
  if (!request.complete) request.resume(); // a body that nobody wants
}

/** @throws RingsideError BAD_REQUEST when it is too long, or no JSON object */
async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new RingsideError("BAD_REQUEST");
    chunks.push(chunk);
  }
  if (bytes === 0) return {};
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    if (typeof body === "object" && body !== null) return body as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new RingsideError("BAD_REQUEST");
}
