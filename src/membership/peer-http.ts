// How nodes speak to each other about membership: HTTP on the internal port, opened by the cluster's key.
//
// A link is an upgraded connection: the caller says who it is, the peer answers with its incarnation in a header, and nothing
// else is ever sent on it. A promise is asked for by a POST.

import http from "node:http";
import type { Duplex } from "node:stream";
import type { Config } from "../config.ts";
import type { Incarnation } from "../ids.ts";
import type { Link, PeerNetwork, PromiseAnswer } from "./peer-network.ts";
import type { Member } from "./view.ts";

/** The path on the internal port under which links are asked for, and what both sides call it. */
export const LINK_PATH = "/ringside/link";
export const LINK_PROTOCOL = "ringside-link";
/** The path under which a promise is asked for. */
export const PROMISE_PATH = "/ringside/promise";
export const KEY_HEADER = "x-ringside-key";
export const INCARNATION_HEADER = "x-ringside-incarnation";
/** Whom a request is for: another incarnation may have the port by now. */
const WANTED_HEADER = "x-ringside-wanted";
/** For how long, in ms. */
const FOR_HEADER = "x-ringside-for-ms";
/** An answer has about a hundred bytes. */
const ANSWER_BYTES_MAX = 4_096;

export class PeerHttp implements PeerNetwork {
  readonly #config: Config;

  constructor(config: Config) {
    this.#config = config;
  }

  link(member: Member, self: Incarnation, signal: AbortSignal): Promise<Link> {
    const { clusterKey, probeMs } = this.#config;
    return new Promise((resolve) => {
      const request = http.request({
        host: member.host,
        port: member.internalPort,
        path: LINK_PATH,
        headers: {
          connection: "Upgrade",
          upgrade: LINK_PROTOCOL,
          [KEY_HEADER]: clusterKey,
          [INCARNATION_HEADER]: self,
          [WANTED_HEADER]: member.incarnation,
        },
        agent: false,
        signal,
        timeout: probeMs,
      });
      request.on("timeout", () => request.destroy(new Error("no answer in time")));
      request.on("error", (error) => resolve({ outcome: isRefused(error) ? "refused" : "silent" }));
      request.on("response", (response) => {
        response.resume();
        resolve({ outcome: "silent" }); // somebody who does not speak our protocol, or does not know our key
      });
      request.on("upgrade", (response, socket) => {
        const incarnation = String(response.headers[INCARNATION_HEADER] ?? "");
        resolve({ outcome: "answered", incarnation, closed: untilClosed(socket, signal) });
      });
      request.end();
    });
  }

  askPromise(member: Member, self: Incarnation, forMs: number, signal: AbortSignal): Promise<PromiseAnswer> {
    return new Promise((resolve) => {
      const request = http.request({
        method: "POST",
        host: member.host,
        port: member.internalPort,
        path: PROMISE_PATH,
        headers: {
          [KEY_HEADER]: this.#config.clusterKey,
          [INCARNATION_HEADER]: self,
          [WANTED_HEADER]: member.incarnation,
          [FOR_HEADER]: String(forMs),
        },
        agent: false,
        signal,
      });
      request.on("error", (error) => resolve({ kind: isRefused(error) ? "gone" : "silent" }));
      request.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > ANSWER_BYTES_MAX) request.destroy();
        });
        response.on("error", () => resolve({ kind: "silent" }));
        response.on("close", () => resolve({ kind: "silent" })); // unless it has ended before
        response.on("end", () => {
          const isSame = response.headers[INCARNATION_HEADER] === member.incarnation;
          if (response.statusCode !== 200) resolve({ kind: "silent" });
          else resolve(isSame ? parseAnswer(text) : { kind: "gone" });
        });
      });
      request.end();
    });
  }
}

/** The peer's side of a link: says who we are and keeps the connection open until the caller closes it. */
export function answerLink(socket: Duplex, self: Incarnation): void {
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.destroy());
  socket.resume();
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${LINK_PROTOCOL}\r\n` +
      `${INCARNATION_HEADER}: ${self}\r\n\r\n`,
  );
}

/**
 * Who calls this node; undefined when they do not say, or mean an incarnation that had the port before: who has that one in
 * its view does not have this one, and will not ask it for a promise.
 */
export function callerOf(request: http.IncomingMessage, self: Incarnation): Incarnation | undefined {
  const caller = request.headers[INCARNATION_HEADER];
  if (typeof caller !== "string" || caller === "" || request.headers[WANTED_HEADER] !== self)
    return undefined;
  return caller as Incarnation; // whoever has the key is believed
}

/** The peer's side of a promise. */
export function answerPromise(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  self: Incarnation,
  promise: (by: Incarnation, forMs: number) => PromiseAnswer,
): void {
  const by = callerOf(request, self);
  const answer: PromiseAnswer =
    by === undefined
      ? { kind: "refused", why: "it is meant for another incarnation" }
      : promise(by, Number(request.headers[FOR_HEADER]));
  response.writeHead(200, { "content-type": "application/json", [INCARNATION_HEADER]: self });
  response.end(JSON.stringify(answer));
}

function parseAnswer(text: string): PromiseAnswer {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== "object" || answer === null || !("kind" in answer)) return { kind: "silent" };
    if (answer.kind === "promised" || answer.kind === "down") return { kind: answer.kind };
    const why = "why" in answer ? String(answer.why) : "a peer refused";
    return answer.kind === "refused" ? { kind: "refused", why } : { kind: "silent" };
  } catch {
    return { kind: "silent" }; // not one of us
  }
}

/**
 * Whether the peer's machine says that nobody listens there. Of a name with several addresses all must: where one is only not
 * answered, the peer may live behind it.
 */
export function isRefused(error: Error): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isRefused);
  return (error as NodeJS.ErrnoException).code === "ECONNREFUSED";
}

function untilClosed(socket: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      signal.removeEventListener("abort", end);
      socket.destroy();
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    socket.on("error", end);
    socket.on("close", end);
    socket.on("end", end);
    socket.resume();
  });
}
