// What the cluster says of itself: GET /api/cluster on the management port, twice a second while the page is seen.
//
// The management port is the page's port + 1000. In production it is not open to players: then nothing answers, the
// page asks seldom and shows no panel. Actions exist only where a launcher runs the nodes, which tells of `process`.

export interface ClusterNode {
  readonly nodeId: string;
  readonly pid?: number;
  readonly state: "up" | "draining" | "silent" | "down";
  readonly leaseLeftMs: number;
  readonly rooms: number;
  readonly players: number;
  readonly process?: "running" | "frozen" | "exited";
}

export interface ClusterRoom {
  readonly roomId: string;
  readonly nodeId: string | null;
  readonly epoch: number;
  /** Connected now. */
  readonly players: number;
  readonly phase: "active" | "moving" | "unowned" | "frozen";
  readonly checkpoint: { readonly seq: number; readonly ageMs: number; readonly bytes: number } | null;
  /** What would be lost if its node died now. */
  readonly rpoMs: number;
}

export interface ClusterFailover {
  readonly roomId: string;
  readonly fromNodeId: string | null;
  readonly toNodeId: string;
  readonly epoch: number;
  readonly at: number;
  readonly checkpointAgeMs: number;
  readonly seats: number;
  /** Null until the room has settled: everybody back, or their time up. */
  readonly back: number | null;
  readonly backMs: number | null;
  readonly why: "recovery" | "demand" | "move";
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly rooms: readonly ClusterRoom[];
  /** What the rooms of the whole cluster would lose now. A node of an older version does not tell. */
  /** For how long Postgres has been away; null while it is there. A node of an older version does not tell. */
  readonly postgresAwayMs?: number | null;
  readonly rpo?: { readonly oldestMs: number; readonly p99Ms: number };
  readonly failovers: readonly ClusterFailover[];
}

export type NodeAction = "kill" | "freeze" | "thaw" | "drain";

const POLL_MS = 500;
const POLL_MS_UNANSWERED = 5_000;
const ANSWER_MS_MAX = 2_500;
/** So many polls in a row without an answer, and the panel is put away. */
const MISSES_MAX = 6;

export class ClusterWatch {
  readonly #base: string | undefined;
  readonly #onCluster: (cluster: Cluster | undefined) => void;
  #misses = 0;
  #hasAnswered = false;
  #last: Cluster | undefined;
  readonly #onDrain: (nodeId: string) => void;

  /** @param base the management port's address, or undefined when the page's address names no port */
  constructor(
    base: string | undefined,
    onCluster: (cluster: Cluster | undefined) => void,
    onDrain: (nodeId: string) => void,
  ) {
    this.#base = base;
    this.#onCluster = onCluster;
    this.#onDrain = onDrain;
    if (base !== undefined) void this.#poll(base);
  }

  /** Asks the launcher to do something to a node. Rejects with a sentence that says why not. */
  async act(nodeId: string, action: NodeAction): Promise<void> {
    if (action === "drain") this.#onDrain(nodeId);
    await this.#post(`/api/nodes/${encodeURIComponent(nodeId)}/${action}`);
    this.#foresee(nodeId, action);
  }

  async addNode(): Promise<void> {
    await this.#post("/api/nodes");
  }

  /** Shows what an action does before the cluster tells of it: when no node is left, nobody would. */
  #foresee(nodeId: string, action: NodeAction): void {
    if (this.#last === undefined || action === "drain") return;
    const process = ({ kill: "exited", freeze: "frozen", thaw: "running" } as const)[action];
    const nodes = this.#last.nodes.map((node) => (node.nodeId === nodeId ? { ...node, process } : node));
    this.#last = { ...this.#last, nodes };
    this.#onCluster(this.#last);
  }

  async #post(path: string): Promise<void> {
    const answer = await fetch(`${this.#base ?? ""}${path}`, {
      method: "POST",
      // A header that a form of a foreign page cannot send.
      headers: { "x-ringside-action": "1" },
    });
    if (answer.ok) return;
    const body = (await answer.json().catch(() => ({}))) as { error?: unknown };
    throw new Error(typeof body.error === "string" ? body.error : `the launcher answered ${answer.status}`);
  }

  async #poll(base: string): Promise<void> {
    for (;;) {
      if (document.hidden)
        await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      try {
        const answer = await fetch(`${base}/api/cluster`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
        // The launcher is there but no node is: what was last known stays, with the buttons that mend it.
        const isLauncherAlone = answer.status === 503 && this.#last !== undefined;
        const cluster = isLauncherAlone
          ? this.#last
          : answer.ok
            ? parseCluster(await answer.json())
            : undefined;
        if (cluster === undefined) throw new Error("not a cluster's answer");
        this.#misses = 0;
        this.#hasAnswered = true;
        this.#last = cluster;
        this.#onCluster(cluster);
      } catch {
        // A node may be dying at this moment; one missed answer says nothing yet.
        this.#misses += 1;
        if (this.#misses === MISSES_MAX || !this.#hasAnswered) this.#onCluster(undefined);
      }
      const isQuiet = !this.#hasAnswered || this.#misses >= MISSES_MAX;
      await new Promise((resolve) => setTimeout(resolve, isQuiet ? POLL_MS_UNANSWERED : POLL_MS));
    }
  }
}

/** The answer, if it has the shape of one. Its members come from our own server and are trusted. */
function parseCluster(answer: unknown): Cluster | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const { nodes, rooms, failovers } = answer as Record<string, unknown>;
  if (!Array.isArray(nodes) || !Array.isArray(rooms) || !Array.isArray(failovers)) return undefined;
  return answer as Cluster;
}
