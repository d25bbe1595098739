// One node: builds every part in order, and takes them down in reverse. This is where parts meet; there are no
// singletons (but for Colyseus's matchmaker, which colyseus/ hides) and nothing happens at import.

import { randomUUID } from "node:crypto";
import { RoomHost } from "./actor/room-host.ts";
import { Seats } from "./actor/seats.ts";
import type { Activation } from "./actor/activation.ts";
import { Sessions, type SessionMode } from "./auth/sessions.ts";
import { EventLog } from "./audit/event-log.ts";
import { Checkpointer } from "./checkpoint/checkpointer.ts";
import { CheckpointStore } from "./checkpoint/store.ts";
import { Committer } from "./commit/committer.ts";
import { RoomCommits } from "./commit/room-commits.ts";
import { CommitStore } from "./commit/commit-store.ts";
import { kindsOf } from "./colyseus/class-version.ts";
import { DirectLine } from "./colyseus/direct-line.ts";
import { ListingUpkeep } from "./colyseus/listing-upkeep.ts";
import { Colyseus, type GameOptions } from "./colyseus/server.ts";
import { rolesOf, type Config } from "./config.ts";
import { RingsideError } from "./errors.ts";
import type { EventBus } from "./events.ts";
import { GatewayPlaces } from "./gateway/gateway-places.ts";
import { openDoor } from "./front-door/open-door.ts";
import { createInternalServer } from "./gateway/internal-server.ts";
import { createPublicServer } from "./gateway/public-server.ts";
import { Router } from "./gateway/route.ts";
import type { Epoch, Incarnation, RoomId } from "./ids.ts";
import { Heartbeat } from "./membership/heartbeat.ts";
import { PeerHttp } from "./membership/peer-http.ts";
import { PeerLinks } from "./membership/peer-links.ts";
import { departed } from "./membership/view.ts";
import { Watcher } from "./membership/watcher.ts";
import { Closing, closeServer } from "./node/closing.ts";
import { leave } from "./node/leave.ts";
import { openStores } from "./node/stores.ts";
import { untilActive, type UntilActiveParts } from "./node/until-active.ts";
import { reportCluster } from "./ops/cluster-report.ts";
import { createManagementServer } from "./ops/management-server.ts";
import { openMetrics } from "./ops/metrics.ts";
import { tellOfRooms, WORD_PATH, type NodeWord } from "./ops/node-word.ts";
import { closedFor, readinessForPlayers, readinessOf, type NodeFacts } from "./ops/readiness.ts";
import { Directory, newRoomId } from "./ownership/directory.ts";
import { Lease } from "./ownership/lease.ts";
import { Ring } from "./placement/ring.ts";
import { startPruning } from "./postgres/prune.ts";
import { whileStarting } from "./postgres/start-failures.ts";
import { Handover } from "./recovery/handover.ts";
import { Promotions } from "./recovery/promotions.ts";
import { Recovery } from "./recovery/recovery.ts";
import { TakenRooms } from "./recovery/taken-rooms.ts";
import type { Clock } from "./runtime/clock.ts";
import { listen } from "./runtime/listen.ts";

/** How long players may take to read that this node is leaving. */
const GOODBYE_MS = 100;

/** What a node needs of the world around it. */
export interface Outside {
  readonly clock: Clock;
  readonly events: EventBus;
  /** Reports what went wrong without being anybody's to handle. */
  readonly onError: (error: unknown) => void;
  /** Others have marked this incarnation down. The process must end at once: it may neither speak nor write. */
  readonly onFenced: () => void;
}

export interface RunningNode {
  readonly incarnation: Incarnation;
  readonly publicPort: number;
  readonly internalPort: number;
  readonly managementPort: number;
  /** Leaves on purpose: moves the rooms, says goodbye, closes everything. May be called twice. */
  stop(): Promise<void>;
}

/** @throws RingsideError with what is wrong and what to do; PortBusy; nothing is left open then */
export async function startNode(config: Config, game: GameOptions, outside: Outside): Promise<RunningNode> {
  const { clock, events, onError } = outside;
  const startedMs = clock.monotonicMs();
  const incarnation = randomUUID() as Incarnation;
  const closing = new Closing(onError);

  try {
    // ---- stores ----
    const stores = await openStores(config, clock, events, closing);
    const { database, redis, statements } = stores;
    const mode = (config.sessions || game.ringside?.sessions || "off") as SessionMode; // config.ts has seen to it
    const sessions = await whileStarting(config, () =>
      Sessions.open({ config, mode, clock, events, database, redis, onError }),
    );

    // ---- ownership ----
    const lease = new Lease(clock, config.leaseMs, config.leaseMarginMs);
    const directory = new Directory(database, incarnation, kindsOf(game.rooms));
    let ring = new Ring({ version: 0, members: [] });
    let state: NodeFacts["state"] = "starting";

    // ---- rooms ----
    const seats = new Seats({ database, self: incarnation, clock, config });
    const host = new RoomHost({ config, clock, events, lease, directory, seats, commits: () => commits });
    const store = new CheckpointStore(database, incarnation, config.checkpointGenerations);
    const checkpointer = new Checkpointer<Activation>({
      config,
      clock,
      events,
      store,
      activations: () => host.activations.values(),
      mayAct: () => lease.isHeld,
      onRefused: (activation) => host.letGo(activation, "fenced"),
    });
    const commitStore = new CommitStore({
      clock,
      pool: stores.commitPool,
      statements,
      self: incarnation,
      generations: config.checkpointGenerations,
    });
    const committer = new Committer({ config, clock, events, checkpointer, store: commitStore, lease });
    const commits = new RoomCommits(committer, events);
    const recovery = new Recovery({
      config,
      clock,
      events,
      lease,
      directory,
      host,
      ring: () => ring,
      isSelf: (other) => other === incarnation,
      onQuarantined: (roomId) => void colyseus.listing.remove(roomId),
    });
    const epochHere = (roomId: RoomId): Epoch | undefined => {
      const activation = host.activations.get(roomId);
      return activation?.isActive === true && colyseus.has(activation.room) ? activation.epoch : undefined;
    };
    const activate = (roomId: RoomId): Promise<unknown> => recovery.activate(roomId);

    // ---- Colyseus ----
    const { door, ...front } = openDoor({
      config,
      clock,
      events,
      link: redis,
      userOf: (request) => sessions?.door.userOf(request),
    });
    const line = new DirectLine({
      config,
      clock,
      self: incarnation,
      view: () => heartbeat.view,
      whereIs: (roomId) => untilActive(seeking, roomId),
    });
    closing.push(() => line.stop());
    const colyseus = new Colyseus({
      game,
      guard: host,
      config,
      link: redis,
      line,
      countNewRoom: () => front.limits.rooms.count(),
      maySeePanels: (request) => front.panels.isOperator(request),
      logins: sessions,
      rooms: () => [...host.activations.values()].map(({ room }) => room),
      takesPlayers: () => readinessForPlayers(nodeFacts()).isReady,
      place: () => {
        const roomId = newRoomId();
        const member = ring.memberFor(roomId);
        if (member === undefined)
          throw new RingsideError("NODE_NOT_READY", { why: "no node takes new rooms" });
        return { roomId, processId: member.processId };
      },
      onError,
    });
    closing.push(() => colyseus.stop());

    const handover = new Handover({ config, self: incarnation, ring: () => ring });
    closing.push(() => handover.stop());

    // ---- gateway ----
    const router = new Router({
      config,
      clock,
      events,
      self: incarnation,
      lease,
      directory,
      transport: colyseus.transport,
      view: () => heartbeat.view,
      ring: () => ring,
      epochHere,
      activate,
    });
    const seeking: UntilActiveParts = {
      clock,
      directory,
      locate: (roomId) => router.locate(roomId),
      activate,
      onGhost: (roomId) => void colyseus.listing.remove(roomId),
      onError,
    };
    const places = new GatewayPlaces({
      config,
      clock,
      events,
      transport: colyseus.transport,
      maySpeak: () => lease.isHeld,
      admit: (roomId) => router.admit(roomId),
    });

    // ---- membership ----
    const network = new PeerHttp(config);
    const peers = new PeerLinks({
      config,
      clock,
      events,
      database,
      incarnation,
      network,
      onMarked: () => heartbeat.hurry(),
    });
    const heartbeat = new Heartbeat({
      config,
      clock,
      events,
      leaseDatabase: stores.leaseDatabase,
      database,
      lease,
      incarnation,
      network,
      onView: (view, before) => {
        ring = new Ring(view);
        peers.follow(view);
        router.follow(view);
        if (departed(before, view).length > 0 || before.version === 0) recovery.hurry();
      },
      onResumed: () => host.resume(),
      roomCount: () => host.activations.size,
      onFenced: (why) => {
        lease.revoke();
        events.emit("node:fenced", { incarnation, why });
        outside.onFenced();
      },
    });

    const isGateway = rolesOf(config).includes("gateway");
    const hasRooms = rolesOf(config).includes("rooms");
    const nodeFacts = (): NodeFacts => ({ state, isLeaseHeld: lease.isHeld, isGateway });
    const startedAt = clock.nowMs();
    const ownWord = (): NodeWord => ({
      incarnation,
      pid: process.pid,
      startedAt,
      leaseLeftMs: lease.leftMs,
      rooms: tellOfRooms(host.activations.values(), lease.isHeld, clock.monotonicMs()),
    });
    const publicServer = createPublicServer({
      config,
      door,
      transport: colyseus.transport,
      router,
      closedFor: () => closedFor(nodeFacts()),
      takesPlayers: isGateway,
      auth: sessions?.door,
    });
    const internalServer = createInternalServer({
      clusterKey: config.clusterKey,
      self: incarnation,
      places: () => (state === "starting" ? undefined : places),
      onLinked: (by) => heartbeat.linkedBy(by),
      promise: (by, forMs) => heartbeat.promise(by, forMs),
      take: activate,
      answers: { [WORD_PATH]: ownWord },
    });
    const report = {
      config,
      database,
      self: incarnation,
      ownWord,
      view: () => heartbeat.view,
      postgresAwayMs: () => heartbeat.postgresAwayMs,
    };
    const metrics = openMetrics({
      clock,
      events,
      lease,
      rooms: () => host.activations.values(),
      backlog: () => recovery.backlog,
      refusals: front.counts,
      onError,
    });
    closing.push(() => metrics.stop());
    const managementServer = createManagementServer({
      metrics,
      readiness: () => readinessOf(nodeFacts()),
      readinessForPlayers: () => readinessForPlayers(nodeFacts()),
      report: () => reportCluster(report),
      others: game.management,
    });

    line.listen(internalServer, colyseus.answers);

    // The internal port is opened before the node is entered: a peer that finds it refusing takes the node for dead.
    const internalPort = await listen(internalServer, config.internalPort, config.bindHost);
    closing.push(() => closeServer(internalServer, clock));
    const managementPort = await listen(managementServer, config.managementPort, config.managementHost);
    closing.push(() => closeServer(managementServer, clock));
    const publicPort = await listen(publicServer, config.publicPort, config.bindHost);
    closing.push(() => closeServer(publicServer, clock));
    closing.push(async () => {
      door.stop();
      router.stop();
      await clock.sleep(GOODBYE_MS); // for the close frames
      router.cut();
      places.stop();
    });
    events.emit("node:started", { incarnation, publicPort, internalPort, managementPort });

    await colyseus.start();

    // ---- arrival ----
    closing.push(() => peers.stop());
    await whileStarting(config, () =>
      database.run("register-node", [
        incarnation,
        config.nodeId,
        colyseus.processId,
        config.advertiseHost,
        process.pid,
        publicPort,
        internalPort,
        managementPort,
        config.leaseMs,
        rolesOf(config),
      ]),
    );
    await whileStarting(config, () => heartbeat.start());
    closing.push(() => heartbeat.stop());
    const taken = new TakenRooms({
      config,
      clock,
      events,
      database,
      self: incarnation,
      host,
      onLetGo: () => recovery.hurry(),
    });
    const promotions = new Promotions({ clock, events, database, host, seats });
    await whileStarting(config, () => promotions.start());
    closing.push(() => promotions.stop());
    const watcher = new Watcher(config, clock, (hint) => {
      if (hint === "node") heartbeat.hurry();
      else if (hint === "taken") {
        taken.hurry();
        promotions.hurry(); // it is also said of every new connection
      } else if (hasRooms) recovery.hurry();
    });
    watcher.start();
    closing.push(() => watcher.stop());

    // ---- work ----
    sessions?.start((why) => router.expel(why));
    closing.push(() => sessions?.stop());
    const eventLog = new EventLog(database, clock, events, config.nodeId, onError);
    closing.push(() => eventLog.stop());
    if (hasRooms) {
      checkpointer.start();
      recovery.start();
      taken.start();
    }
    closing.push(() => checkpointer.stop());
    closing.push(() => recovery.stop());
    closing.push(() => taken.stop());
    const upkeep = new ListingUpkeep({
      clock,
      link: redis,
      listing: colyseus.listing,
      processId: colyseus.processId,
      view: () => heartbeat.view,
      isKnown: (roomId) => host.isKnown(roomId),
      locate: (roomId) => router.locate(roomId),
      renew: () => colyseus.renew(),
    });
    upkeep.start();
    closing.push(() => upkeep.stop());
    closing.push(startPruning(config, clock, database));

    state = "ready";
    events.emit("node:ready", { incarnation, readyMs: Math.round(clock.monotonicMs() - startedMs) });

    let leaving: Promise<void> | undefined;
    const stop = (): Promise<void> => {
      if (leaving === undefined) {
        state = "draining";
        leaving = leave({
          config,
          clock,
          events,
          self: incarnation,
          lease,
          database,
          host,
          seats,
          commits,
          checkpointer,
          directory,
          handover,
          recovery,
          heartbeat,
          eventLog,
          closing,
          playersShortByMs: () => router.shortByMs,
          onError,
        });
      }
      return leaving;
    };
    return { incarnation, publicPort, internalPort, managementPort, stop };
  } catch (error) {
    await closing.close();
    throw error;
  }
}
