// The strip, the nodes with their buttons, the banner and the history: the cluster as players see it.
//
// Text goes in as text, never as HTML. Rows are kept and changed in place, so that a button keeps the focus and a
// finger does not press something else than it saw.

import type { Cluster, ClusterNode, ClusterWatch, NodeAction } from "./cluster.ts";
import { span, tell, type Failover } from "./failovers.ts";
import { byId, element, setText } from "./page.ts";
import { nodeColour } from "./palette.ts";

const HISTORY_MAX = 6;
const ACTIONS: readonly { readonly action: NodeAction; readonly label: string; readonly title: string }[] = [
  { action: "kill", label: "Kill", title: "kill -9: no goodbye" },
  { action: "freeze", label: "Freeze", title: "SIGSTOP: alive, but silent" },
  { action: "thaw", label: "Thaw", title: "SIGCONT: wakes up and finds itself replaced" },
  { action: "drain", label: "Drain", title: "SIGTERM: hands its rooms over first" },
];

interface Row {
  readonly item: HTMLElement;
  readonly note: HTMLElement;
  readonly yours: HTMLElement;
  readonly buttons: ReadonlyMap<NodeAction, HTMLButtonElement>;
}

export class ClusterPanel {
  readonly #watch: () => ClusterWatch;
  readonly #rows = new Map<string, Row>();
  readonly #past: Failover[] = [];
  readonly #banner = byId("banner");

  constructor(watch: () => ClusterWatch) {
    this.#watch = watch;
    const add = byId("add");
    add.addEventListener("click", (event) => {
      letGo(event);
      this.#run(add as HTMLButtonElement, () => this.#watch().addNode());
    });
    const open = byId("open");
    open.addEventListener("click", (event) => {
      letGo(event);
      openSheet(!document.body.classList.contains("side-open"));
    });
    byId("stage").addEventListener("pointerdown", () => openSheet(false));
  }

  /** The line that says where the room is. */
  showStrip(facts: {
    readonly roomId: string;
    readonly cluster: Cluster | undefined;
    readonly pingMs: number | undefined;
  }): void {
    const room = facts.cluster?.rooms.find((one) => one.roomId === facts.roomId);
    const strip = byId("strip");
    const parts: [string, string][] = [["room", facts.roomId === "" ? "-" : facts.roomId]];
    if (facts.cluster !== undefined) {
      parts.push(["node", room?.nodeId ?? "nowhere"]);
      parts.push(["epoch", String(room?.epoch ?? "-")]);
      const ageMs = room?.checkpoint?.ageMs;
      parts.push(["checkpoint", ageMs === undefined ? "none yet" : `${tenths(ageMs)} ago`]);
      parts.push(["would lose", room === undefined ? "-" : tenths(room.rpoMs)]);
    }
    parts.push(["ping", facts.pingMs === undefined ? "-" : `${facts.pingMs} ms`]);
    for (const [name, value] of parts) {
      let part = strip.querySelector<HTMLElement>(`[data-part="${name}"]`);
      if (part === null) {
        part = element("span", "part");
        part.dataset["part"] = name;
        part.append(element("small", "", name), element("b"));
        strip.append(part);
      }
      setText(part.lastElementChild, value);
    }
    document.documentElement.style.setProperty("--node", nodeColour(room?.nodeId));
    document.body.classList.toggle("has-cluster", facts.cluster !== undefined);
  }

  showNodes(cluster: Cluster | undefined, ownerId: string | null): void {
    const hasNodes = cluster !== undefined;
    byId("cluster").hidden = !hasNodes;
    if (byId("open").hidden) {
      byId("open").hidden = false;
      openSheet(false);
    }
    if (!hasNodes) return;
    const { rpo, postgresAwayMs } = cluster;
    const isAway = postgresAwayMs !== undefined && postgresAwayMs !== null;
    byId("store").hidden = !isAway;
    if (isAway) {
      const isPlayed = cluster.rooms.some((room) => room.phase === "active");
      const what = isPlayed ? "play goes on, unsaved" : "rooms stand still";
      setText(byId("store"), `Postgres has been away for ${tenths(postgresAwayMs)}: ${what}`);
    }
    byId("rpo").hidden = rpo === undefined;
    if (rpo !== undefined)
      setText(byId("rpo"), `A crash would lose ${tenths(rpo.oldestMs)} at most, p99 ${tenths(rpo.p99Ms)}`);
    byId("add").hidden = !cluster.nodes.some((node) => node.process !== undefined);
    const list = byId("nodes");
    for (const [nodeId, row] of this.#rows) {
      if (cluster.nodes.some((node) => node.nodeId === nodeId)) continue;
      row.item.remove();
      this.#rows.delete(nodeId);
    }
    for (const node of [...cluster.nodes].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))) {
      let row = this.#rows.get(node.nodeId);
      if (row === undefined) {
        row = this.#makeRow(node.nodeId);
        this.#rows.set(node.nodeId, row);
        list.append(row.item);
      }
      this.#fillRow(row, node, node.nodeId === ownerId);
    }
  }

  /** Shows a failover until it is dismissed or another one comes. The same epoch again only changes its numbers. */
  showFailover(failover: Failover): void {
    const known = this.#past.findIndex(
      (one) => one.roomId === failover.roomId && one.epoch === failover.epoch,
    );
    if (known === -1) {
      this.#past.unshift(failover);
      this.#past.length = Math.min(this.#past.length, HISTORY_MAX);
      this.#banner.hidden = false;
    } else {
      this.#past[known] = failover;
    }
    const { title, facts } = tell(failover);
    const close = element("button", "close", "×") as HTMLButtonElement;
    close.type = "button";
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => (this.#banner.hidden = true));
    const list = element("p", "facts");
    facts.forEach((fact, index) => list.append(...(index === 0 ? [] : [" · "]), element("span", "", fact)));
    this.#banner.replaceChildren(element("strong", "", title), list, close);
    this.#banner.style.setProperty("--from", nodeColour(failover.fromNodeId));
    this.#banner.style.setProperty("--to", nodeColour(failover.toNodeId));
    this.#showHistory();
  }

  #showHistory(): void {
    byId("past").hidden = this.#past.length === 0;
    byId("history").replaceChildren(
      ...this.#past.map((failover) => {
        const item = element("li");
        item.style.setProperty("--from", nodeColour(failover.fromNodeId));
        item.style.setProperty("--to", nodeColour(failover.toNodeId));
        const time = new Date(failover.atMs).toLocaleTimeString([], { hour12: false });
        const line = element("p", "route");
        line.append(
          element("b", "from", failover.fromNodeId),
          ` ${failover.did} → `,
          element("b", "to", failover.toNodeId),
        );
        line.append(element("time", "", time));
        const down = failover.downMs === null ? "" : `down ${span(failover.downMs)} · `;
        const lost = `lost ${tenths(failover.rolledBackMs)}`;
        const back = `${failover.back}/${failover.seats} back`;
        item.append(line, element("p", "", `epoch ${failover.epoch} · ${down}${lost} · ${back}`));
        return item;
      }),
    );
  }

  #makeRow(nodeId: string): Row {
    const item = element("li", "node");
    item.style.setProperty("--own", nodeColour(nodeId));
    const head = element("p", "head");
    const note = element("span", "note");
    const yours = element("span", "yours", "your room");
    head.append(element("b", "", nodeId), yours, note);
    const bar = element("div", "actions");
    const buttons = new Map<NodeAction, HTMLButtonElement>();
    for (const { action, label, title } of ACTIONS) {
      const button = element("button", `act ${action}`, label) as HTMLButtonElement;
      button.type = "button";
      button.title = title;
      button.setAttribute("aria-label", `${label} ${nodeId}`);
      button.dataset["node"] = nodeId;
      button.dataset["action"] = action;
      button.addEventListener("click", (event) => {
        letGo(event);
        this.#run(button, () => this.#watch().act(nodeId, action));
      });
      buttons.set(action, button);
      bar.append(button);
    }
    item.append(head, bar);
    return { item, note, yours, buttons };
  }

  #fillRow(row: Row, node: ClusterNode, isOwner: boolean): void {
    const condition = node.process === undefined || node.process === "running" ? node.state : node.process;
    row.item.dataset["condition"] = condition;
    row.item.classList.toggle("is-owner", isOwner);
    row.yours.hidden = !isOwner;
    const load = `${node.rooms} ${node.rooms === 1 ? "room" : "rooms"} · ${node.players} here`;
    setText(row.note, condition === "up" ? load : condition);
    const isFrozen = node.process === "frozen";
    for (const [action, button] of row.buttons) {
      button.hidden =
        node.process === undefined || (action === "freeze" && isFrozen) || (action === "thaw" && !isFrozen);
      button.disabled = node.process === "exited" || (isFrozen && action === "drain");
    }
  }

  /** Runs an action once, and says so when it was refused. */
  #run(button: HTMLButtonElement, action: () => Promise<void>): void {
    const fault = byId("fault");
    fault.hidden = true;
    button.classList.add("is-busy");
    action()
      .catch((error: unknown) => {
        setText(fault, error instanceof Error ? error.message : String(error));
        fault.hidden = false;
      })
      .finally(() => button.classList.remove("is-busy"));
  }
}

/** Seconds with one digit, so that what is told twice a second does not jump about. */
function tenths(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** On a small screen the side is a sheet that slides over the arena; on a large one this changes nothing. */
function openSheet(isOpen: boolean): void {
  document.body.classList.toggle("side-open", isOpen);
  const open = byId("open");
  open.setAttribute("aria-expanded", String(isOpen));
  setText(open, isOpen ? "Close" : byId("cluster").hidden ? "Scores" : "Nodes");
}

/** A button that a pointer pressed gives the focus back: the space bar is for dashing, not for killing again. */
function letGo(event: MouseEvent): void {
  if (event.detail > 0) (event.currentTarget as HTMLElement).blur();
}
