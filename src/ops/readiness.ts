// What a node is ready for: what its health checks answer, and whether its public port is open.
//
// Two questions that have different answers at a node that is only for rooms: whether it does its work (/readyz: may a deploy
// go on?), and whether players may be sent to it (/gatewayz: what a load balancer asks).

import type { ErrorCode } from "../errors.ts";

export interface NodeFacts {
  readonly state: "starting" | "ready" | "draining";
  readonly isLeaseHeld: boolean;
  /** Whether it is a gateway at all. */
  readonly isGateway: boolean;
}

export interface Readiness {
  readonly isReady: boolean;
  readonly why: string;
}

/** Whether a node serves and holds its lease. */
export function readinessOf({ state, isLeaseHeld }: NodeFacts): Readiness {
  return { isReady: state === "ready" && isLeaseHeld, why: isLeaseHeld ? state : "without a lease" };
}

/** Whether new players may be sent to a node. */
export function readinessForPlayers(facts: NodeFacts): Readiness {
  return facts.isGateway
    ? readinessOf(facts)
    : { isReady: false, why: "it is for rooms only, and takes no players" };
}

/** Why nothing is served to players, if so. Without a lease they are kept: it may come back. */
export function closedFor({ state, isGateway }: NodeFacts): ErrorCode | undefined {
  if (!isGateway) return "NO_GATEWAY";
  switch (state) {
    case "starting":
      return "NODE_NOT_READY";
    case "draining":
      return "DRAINING";
    case "ready":
      return undefined;
  }
}
