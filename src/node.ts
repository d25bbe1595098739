// One node: builds every part in order, and takes them down in reverse. This is where parts meet; there are no
// singletons (but for Colyseus's matchmaker, which colyseus/ hides) and nothing happens at import.

import { randomUUID } from "node:crypto";
import type { Server } from "node:http";
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
import { messageOf, RingsideError } from "./errors.ts";
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
import { reportCluster } from "./ops/cluster-report.ts";
import { createManagementServer } from "./ops/management-server.ts";
import { openMetrics } from "./ops/metrics.ts";
import { tellOfRooms, WORD_PATH, type NodeWord } from "./ops/node-word.ts";
import { closedFor, readinessForPlayers, readinessOf, type NodeFacts } from "./ops/readiness.ts";
import { Directory, newRoomId } from "./ownership/directory.ts";
import { Lease } from "./ownership/lease.ts";
import type { Location } from "./placement/locate.ts";
import { Ring } from "./placement/ring.ts";
import { explainLoss, migrate } from "./postgres/migrate.ts";
import { openCommitPool, openPool } from "./postgres/pool.ts";
import { Database, readStatements } from "./postgres/query.ts";
import { drainRooms } from "./recovery/drain-node.ts";
import { Handover } from "./recovery/handover.ts";
import { Promotions } from "./recovery/promotions.ts";
import { Recovery } from "./recovery/recovery.ts";
import { TakenRooms } from "./recovery/taken-rooms.ts";
import { RedisLink } from "./redis/link.ts";
import type { Clock } from "./runtime/clock.ts";
import { listen } from "./runtime/listen.ts";
import { repeat } from "./runtime/repeat.ts";

/** How long a request to a room waits for the room to be open somewhere; Colyseus itself gives it 2 s. */
const ROOM_REQUEST_HOLD_MS = 1_500;
const PRUNE_EVERY_MS = 60_000;
const CLOSE_SERVER_MS = 1_000;
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
  const closing: (() => Promise<unknown> | void)[] = [];
  const close = async (): Promise<void> => {
    for (let step = closing.pop(); step !== undefined; step = closing.pop()) {
      // One part that fails to close must not keep the others open.
      await Promise.resolve(step()).catch(onError);
    }
  };

  try {
    // ---- stores ----
    await migrate(config);
    const statements = readStatements();
    const pool = openPool(config, config.postgresConnectionsMax, "rooms");
    closing.push(() => pool.end());
    // A renewal that hangs must leave time to try again before the lease is over.
    const renewalMs = Math.min(config.storeMs, Math.floor(config.leaseMs / 2));
    const leasePool = openPool({ ...config, storeMs: renewalMs }, 1, "lease");
    closing.push(() => leasePool.end());
    const database = new Database(pool, statements);
    const leaseDatabase = new Database(leasePool, statements);
    // A node that starts into a running cluster takes part in it also while Redis is away.
    const redis = await RedisLink.open(config, clock, events, async () => {
      const nodes = await database.run<{ state: string; lease_left_ms: number }>("cluster-nodes", []);
      return nodes.some((node) => node.state !== "down" && node.lease_left_ms > 0);
    });
    closing.push(() => redis.stop());
    const mode = (config.sessions || game.ringside?.sessions || "off") as SessionMode; // config.ts has seen to it
    const sessions = await Sessions.open({ config, mode, clock, events, database, redis, onError });

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
    const commitPool = openCommitPool(config);
    closing.push(() => commitPool.end());
    const commitStore = new CommitStore({
      clock,
      pool: commitPool,
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
      whereIs: (roomId) => untilActive(roomId),
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
      database: leaseDatabase,
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

    /** Waits until some node has the room open, so that a request to it is not sent to nobody. */
    const untilActive = async (roomId: RoomId): Promise<Location | undefined> => {
      const endsMs = clock.monotonicMs() + ROOM_REQUEST_HOLD_MS;
      while (clock.monotonicMs() < endsMs) {
        const where = await router.locate(roomId).catch(() => undefined);
        if (where === undefined || where.at === "here") return where;
        if (where.at === "gone") {
          void colyseus.listing.remove(roomId); // a ghost: listed, but no more
          return where;
        }
        if (where.at === "claim") await activate(roomId).catch(onError);
        else if (where.at === "peer") {
          // When Postgres cannot be asked, whoever is asked for the room says whether it is there.
          const isOwned = (ownership?: { readonly isOwned: boolean }): boolean => ownership?.isOwned === true;
          if (await directory.locate(roomId).then(isOwned, () => true)) return where;
        }
        await clock.sleep(25);
      }
      return undefined;
    };

    const isGateway = rolesOf(config).includes("gateway");
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
    const whileStarting = async <Result>(work: Promise<Result>): Promise<Result> => {
      try {
        return await work;
      } catch (error) {
        throw explainLoss(error, config.databaseUrl);
      }
    };
    await whileStarting(
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
    await whileStarting(heartbeat.start());
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
    await whileStarting(promotions.start());
    closing.push(() => promotions.stop());
    const watcher = new Watcher(config, clock, (hint) => {
      if (hint === "node") heartbeat.hurry();
      else if (hint === "taken") {
        taken.hurry();
        promotions.hurry(); // it is also said of every new connection
      } else if (rolesOf(config).includes("rooms")) recovery.hurry();
    });
    watcher.start();
    closing.push(() => watcher.stop());

    // ---- work ----
    sessions?.start((why) => router.expel(why));
    closing.push(() => sessions?.stop());
    const eventLog = new EventLog(database, clock, events, config.nodeId);
    eventLog.start(onError);
    closing.push(() => eventLog.stop());
    checkpointer.start();
    closing.push(() => checkpointer.stop());
    recovery.start();
    closing.push(() => recovery.stop());
    taken.start();
    closing.push(() => taken.stop());
    const chores = new AbortController();
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
    const prune = repeat(
      clock,
      PRUNE_EVERY_MS,
      chores.signal,
      async () =>
        void (await database.run("prune", [
          config.eventsKept,
          config.historyMs,
          config.checkpointGenerations,
        ])),
      () => {}, // Postgres is away, which the heartbeat tells
    );
    closing.push(() => {
      chores.abort();
      return prune;
    });

    state = "ready";
    events.emit("node:ready", { incarnation, readyMs: Math.round(clock.monotonicMs() - startedMs) });

    const leave = async (): Promise<void> => {
      const drainStartedMs = clock.monotonicMs();
      state = "draining";
      events.emit("node:draining", { incarnation, rooms: host.activations.size });
      host.refuseNewRooms();
      await database.run("set-draining", [incarnation]).catch(onError);
      heartbeat.hurry();
      await recovery.stop();
      const { moved, left } = await drainRooms({
        config,
        clock,
        events,
        host,
        commits,
        checkpointer,
        directory,
        handover,
      });
      await seats.idle();
      events.emit("node:drained", {
        incarnation,
        moved,
        left,
        drainMs: Math.round(clock.monotonicMs() - drainStartedMs),
      });
      await eventLog.stop();
      await heartbeat.stop(); // it would find this incarnation gone, and take that for the word of others
      lease.revoke(); // before others may take what could not be moved in time
      // The last word, before the internal port closes: nobody needs to find out that this node is gone.
      await database.run("leave", [incarnation]).catch((error: unknown) => onError(messageOf(error)));
      await close();
      events.emit("node:stopped", { incarnation });
    };
    let leaving: Promise<void> | undefined;
    return { incarnation, publicPort, internalPort, managementPort, stop: () => (leaving ??= leave()) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Closes a server and cuts what is still connected; its users have been told, or will find out. */
function closeServer(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    // It waits for sockets that are not HTTP any more; those that nobody cut end with the process.
    const cancel = clock.after(CLOSE_SERVER_MS, resolve);
    server.close(() => {
      cancel();
      resolve();
    });
    server.closeAllConnections();
  });
}
