// A whole cluster in one process: Postgres, the network, gateways with players, and nodes that come and go.

import { readConfig } from "../../src/config.ts";
import type { Incarnation, NodeId, RoomId } from "../../src/ids.ts";
import { readStatements } from "../../src/postgres/query.ts";
import { SimGateway, type Frame } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { Ports } from "./peers.ts";
import { SimPostgres } from "./postgres/sim-postgres.ts";
import { Referee } from "./referee.ts";
import { SimNode } from "./sim-node.ts";
import type { Sabotage, Surroundings } from "./surroundings.ts";
import { Troubles } from "./troubles.ts";
import { Wire } from "./wire.ts";
import { Process, type World } from "./world.ts";

const statements = readStatements();

export const config = readConfig({
  NODE_ID: "sim",
  DATABASE_URL: "postgres://localhost/sim",
  REDIS_URL: "redis://localhost",
  CLUSTER_KEY: "0123456789abcdef",
  CHECKPOINT_MS: "1000",
  HISTORY_EVERY_MS: "10000",
  // Long enough for several rounds of promises, and short enough that runs get to its end.
  FAILSAFE_MS: "10000",
  DRAIN_MS: "5000",
});

/** Two clocks of which one runs this much slow and the other fast still keep within the margin of a lease. */
export const DRIFT = 0.04;

const GATEWAYS = ["east", "west"];

export class Cluster {
  readonly world: World;
  readonly wire: Wire;
  readonly server: SimPostgres;
  readonly ports = new Ports();
  readonly troubles: Troubles;
  readonly referee: Referee;
  readonly ledger: Ledger;
  /** By the names of nodes: who runs under it, if anybody does. */
  readonly nodes = new Map<NodeId, SimNode>();
  readonly rooms: RoomId[] = [];
  readonly #everyone = new Map<Incarnation, SimNode>();
  readonly #around: Surroundings;
  readonly #gateways: readonly SimGateway[];
  /** The last frames of each node: they may still be in its kernel's buffers when it is frozen. */
  readonly #buffers = new Map<SimNode, Frame[]>();
  #ports = 1;
  /** Called when a statement of a node has come so far. */
  onPhase: (node: SimNode, statement: string, phase: string) => void = () => {};
  /** A node's process has ended by itself. */
  onEnded: (node: SimNode) => void = () => {};

  constructor(world: World, sabotage: Sabotage) {
    this.world = world;
    this.wire = new Wire(world);
    const server = (this.server = new SimPostgres(world, sabotage.postgres));
    this.troubles = new Troubles(world, config.leaseMs);
    this.ledger = new Ledger(
      (what, facts) => world.note(what, "ledger", facts),
      (id, what) => world.fail(id, what),
    );
    this.referee = new Referee({
      world,
      config,
      troubles: this.troubles,
      tables: () => server.tables,
      clockSetMs: () => server.clockSetMs,
      nodes: this.#everyone,
    });
    this.#gateways = GATEWAYS.map(
      (name) =>
        new SimGateway(name, sabotage.gate?.(), (gateway, frame) => this.referee.seen(gateway, frame)),
    );
    this.#around = {
      world,
      wire: this.wire,
      ports: this.ports,
      server,
      statements,
      config,
      sabotage,
      witness: this.ledger,
      say: (node, frame) => this.#say(node, frame),
      fenced: (node, why) => this.#fenced(node, why),
    };
    server.onCommit = (before, after, by) => {
      this.ledger.committed(before, after);
      this.referee.committed(before, after, by);
    };
    server.onNotification = (payload) => this.#notify(payload);
    server.onPhase = (client, name, phase) => {
      if (name === "renew-lease" && (phase === "sent" || phase === "answered"))
        this.referee.renewal(client, phase);
      const node = this.nodes.get(client.name as NodeId);
      if (node?.process === client) this.onPhase(node, name, phase);
    };
    server.onCrash = () => {
      for (const node of this.nodes.values()) for (const pool of node.pools) pool.reset();
    };
  }

  get running(): SimNode[] {
    return [...this.nodes.values()].filter(({ process }) => process.state === "running");
  }

  /** Starts a process under a name; on the port that its last one had, or on another. */
  start(nodeId: NodeId, port?: number): SimNode {
    const { chance } = this.world;
    const incarnation = `${nodeId}-${this.#everyone.size + 1}` as Incarnation;
    const rate = 1 + chance.between(-DRIFT, DRIFT);
    const node = new SimNode(this.#around, nodeId, incarnation, port ?? this.#ports++, rate);
    const promise = node.promise.bind(node);
    node.promise = (by, forMs) => {
      const answer = promise(by, forMs);
      const why = answer.kind === "refused" ? answer.why : undefined;
      if (forMs > 0 || answer.kind === "down") this.world.note(`to ${by}: ${answer.kind}`, nodeId, why);
      if (answer.kind === "promised") this.referee.promised(node, by, forMs);
      return answer;
    };
    this.nodes.set(nodeId, node);
    this.#everyone.set(incarnation, node);
    this.referee.enter(node, rate);
    this.world.note("starts", nodeId, { incarnation, rate: rate.toFixed(4) });
    this.world.after(node.process, chance.between(0, 100), "message", () => {
      node.start().catch(() => this.#end(node)); // Postgres did not answer
    });
    return node;
  }

  /** kill -9, or the power of its host. */
  kill(node: SimNode, isPowerCut: boolean): void {
    this.world.kill(node.process);
    this.#late(node);
    this.ports.close(node.port, node, isPowerCut);
    if (!isPowerCut) for (const pool of node.pools) pool.reset();
  }

  freeze(node: SimNode): void {
    this.world.freeze(node.process);
  }

  thaw(node: SimNode): void {
    if (node.process.state !== "frozen") return;
    this.world.thaw(node.process);
    this.#late(node);
  }

  /** What it had given to its kernel, or to the network, arrives now or later. */
  #late(node: SimNode): void {
    const { chance } = this.world;
    if (chance.is(0.3)) return;
    const mostMs = chance.pick([10, 500, 3_000]);
    for (const frame of this.#buffers.get(node) ?? []) {
      this.world.after(undefined, chance.between(0, mostMs), "message", () => this.#carry(node, frame));
    }
  }

  /** The room's first node creates it. */
  create(roomId: RoomId): void {
    const node = this.world.chance.pick(this.running);
    this.rooms.push(roomId);
    this.world.after(node.process, 0, "message", () => void node.host.create(roomId).catch(() => {}));
  }

  /** An operator takes a room from its owner. */
  take(roomId: RoomId): void {
    const operator = new Process("operator");
    const settings = { statementMs: 2_000, idleInTransactionMs: 2_000 };
    const values = [roomId, 1_000];
    this.server.connect(operator, settings).receive({ name: "take-room", values, answer: () => {} });
  }

  #say(node: SimNode, frame: Frame): void {
    this.referee.spokeFor(node, frame);
    const buffer = this.#buffers.get(node) ?? [];
    this.#buffers.set(node, [...buffer.slice(-3), frame]);
    this.#carry(node, frame);
  }

  #carry(node: SimNode, frame: Frame): void {
    for (const gateway of this.#gateways) {
      for (const delayMs of this.wire.frameDelaysMs(node.nodeId, gateway.process.name)) {
        this.world.after(gateway.process, delayMs, "message", () => gateway.receive(frame));
      }
    }
  }

  /** Heard by who listens, and not always: what is not heard is found by looking. */
  #notify(payload: string): void {
    for (const node of this.nodes.values()) {
      if (this.world.chance.is(0.2)) continue;
      const delayMs = this.wire.delayMs("postgres", node.nodeId);
      if (delayMs !== undefined) this.world.after(node.process, delayMs, "message", () => node.hint(payload));
    }
  }

  #fenced(node: SimNode, why: string): void {
    this.world.note("fenced", node.nodeId, why);
    this.#end(node);
  }

  #end(node: SimNode): void {
    if (node.process.state === "dead") return;
    this.kill(node, false);
    this.onEnded(node);
  }
}
