// The links of this gateway: one to each owner that its players need, opened when the first of them does. Who does not count
// any more is cut off, so that a frozen owner's players are led on at once (GATE2).

import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Incarnation } from "../ids.ts";
import { memberOf, type Member, type View } from "../membership/view.ts";
import type { Clock } from "../runtime/clock.ts";
import type { EpochGate } from "./epoch-gate.ts";
import { callOwner } from "./link-door.ts";
import { OwnerLink } from "./owner-link.ts";

export interface OwnerLinksParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly gate: EpochGate;
}

export class OwnerLinks {
  readonly #parts: OwnerLinksParts;
  readonly #links = new Map<Incarnation, OwnerLink>();
  readonly #calls = new Map<Incarnation, Promise<OwnerLink | undefined>>();
  /** Why an owner could not be called, when that was told. */
  readonly #refusals = new Map<Incarnation, string>();
  #isStopped = false;

  constructor(parts: OwnerLinksParts) {
    this.#parts = parts;
  }

  /** The link to an owner; undefined when there can be none now. Many who ask at once wait for one call. */
  async to(member: Member): Promise<OwnerLink | undefined> {
    const { incarnation } = member;
    const link = this.#links.get(incarnation);
    if (link !== undefined) return link;
    let call = this.#calls.get(incarnation);
    if (call === undefined) {
      call = this.#call(member).finally(() => this.#calls.delete(incarnation));
      this.#calls.set(incarnation, call);
    }
    return call;
  }

  has(member: Member): boolean {
    return this.#links.has(member.incarnation);
  }

  /** Cuts the links to those who do not count any more. */
  follow(view: View): void {
    for (const [incarnation, link] of this.#links) {
      if (memberOf(view, incarnation) === undefined) link.close("the owner does not count any more");
    }
    for (const incarnation of this.#refusals.keys()) {
      if (memberOf(view, incarnation) === undefined) this.#refusals.delete(incarnation);
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const link of this.#links.values()) link.close("this node is leaving");
  }

  async #call(member: Member): Promise<OwnerLink | undefined> {
    const { clock, config, events, gate } = this.#parts;
    const { incarnation } = member;
    try {
      const called = await callOwner(member, config.clusterKey, config.linkCallMs);
      if (this.#isStopped) {
        called.socket.destroy();
        return undefined;
      }
      const link = new OwnerLink({
        clock,
        events,
        gate,
        member,
        silentMs: config.leaseMs,
        called,
        onClosed: () => this.#links.delete(incarnation),
      });
      this.#links.set(incarnation, link);
      this.#refusals.delete(incarnation);
      events.emit("link:opened", { toNodeId: member.nodeId, incarnation });
      return link;
    } catch (error) {
      // Asked again and again while players wait; told once.
      const why = messageOf(error);
      if (this.#refusals.get(incarnation) !== why)
        events.emit("link:refused", { toNodeId: member.nodeId, why });
      this.#refusals.set(incarnation, why);
      return undefined;
    }
  }
}
