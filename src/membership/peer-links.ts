// One connection to each other node, kept open to notice when its process dies: the kernel closes it in the same
// millisecond. What a broken link means is decided in failure-detector.ts.
//
// The greeting is one line each way over an upgraded HTTP connection to the peer's internal port: the caller shows the
// cluster's key, the peer answers with its incarnation in a header. Nothing else is ever sent on it.

import http from "node:http";
import type { Duplex } from "node:stream";
import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import type { Incarnation } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import { backoffMs } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { judge, type Probe } from "./failure-detector.ts";
import { markDown } from "./mark-down.ts";
import type { Member, View } from "./view.ts";

/** The path on the internal port under which links are asked for, and what both sides call it. */
export const LINK_PATH = "/ringside/link";
export const LINK_PROTOCOL = "ringside-link";
export const KEY_HEADER = "x-ringside-key";
export const INCARNATION_HEADER = "x-ringside-incarnation";

export interface PeerLinksParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly database: Database;
  readonly incarnation: Incarnation;
  /** Called after a peer was marked down here, so that the new view is read at once. */
  readonly onMarked: () => void;
}

export class PeerLinks {
  readonly #parts: PeerLinksParts;
  readonly #links = new Map<Incarnation, AbortController>();

  constructor(parts: PeerLinksParts) {
    this.#parts = parts;
  }

  /** Links to whoever is new in the view; lets go of whoever is not in it any more. */
  follow(view: View): void {
    const wanted = new Map(view.members.map((member) => [member.incarnation, member]));
    wanted.delete(this.#parts.incarnation);
    for (const [incarnation, ending] of this.#links) {
      if (wanted.has(incarnation)) continue;
      ending.abort();
      this.#links.delete(incarnation);
    }
    for (const [incarnation, member] of wanted) {
      if (this.#links.has(incarnation)) continue;
      const ending = new AbortController();
      this.#links.set(incarnation, ending);
      void this.#keep(member, ending.signal);
    }
  }

  stop(): void {
    this.follow({ version: 0, members: [] });
  }

  async #keep(member: Member, signal: AbortSignal): Promise<void> {
    const { clock, config } = this.#parts;
    let failures = 0;
    while (!signal.aborted) {
      const probe = await call(member, this.#parts.incarnation, config, signal);
      if (signal.aborted) break;
      const verdict = judge(probe, member.incarnation);
      if (verdict === "alive" && probe.outcome === "answered") {
        failures = 0;
        await probe.closed;
        continue; // a broken link asks for a call at once: it is the call that tells
      }
      if (verdict === "dead" || verdict === "replaced") {
        const reason = verdict === "dead" ? "refused" : "replaced";
        const marked = await markDown(this.#parts, member.incarnation, reason).catch(() => false);
        if (marked) this.#parts.onMarked();
        // Else somebody was faster, or Postgres is away; the view will tell, and until then it is asked again.
      }
      failures += 1;
      await clock.sleep(backoffMs(failures, 20, 500), signal).catch(() => {});
    }
  }
}

type Call = Probe & { readonly closed?: Promise<void> };

function call(member: Member, self: Incarnation, config: Config, signal: AbortSignal): Promise<Call> {
  return new Promise((resolve) => {
    const request = http.request({
      host: member.host,
      port: member.internalPort,
      path: LINK_PATH,
      headers: {
        connection: "Upgrade",
        upgrade: LINK_PROTOCOL,
        [KEY_HEADER]: config.clusterKey,
        [INCARNATION_HEADER]: self,
      },
      agent: false,
      signal,
      timeout: config.probeMs,
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", (error) => {
      const refused = (error as NodeJS.ErrnoException).code === "ECONNREFUSED";
      resolve({ outcome: refused ? "refused" : "silent" });
    });
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
