// Every HTTP request and every upgrade of a player, before anything else of ours or Colyseus's sees it: whose is it?
//
// A token that is shown for matchmaking, or to connect, must be good: 401 otherwise, with the reason. The refresh part is
// taken off here, so that neither rooms nor the game's routes nor other nodes ever see one. To whom a request belongs can be
// asked afterwards by `userOf`, which costs nothing.
//
// Who returns to a seat shows the token with which they joined, because the stock SDK keeps the URL: it may have expired, and
// its key been retired. There the reconnection token decides, and the owner of the room compares the tokens (SEAT3); here is
// only asked whether they were signed out or suspended since. Nothing else rests on what such a token says.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { decodeJwt } from "jose";
import { WebSocketServer } from "ws";
import { refusedMessage } from "../colyseus/player-frames.ts";
import type { SeatRequest } from "../colyseus/room-transport.ts";
import { ERRORS } from "../errors.ts";
import { isRefusal, type AccessTokens } from "./access-token.ts";
import { authRouteOf, refuse, type AuthRoutes, type Bearer } from "./auth-routes.ts";
import { isUserId, splitToken, TOKEN_LENGTH_MAX, type Login, type Refusal } from "./login.ts";
import type { Revocations } from "./revocations.ts";

/** Between the seat's reservation and the upgrade a token may expire. */
const JOINING_MS = 60_000;
const FOR_EVER_MS = Number.POSITIVE_INFINITY;

export interface AuthDoorParts {
  readonly access: AccessTokens;
  readonly revocations: Revocations;
  readonly routes: AuthRoutes;
}

/** A player's upgrade, before it is one. */
export interface Arriving {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly seat: SeatRequest;
}

export class AuthDoor {
  readonly #parts: AuthDoorParts;
  readonly #logins = new WeakMap<IncomingMessage, Login>();
  /** For saying no in the protocol's own words: any other answer would be a reason for the SDK to come back. */
  readonly #decliner = new WebSocketServer({ noServer: true, maxPayload: 1_024, perMessageDeflate: false });

  constructor(parts: AuthDoorParts) {
    this.#parts = parts;
  }

  /**
   * Whose request, or upgrade, this is, by the signature of its token; undefined when there is none that is good. May be asked
   * before anything else is, and again: what was found good is remembered.
   */
  async userOf(request: IncomingMessage): Promise<string | undefined> {
    const login = this.#logins.get(request);
    if (login !== undefined) return login.userId;
    const isUpgrade = request.headers.upgrade !== undefined;
    const token = isUpgrade ? tokenOfUrl(request.url) : bearerOf(request);
    if (token === undefined || token.length > TOKEN_LENGTH_MAX) return undefined;
    const { access } = splitToken(token);
    // Who returns to a seat may come with a token that has expired.
    const found = await this.#parts.access.verify(access, isUpgrade ? FOR_EVER_MS : 0);
    return isRefusal(found) ? undefined : found.auth.userId;
  }

  /** Calls `pass` with a request that may go on; answers any other itself. Never throws. */
  async admit(request: IncomingMessage, response: ServerResponse, pass: () => void): Promise<void> {
    const { access, revocations, routes } = this.#parts;
    const route = authRouteOf(request);
    const isJoin = request.url?.startsWith("/matchmake/") === true;
    if (route === undefined && !isJoin && request.headers.authorization === undefined) {
      safely(pass, request, response);
      return;
    }
    const bearer = takeBearer(request);
    const isTooLong =
      bearer !== undefined && bearer.access.length + (bearer.refresh?.length ?? 0) > TOKEN_LENGTH_MAX;
    if (isTooLong && (isJoin || route !== undefined)) return refuse(request, response, "TOKEN_REFUSED");
    if (route !== undefined) return routes.answer(route, bearer, request, response);
    if (bearer !== undefined && !isTooLong) {
      const found = await access.verify(bearer.access);
      const why = isRefusal(found) ? found : await revocations.check(found.auth);
      // What the game's own routes are asked with may be the game's own affair.
      if (why !== undefined && isJoin) return refuse(request, response, why.code, why.text);
      if (!isRefusal(found) && why === undefined) this.#logins.set(request, found.auth);
    }
    safely(pass, request, response);
  }

  /** Calls `pass` with a seat that may be asked for; ends any other connection itself. Never throws. */
  async admitUpgrade(arriving: Arriving, pass: (seat: SeatRequest) => void): Promise<void> {
    const { request, seat, socket } = arriving;
    const dropped = (): void => void socket.destroy();
    socket.on("error", dropped);
    const admitted = await this.#identify(seat);
    socket.off("error", dropped);
    if (socket.destroyed) return;
    if ("code" in admitted) {
      this.#decline(arriving, admitted);
      return;
    }
    if (admitted.login !== undefined) this.#logins.set(request, admitted.login);
    pass(admitted);
  }

  /** The seat with whose it is, and with a token that is good for nothing but that. */
  async #identify(seat: SeatRequest): Promise<SeatRequest | Refusal> {
    if (seat.authToken === null || seat.authToken === "") return seat;
    const { access: token } = splitToken(seat.authToken);
    const isReturn = seat.reconnectionToken !== undefined;
    const found = await this.#parts.access.verify(token, isReturn ? FOR_EVER_MS : JOINING_MS);
    if (isRefusal(found) && !isReturn) return found;
    const login = isRefusal(found) ? undefined : found.auth;
    const said = login ?? readUnchecked(token);
    const why = said && (await this.#parts.revocations.check(said));
    return why ?? { ...seat, authToken: token, login, said };
  }

  #decline({ head, request, seat, socket }: Arriving, { code, text }: Refusal): void {
    const { close, http } = ERRORS[code];
    if (seat.reconnectionToken === undefined) {
      const line = JSON.stringify({ code, error: text });
      socket.on("error", () => socket.destroy());
      socket.end(
        `HTTP/1.1 ${http} ${code}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(line)}\r\n\r\n${line}`,
      );
      socket.resume();
      return;
    }
    this.#decliner.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("error", () => {}); // a close follows
      webSocket.send(refusedMessage(http, text));
      webSocket.close(close, text.slice(0, 100)); // a close frame holds 123 bytes at most
    });
  }
}

/** Takes the token apart and leaves the header with what others may see of it. */
function takeBearer(request: IncomingMessage): Bearer | undefined {
  const token = bearerOf(request);
  if (token === undefined) return undefined;
  const bearer = splitToken(token);
  if (bearer.refresh !== undefined) {
    const shown = `Bearer ${bearer.access}`;
    request.headers.authorization = shown;
    const { rawHeaders } = request;
    rawHeaders.forEach((name, at) => {
      if (at % 2 === 0 && name.toLowerCase() === "authorization") rawHeaders[at + 1] = shown;
    });
  }
  return bearer;
}

/** What Colyseus or Express throws at once ends here. */
function safely(pass: () => void, request: IncomingMessage, response: ServerResponse): void {
  if (response.destroyed || response.writableEnded) return; // gone meanwhile
  try {
    pass();
  } catch {
    if (response.headersSent) response.destroy();
    else refuse(request, response, "INTERNAL");
  }
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
}

function tokenOfUrl(url: string | undefined): string | undefined {
  return URL.parse(`http://gateway${url ?? ""}`)?.searchParams.get("_authToken") ?? undefined;
}

/** Whose token it says it is. Only for asking whether *they* must go; see above. */
function readUnchecked(token: string): Login | undefined {
  try {
    const { sub, sid, guest } = decodeJwt(token);
    const isLogin = isUserId(sub) && typeof sid === "string" && /^[0-9a-f-]{36}$/.test(sid);
    return isLogin ? { userId: sub, loginId: sid, isGuest: guest === true } : undefined;
  } catch {
    return undefined;
  }
}
