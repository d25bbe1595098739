// One connection to each other node, kept open to notice when its process dies: the kernel closes it in the same
// millisecond. What a broken link means is decided in failure-detector.ts.
// The link also tells the peer that this node has it in its view (standing.ts).

import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import type { Incarnation } from "../ids.ts";
import type { Database } from "../postgres/query.ts";
import { backoffMs } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { judge } from "./failure-detector.ts";
import { markDown } from "./mark-down.ts";
import type { PeerNetwork } from "./peer-network.ts";
import type { Member, View } from "./view.ts";

export interface PeerLinksParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly database: Database;
  readonly incarnation: Incarnation;
  readonly network: PeerNetwork;
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
    const { clock, incarnation, network } = this.#parts;
    let failures = 0;
    while (!signal.aborted) {
      const probe = await network.link(member, incarnation, signal);
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
