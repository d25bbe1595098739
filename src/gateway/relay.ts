// The relay: joins a player's socket to the node that owns the room. It passes the upgrade on, waits for the owner's
// answer, and only when that is a WebSocket are the two sockets joined. Anything else is told to the caller, who still
// holds the player's upgrade and can try elsewhere.
//
// A relayed pair lives no longer than the owner's incarnation: when it leaves the view, the pairs are cut, so that the
// SDK retries at once instead of waiting on a frozen process (GATE2).

import type { IncomingMessage } from "node:http";
import net from "node:net";
import type { Duplex } from "node:stream";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member, View } from "../membership/view.ts";
import { memberOf } from "../membership/view.ts";
import type { Incarnation } from "../ids.ts";

/** An owner's answer to an upgrade has a head of a few hundred bytes. */
const ANSWER_BYTES_MAX = 8_192;

/** Headers that this hop must not pass on: they are between two neighbours, or would open doors at the owner. */
const NOT_PASSED = new Set(["host", KEY_HEADER, "x-forwarded-for", "proxy-authorization", "te", "trailer"]);

export type RelayOutcome =
  /** The sockets are joined; there is nothing more to do. */
  | "joined"
  /** The owner did not take it, or is not there. The player's socket is as it was. */
  | "refused"
  /** The player went away. */
  | "abandoned";

export class Relay {
  readonly #key: string;
  readonly #pairs = new Map<Incarnation, Set<() => void>>();

  constructor(key: string) {
    this.#key = key;
  }

  /**
   * Offers a player's upgrade to `member`.
   *
   * @param signal gives the attempt up, because the room turned out to be elsewhere or the time is over
   */
  async join(
    member: Member,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    signal: AbortSignal,
  ): Promise<RelayOutcome> {
    const upstream = net.connect({
      host: member.host,
      port: member.internalPort,
      noDelay: true,
      keepAlive: true,
    });
    const answer = await firstAnswer(upstream, requestText(request, member, this.#key), socket, signal);
    if (answer === undefined) {
      upstream.destroy();
      return socket.destroyed ? "abandoned" : "refused";
    }
    socket.write(answer);
    if (head.length > 0) upstream.write(head);
    this.#pair(member.incarnation, socket, upstream);
    return "joined";
  }

  /** Cuts the pairs whose owner does not count any more. @returns how many */
  follow(view: View): number {
    let cut = 0;
    for (const [incarnation, pairs] of this.#pairs) {
      if (memberOf(view, incarnation) !== undefined) continue;
      cut += pairs.size;
      for (const end of pairs) end();
    }
    return cut;
  }

  /** Cuts every pair. */
  stop(): void {
    this.follow({ version: 0, members: [] });
  }

  #pair(incarnation: Incarnation, socket: Duplex, upstream: net.Socket): void {
    let pairs = this.#pairs.get(incarnation);
    if (pairs === undefined) this.#pairs.set(incarnation, (pairs = new Set()));
    const all = pairs;
    const end = (): void => {
      if (!all.delete(end)) return;
      if (all.size === 0) this.#pairs.delete(incarnation);
      socket.destroy();
      upstream.destroy();
    };
    all.add(end);
    for (const side of [socket, upstream]) {
      side.on("error", end);
      side.on("close", end);
    }
    // pipe() stops reading from one side while the other is full, so a slow player holds up only itself.
    socket.pipe(upstream);
    upstream.pipe(socket);
  }
}

/** The upgrade as it goes on: the player's own headers, so that the owner's answer fits the player's key. */
function requestText(request: IncomingMessage, member: Member, key: string): string {
  const lines = [`${request.method} ${request.url} HTTP/1.1`, `Host: ${member.host}:${member.internalPort}`];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at] ?? "";
    if (!NOT_PASSED.has(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[at + 1]}`);
  }
  lines.push(`X-Forwarded-For: ${request.socket.remoteAddress ?? ""}`, `${KEY_HEADER}: ${key}`, "", "");
  return lines.join("\r\n");
}

/**
 * What the owner answers, if that is the switch to WebSocket; undefined for anything else, and when either side went
 * away or the signal came first.
 */
function firstAnswer(
  upstream: net.Socket,
  request: string,
  player: Duplex,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (answer: Buffer | undefined): void => {
      upstream.off("data", onData);
      upstream.off("close", onEnd);
      upstream.off("error", onEnd);
      player.off("close", onEnd);
      signal.removeEventListener("abort", onEnd);
      // Whatever breaks between now and the pairing must not be an unhandled error.
      upstream.on("error", () => {});
      if (answer !== undefined) upstream.pause();
      resolve(answer);
    };
    const onEnd = (): void => finish(undefined);
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      bytes += chunk.length;
      const text = Buffer.concat(chunks);
      const headEnds = text.indexOf("\r\n\r\n");
      if (headEnds === -1) {
        if (bytes > ANSWER_BYTES_MAX) finish(undefined);
        return;
      }
      finish(text.subarray(0, 12).toString("latin1") === "HTTP/1.1 101" ? text : undefined);
    };
    upstream.on("connect", () => upstream.write(request));
    upstream.on("data", onData);
    upstream.on("close", onEnd);
    upstream.on("error", onEnd);
    player.on("close", onEnd);
    signal.addEventListener("abort", onEnd, { once: true });
    if (signal.aborted) onEnd();
  });
}
