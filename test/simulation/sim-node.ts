// One node: the product's parts, put together as in src/node.ts, in a process of the simulation.

import { Checkpointer } from "../../src/checkpoint/checkpointer.ts";
import { Committer } from "../../src/commit/committer.ts";
import { CommitStore } from "../../src/commit/commit-store.ts";
import type { Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import type { Incarnation, NodeId, RoomId } from "../../src/ids.ts";
import { Heartbeat } from "../../src/membership/heartbeat.ts";
import type { PromiseAnswer } from "../../src/membership/peer-network.ts";
import { PeerLinks } from "../../src/membership/peer-links.ts";
import { departed } from "../../src/membership/view.ts";
import { Directory } from "../../src/ownership/directory.ts";
import { locate } from "../../src/placement/locate.ts";
import { Database } from "../../src/postgres/query.ts";
import { drainRooms } from "../../src/recovery/drain-node.ts";
import { Recovery } from "../../src/recovery/recovery.ts";
import { TakenRooms } from "../../src/recovery/taken-rooms.ts";
import { ringOf } from "./rings.ts";
import type { Surroundings } from "./surroundings.ts";
import { SimPeerNetwork, type Listener } from "./peers.ts";
import { SimPool } from "./postgres/sim-pool.ts";
import { simClock, type SimClock } from "./sim-clock.ts";
import { SimHost } from "./sim-host.ts";
import type { SimRoom } from "./sim-room.ts";
import { WatchedStore } from "./watched-store.ts";
import { Process } from "./world.ts";

export class SimNode implements Listener {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly process: Process;
  readonly clock: SimClock;
  readonly host: SimHost;
  readonly port: number;
  readonly pools: SimPool[] = [];
  readonly #around: Surroundings;
  readonly #config: Config;
  readonly #events = new EventBus();
  readonly lease;
  readonly #directory: Directory;
  readonly #database: Database;
  readonly #checkpointer: Checkpointer<SimRoom>;
  readonly #committer: Committer<SimRoom>;
  readonly #heartbeat: Heartbeat;
  readonly #peers: PeerLinks;
  readonly #recovery: Recovery;
  readonly #taken: TakenRooms;
  #ring = ringOf({ version: 0, members: [] });
  isLeaving = false;
  isReady = false;

  /** @param rate of its clock */
  constructor(around: Surroundings, nodeId: NodeId, incarnation: Incarnation, port: number, rate: number) {
    const { sabotage, statements, wire, witness, world } = around;
    const config: Config = { ...around.config, nodeId };
    this.#around = around;
    this.#config = config;
    this.nodeId = nodeId;
    this.incarnation = incarnation;
    this.port = port;
    this.process = new Process(nodeId);
    const clock = (this.clock = simClock(world, this.process, rate));
    const events = this.#events;
    events.listen((name, facts) => {
      if (name !== "checkpoint:saved") world.note(name, nodeId, facts);
    });
    const database = (this.#database = new Database(this.#pool(config.storeMs, 8).asPool, statements));
    const leasePool = this.#pool(Math.min(config.storeMs, Math.floor(config.leaseMs / 2)), 1);
    const lease = (this.lease = sabotage.lease(clock, config.leaseMs, config.leaseMarginMs));
    const directory = (this.#directory = new Directory(database, incarnation, { sim: 0 }));
    const host = (this.host = new SimHost({
      config,
      clock,
      chance: world.chance,
      events,
      lease,
      directory,
      committer: () => this.#committer,
      witness,
      say: (frame) => around.say(this, frame),
    }));
    this.#checkpointer = new Checkpointer<SimRoom>({
      config,
      clock,
      events,
      store: new WatchedStore(database, incarnation, config.checkpointGenerations, host, witness),
      activations: () => host.activations.values(),
      mayAct: () => lease.isHeld,
      onRefused: (room) => host.letGo(room, "fenced"),
    });
    const commitPool = this.#pool(config.storeMs, config.commitConnectionsMax).asPool;
    const store = new CommitStore({
      clock,
      pool: commitPool,
      statements,
      self: incarnation,
      generations: config.checkpointGenerations,
    });
    this.#committer = new Committer({
      config,
      clock,
      events,
      checkpointer: this.#checkpointer,
      store,
      lease,
    });
    this.#recovery = new Recovery({
      config,
      clock,
      events,
      lease,
      directory,
      host: host.asHost,
      ring: () => this.#ring,
      isSelf: (other) => other === incarnation,
      onQuarantined: () => {},
    });
    const network = new SimPeerNetwork(
      world,
      wire,
      around.ports,
      this.process,
      config.probeMs,
      sabotage.areLinksCareless === true,
    );
    const onMarked = (): void => this.#heartbeat.hurry();
    this.#peers = new PeerLinks({ config, clock, events, database, incarnation, network, onMarked });
    this.#heartbeat = new Heartbeat({
      config,
      clock,
      events,
      leaseDatabase: new Database(leasePool.asPool, statements),
      database,
      lease,
      incarnation,
      network,
      ...(sabotage.decide === undefined ? {} : { decide: sabotage.decide }),
      onView: (view, before) => {
        this.#ring = ringOf(view);
        this.#peers.follow(view);
        if (departed(before, view).length > 0 || before.version === 0) this.#recovery.hurry();
      },
      onResumed: () => host.resume(),
      roomCount: () => host.activations.size,
      onFenced: (why) => {
        lease.revoke();
        around.fenced(this, why);
      },
    });
    this.#taken = new TakenRooms({
      config,
      clock,
      events,
      database,
      self: incarnation,
      host: host.asHost,
      onLetGo: () => this.#recovery.hurry(),
    });
  }

  /** Rejects when Postgres does not answer; the process then ends. */
  async start(): Promise<void> {
    const { config } = this.#around;
    this.#around.ports.listen(this.port, this);
    const { incarnation, nodeId, port } = this;
    const values = [
      incarnation,
      nodeId,
      nodeId,
      nodeId,
      1,
      port,
      port,
      port,
      config.leaseMs,
      ["gateway", "rooms"],
    ];
    await this.#database.run("register-node", values);
    await this.#heartbeat.start();
    this.#checkpointer.start();
    this.#recovery.start();
    this.#taken.start();
    this.isReady = true;
  }

  /** As in node.ts. */
  async leave(): Promise<void> {
    this.isLeaving = true;
    const { host, lease } = this;
    host.refuseNewRooms();
    await this.#database.run("set-draining", [this.incarnation]).catch(() => {});
    this.#heartbeat.hurry();
    await this.#recovery.stop();
    await drainRooms({
      config: this.#config,
      clock: this.clock,
      events: this.#events,
      host: host.asHost,
      commits: { attach: () => {}, idle: (room) => this.#committer.idle(room as unknown as SimRoom) },
      checkpointer: this.#checkpointer as unknown as Parameters<typeof drainRooms>[0]["checkpointer"], // of these rooms
      directory: this.#directory,
      handover: { offer: () => Promise.resolve() }, // only a matter of speed
    });
    await this.#heartbeat.stop();
    lease.revoke();
    await this.#database.run("leave", [this.incarnation]).catch(() => {});
  }

  /** A player comes for a room: as Router and untilActive do. */
  async knock(roomId: RoomId): Promise<void> {
    if (!this.isReady || this.isLeaving) return;
    const ownership = await this.#directory.locate(roomId);
    const isHere = this.host.activations.get(roomId)?.isActive === true;
    const { view } = this.#heartbeat;
    const successor = this.#ring.memberFor(roomId);
    const where = locate({ self: this.incarnation, view, isHere, ownership, successor });
    if (where.at === "claim") await this.#recovery.activate(roomId);
  }

  linkedBy(incarnation: Incarnation): void {
    this.#heartbeat.linkedBy(incarnation);
  }

  promise(by: Incarnation, forMs: number): PromiseAnswer {
    return this.#heartbeat.promise(by, forMs);
  }

  /** Postgres has told that something changed. */
  hint(payload: string): void {
    if (!this.isReady) return;
    if (payload === "room:taken") this.#taken.hurry();
    else if (payload.startsWith("room:")) this.#recovery.hurry();
    else this.#heartbeat.hurry();
  }

  #pool(queryMs: number, max: number): SimPool {
    const { config, server, wire, world } = this.#around;
    const idleInTransactionMs = config.commitMs;
    const pool = new SimPool({
      world,
      wire,
      server,
      client: this.process,
      queryMs,
      max,
      idleInTransactionMs,
    });
    this.pools.push(pool);
    return pool;
  }
}
