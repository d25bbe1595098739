// The front's decisions, pure: which node gets the next connection, and when a node counts as dead or frozen.

export type Health = "starting" | "live" | "unwell" | "frozen" | "dead";

export interface Backend {
  readonly nodeId: string;
  /** Distinguishes a process from the one that had the name before. */
  readonly pid: number;
  readonly publicPort: number;
  readonly managementPort: number;
  /** Asked to leave: keeps the sessions it has, gets no new ones. */
  readonly isDraining: boolean;
}

/** What a look at a node's /livez gave. `refused`: nobody listens there any more. */
export type Look = "ok" | "notOk" | "refused" | "silent";

export interface Seen {
  readonly health: Health;
  /** When it last answered at all; monotonic. */
  readonly answeredAt: number;
}

/** A node that has not answered for this long is frozen. Longer than a long collection, shorter than a lease. */
export const FROZEN_MS = 1_000;

/** A look that took so much longer than it may was late itself: this process had no time to hear, and it proves nothing. */
const LATE_MS = 250;

/**
 * What a node counts as after a look at it.
 *
 * @param tookMs how long the look took; a silent one is given up after FROZEN_MS
 */
export function judge(before: Seen, at: number, look: Look, tookMs: number): Seen {
  switch (look) {
    case "ok":
      return { health: "live", answeredAt: at };
    case "notOk":
      return { health: "unwell", answeredAt: at };
    case "refused":
      return { health: "dead", answeredAt: before.answeredAt };
    case "silent": {
      const isFrozen = at - before.answeredAt >= FROZEN_MS && tookMs < FROZEN_MS + LATE_MS;
      return isFrozen ? { health: "frozen", answeredAt: before.answeredAt } : before;
    }
  }
}

/** Whether the sessions a node had are to be cut, so that their clients try again elsewhere. */
export function mustCut(before: Health, after: Health): boolean {
  const isGone = (health: Health): boolean => health === "dead" || health === "frozen";
  return isGone(after) && !isGone(before);
}

/**
 * The node for the next connection: round robin over those that are live and stay.
 *
 * @param turn any number that grows by one with each connection
 * @param tried nodes that just refused this connection
 * @returns undefined when none is left
 */
export function pickBackend<B extends Backend>(
  backends: readonly B[],
  healthOf: (backend: B) => Health,
  turn: number,
  tried: ReadonlySet<string> = new Set(),
): B | undefined {
  const able = backends.filter(
    (backend) => !backend.isDraining && !tried.has(backend.nodeId) && healthOf(backend) === "live",
  );
  return able.length === 0 ? undefined : able[turn % able.length];
}
