// The front door: what happens to a request, and to an upgrade, before Colyseus, the game's routes or a room hear of it.
//
// In this order: where it comes from (address.ts), whether it can be read (request-rules.ts), which page it is for
// (origins.ts), whether it is for an operator's panel (panels.ts), how much its body may be (body.ts), and how
// often somebody may ask (limits.ts). Players then wait for their turn (admission.ts). Whoever is refused
// is told so in one line of JSON, and counted (counts.ts).

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TRUSTED_ORIGIN_HEADER } from "../colyseus/cors.ts";
import type { SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import type { ErrorCode } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Clock } from "../runtime/clock.ts";
import { addressOf, remoteAddressOf, settleAddress, TrustedProxies } from "./address.ts";
import { boundBody, readBody, readOptions } from "./body.ts";
import { keysOf } from "./caller.ts";
import { Connections } from "./connections.ts";
import type { DoorCounts, Reason } from "./counts.ts";
import { type Limits, watchSeat } from "./limits.ts";
import type { Admission, Admitted, Rank } from "./admission.ts";
import { AllowedOrigins, corsHeaders, type Verdict } from "./origins.ts";
import { isForForeignPage, isPanel, type Panels } from "./panels.ts";
import { refuse, type Refusal } from "./refuse.ts";
import { bodyBytesMax, inspect, isMatchmaking } from "./request-rules.ts";

export interface FrontDoorParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly counts: DoorCounts;
  readonly panels: Panels;
  readonly limits: Limits;
  readonly admission: Admission;
}

/** Why somebody does not get in, for them and for whoever counts. */
export interface Denial extends Refusal {
  readonly why: Reason;
}

export class FrontDoor {
  readonly #parts: FrontDoorParts;
  readonly #proxies: TrustedProxies;
  readonly #origins: AllowedOrigins;
  readonly #connections: Connections;
  /** Players whom a proxy brings: by the address that it names, which no connection of theirs tells. */
  readonly #forwarded: Connections;
  #hasWarned = false;

  constructor(parts: FrontDoorParts) {
    this.#parts = parts;
    const { config } = parts;
    this.#proxies = new TrustedProxies(config.trustedProxies);
    this.#origins = new AllowedOrigins(config.allowedOrigins);
    this.#connections = new Connections(config);
    this.#forwarded = new Connections(config);
  }

  /** Somebody has connected, and said nothing yet. One too many is cut without a word: an answer would cost as much as they do. */
  connected(socket: Socket): void {
    const address = remoteAddressOf(socket);
    const isProxy = this.#proxies.trusts(address);
    const { byAddress } = keysOf({ address: isProxy ? "" : address, userId: undefined });
    const entered = this.#connections.enter(byAddress);
    if (typeof entered === "function") {
      socket.once("close", entered);
      return;
    }
    this.#parts.counts.refused(`${entered}-connections`);
    socket.destroy();
  }

  /**
   * Lets a request pass, or answers it. Never rejects.
   *
   * @param closedFor why nothing is served at the moment, if so
   */
  async request(
    request: IncomingMessage,
    response: ServerResponse,
    closedFor: ErrorCode | undefined,
    pass: () => void,
  ): Promise<void> {
    const { clock, limits } = this.#parts;
    const { origin, host } = request.headers;
    const verdict = this.#origins.judge(origin, host);
    const deny = ({ why, ...refusal }: Denial): void => {
      this.#parts.counts.refused(why);
      const headers = { ...corsHeaders(origin, verdict), ...refusal.headers };
      refuse(clock, request, response, { ...refusal, headers });
    };
    if (closedFor !== undefined) {
      refuse(clock, request, response, { code: closedFor, headers: corsHeaders(origin, verdict) });
      return;
    }
    try {
      const atOnce = this.#judge(request, verdict);
      // Before anything is waited for: the body is coming already.
      if (atOnce === undefined) this.#boundBody(request, deny);
      const denial =
        atOnce ??
        (await limits.request(request)) ??
        (await this.#readOptions(request)) ??
        (await this.#wait(request, response)) ??
        (await this.#reserve(request, response));
      if (response.destroyed || response.writableEnded) return; // gone meanwhile, or answered
      if (denial !== undefined) deny(denial);
      else limits.rooms.runFor(() => limits.callerOf(request), response, pass);
    } catch {
      // What Colyseus or Express throws at once ends here.
      refuse(clock, request, response, { code: "INTERNAL", headers: corsHeaders(origin, verdict) });
    }
  }

  /**
   * Waits for a player's turn to be led to their room.
   *
   * @returns what to call when they are there, or gone; or why they are not led there
   */
  async admit({ reconnectionToken }: SeatRequest, socket: Duplex): Promise<(() => void) | ErrorCode> {
    const rank = reconnectionToken === undefined ? "seated" : "returning";
    const denial = this.#denialOf(
      await this.#parts.admission.enter(rank, (leave) => socket.once("close", leave)),
    );
    if (typeof denial === "function") return denial;
    this.#parts.counts.refused(denial.why);
    return denial.code;
  }

  /** A player has come for their seat. */
  seated({ sessionId, reconnectionToken }: SeatRequest): void {
    if (reconnectionToken === undefined) this.#parts.limits.seated(sessionId);
  }

  /** Sends away who waits. */
  stop(): void {
    this.#parts.admission.stop();
  }

  /** @returns how to answer what Node could not make a request of, by the code of its error */
  unreadable(why: string | undefined): ErrorCode {
    const isSlow = why === "ERR_HTTP_REQUEST_TIMEOUT";
    this.#parts.counts.refused(isSlow ? "slow" : "malformed");
    return isSlow ? "TOO_LATE" : why === "HPE_HEADER_OVERFLOW" ? "HEADERS_TOO_LARGE" : "BAD_REQUEST";
  }

  /** @returns why an upgrade goes no further, if so; it is to be answered. Never rejects. */
  async upgrade(request: IncomingMessage, socket: Duplex): Promise<Denial | undefined> {
    const { limits } = this.#parts;
    const denial =
      this.#judgeUpgrade(request, socket) ?? (await limits.upgrade(await limits.callerOf(request)));
    if (denial !== undefined) this.#parts.counts.refused(denial.why);
    return denial;
  }

  #judgeUpgrade(request: IncomingMessage, socket: Duplex): Denial | undefined {
    const { headers } = request;
    const verdict = this.#origins.judge(headers.origin, headers.host);
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
    if (hasBody || request.method !== "GET") return { code: "BAD_REQUEST", why: "malformed" };
    const denial = this.#judge(request, verdict);
    if (denial !== undefined) return denial;
    if (!this.#proxies.trusts(remoteAddressOf(request.socket))) return undefined;
    const { byAddress } = keysOf({ address: addressOf(request), userId: undefined });
    const entered = this.#forwarded.enter(byAddress);
    if (typeof entered !== "function") {
      return { code: "TOO_MANY_CONNECTIONS", why: `${entered}-connections` };
    }
    socket.once("close", entered);
    return undefined;
  }

  /** What can be told by looking. */
  #judge(request: IncomingMessage, verdict: Verdict): Denial | undefined {
    const { config, events, panels } = this.#parts;
    const forgotten = settleAddress(request, this.#proxies);
    if (forgotten !== undefined && !this.#hasWarned) {
      this.#hasWarned = true;
      events.emit("proxy:not-trusted", { address: forgotten });
    }
    const unreadable = inspect(request, config);
    if (unreadable !== undefined) {
      return { code: unreadable, why: unreadable === "BODY_TOO_LARGE" ? "body" : "malformed" };
    }
    delete request.headers[TRUSTED_ORIGIN_HEADER];
    if (verdict === "allowed") request.headers[TRUSTED_ORIGIN_HEADER] = request.headers.origin;
    if (verdict === "refused") return { code: "ORIGIN_REFUSED", why: "origin" };
    if (verdict === "stranger") {
      // In nobody's name: a browser sends the cookies of this site with whatever a foreign page asks for.
      delete request.headers.cookie;
      if (!/^bearer /iu.test(request.headers.authorization ?? "")) delete request.headers.authorization;
    }
    if (!isPanel(request.url ?? "") || panels.isOperator(request)) return undefined;
    if (panels.canOpen && isForForeignPage(request.headers)) return { code: "NOT_ALLOWED", why: "panel" };
    const ask = { "www-authenticate": 'Basic realm="Ringside", charset="UTF-8"' };
    return panels.canOpen
      ? { code: "NOT_SIGNED_IN", why: "panel", headers: ask }
      : { code: "NOT_FOUND", why: "panel" };
  }

  #boundBody(request: IncomingMessage, deny: (denial: Denial) => void): void {
    const bytesMax = bodyBytesMax(request, this.#parts.config);
    boundBody(request, bytesMax, () => deny({ code: "BODY_TOO_LARGE", why: "body" }));
  }

  /** Whoever asks for a seat waits behind those who have one. */
  async #wait(request: IncomingMessage, response: ServerResponse): Promise<Denial | undefined> {
    if (!isMatchmaking(request)) return undefined;
    const rank: Rank = "new";
    const done = this.#denialOf(
      await this.#parts.admission.enter(rank, (leave) => response.once("close", leave)),
    );
    if (typeof done !== "function") return done;
    if (response.destroyed) done();
    else response.once("close", done);
    return undefined;
  }

  #denialOf(admitted: Admitted): (() => void) | Denial {
    if (typeof admitted === "function") return admitted;
    if (admitted === "gone") return { code: "DRAINING", why: "queue" };
    return { code: "TOO_MANY", why: admitted };
  }

  async #reserve(request: IncomingMessage, response: ServerResponse): Promise<Denial | undefined> {
    const { limits } = this.#parts;
    if (!isMatchmaking(request)) return undefined;
    const seat = await limits.join(await limits.callerOf(request));
    if ("code" in seat) return seat;
    if (response.destroyed)
      seat.failed(); // gone meanwhile
    else watchSeat(response, (sessionId) => (sessionId === undefined ? seat.failed() : seat.made(sessionId)));
    return undefined;
  }

  /** Reads the body before Colyseus does, which would wait for it without an end, and takes it from here. */
  async #readOptions(request: IncomingMessage & { body?: unknown }): Promise<Denial | undefined> {
    if (!isMatchmaking(request)) return undefined;
    const body = await readBody(request);
    if (body === undefined) return { code: "BAD_REQUEST", why: "malformed" };
    const isJson = /^application\/json\s*(?:;|$)/iu.test(request.headers["content-type"] ?? "");
    const options = body.length === 0 || isJson ? readOptions(body) : undefined;
    if (options === undefined) return { code: "BAD_OPTIONS", why: "malformed" };
    request.headers["content-type"] = "application/json";
    request.body = options;
    return undefined;
  }
}
