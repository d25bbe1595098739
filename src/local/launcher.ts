// A whole cluster on one machine: a private Postgres and Redis, some nodes, and one port before them.
//
// Order of a start: claim the folder, bind the ports (so that a busy one is told before anything runs), stores and
// demo page side by side, nodes. Order of a stop: nodes, which save and leave; the front; Redis and Postgres.

import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { systemClock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import type { Command } from "./commands.ts";
import { buildDemo } from "./demo-build.ts";
import { isBusy, openFront, type Front } from "./front.ts";
import { tryDatabase, tryRedis } from "./given-servers.ts";
import type { ProcessId } from "./identity.ts";
import { openManagement, type Management } from "./management.ts";
import { createNodes, type Nodes, type Outcome } from "./nodes.ts";
import { portOwner } from "./port-owner.ts";
import { claimFolder, type RunFile } from "./run-file.ts";
import { startServers, type Servers, type StoreUrls } from "./servers.ts";
import { MANAGEMENT_OFFSET, nodeName, type LocalSettings } from "./settings.ts";
import { EXIT, StartError } from "./start-error.ts";
import { createStory, type StoryFact } from "./story.ts";
import { listing } from "./terminal.ts";
import { watchNodes, type NodeWatch } from "./watch-nodes.ts";

export interface Cluster {
  readonly nodes: Nodes;
  do(command: Command): void;
}

export interface Launcher {
  /** Resolves when all nodes serve. @throws StartError; what had been started is then to be stopped */
  start(): Promise<Cluster>;
  /** Stops whatever runs, in order. A second call hurries. */
  stop(): Promise<void>;
}

/** How long all nodes together may take to save and leave. */
const LEAVE_MS = 25_000;
/** How long the start of a node may take on a slow machine. */
const NODE_START_MS = 60_000;
const STORY_TICK_MS = 500;
/** Error lines of nodes shown in one such span; the log files have all. */
const ERRORS_SHOWN_MAX = 3;
const ERRORS_SPAN_MS = 10_000;

/** @param onLost the cluster cannot go on; `stop` is to be called */
export function createLauncher(
  settings: LocalSettings,
  say: (line: string) => void,
  onLost: (why: string) => void,
): Launcher {
  const clock = systemClock;
  const ended = new AbortController();
  const logDir = join(settings.dataDir, "logs");
  // Node 22 and 23 run TypeScript too, but say each time that this is an experiment.
  const execArgv = ["--disable-warning=ExperimentalWarning"];
  const story = createStory();
  const known = new Map<number, ProcessId>();
  let isUp = false;
  let run: RunFile | undefined;
  let servers: Servers | undefined;
  let nodes: Nodes | undefined;
  let watch: NodeWatch | undefined;
  let front: Front | undefined;
  let management: Management | undefined;
  let stopping: Promise<void> | undefined;

  const onFact = (fact: StoryFact): void => {
    if (!isUp) return; // how it starts is told by the greeting
    for (const line of story.tell(fact)) say(line);
  };

  const bind = async (newNodes: Nodes): Promise<void> => {
    const backends = (): readonly ReturnType<Nodes["list"]>[number][] =>
      newNodes.list().filter((node) => node.isReady && node.state !== "exited");
    watch = watchNodes({ clock, backends, onGone: (pid) => front?.cut(pid) });
    const { healthOf } = watch;
    const hosts = settings.bindHost === undefined ? ["127.0.0.1", "::1"] : [settings.bindHost];
    front = await orBusy(settings.port, openFront({ port: settings.port, hosts, clock, backends, healthOf }));
    const port = settings.port + MANAGEMENT_OFFSET;
    management = await orBusy(
      port,
      openManagement({ port, publicPort: settings.port, nodes: newNodes, healthOf }),
    );
  };

  const startStores = async (): Promise<{ databaseUrl: string; redisUrl: string }> => {
    const { databaseUrl, redisUrl } = settings;
    await Promise.all([
      databaseUrl === undefined ? undefined : tryDatabase(databaseUrl),
      redisUrl === undefined ? undefined : tryRedis(redisUrl),
    ]);
    ended.signal.throwIfAborted();
    const own = await openServers(undefined);
    return { databaseUrl: databaseUrl ?? own.databaseUrl ?? "", redisUrl: redisUrl ?? own.redisUrl ?? "" };
  };

  // Also without private servers: the helper ends nodes that a killed launcher leaves frozen.
  const openServers = async (last: StoreUrls | undefined): Promise<StoreUrls> => {
    const opened = startServers({
      postgresDir: settings.databaseUrl === undefined ? join(settings.dataDir, "postgres") : undefined,
      redis: settings.redisUrl === undefined,
      last,
      logFile: join(logDir, "servers.log"),
      execArgv,
      say,
      onLost: () => {
        say("the process that holds the private servers ended; starting them again");
        opened.ready.then(openServers).catch((error: unknown) => onLost(messageOf(error)));
      },
    });
    servers = opened;
    for (const id of known.values()) opened.watch(id);
    run?.note({ helper: opened.id, nodes: [...known.values()] });
    return opened.ready;
  };

  const start = async (): Promise<Cluster> => {
    run = await claimFolder(settings.dataDir, settings.port, say);
    ended.signal.throwIfAborted();
    // The nodes learn the stores' addresses below, before the first of them is started.
    const env: Record<string, string | undefined> = {
      ...nodeEnv(settings),
      CLUSTER_KEY: clusterKey(settings),
    };
    const showError = errorLines(say, () => clock.monotonicMs());
    const newNodes = createNodes({
      args: [join(settings.root, "src", "main.ts"), ...(settings.game === undefined ? [] : [settings.game])],
      execArgv,
      env,
      logDir,
      clock,
      onFact,
      onError: (nodeId, text, logFile) => (isUp ? showError(nodeId, text, logFile) : undefined),
      onStarted: (id) => {
        known.set(id.pid, id);
        servers?.watch(id);
        run?.note({ helper: servers?.id, nodes: [...known.values()] });
      },
      onEnded: (pid) => {
        known.delete(pid);
        watch?.markDead(pid);
        front?.cut(pid);
      },
    });
    nodes = newNodes;
    await bind(newNodes);
    ended.signal.throwIfAborted();
    const page = buildDemo(settings.root, execArgv, ended.signal);
    const { databaseUrl, redisUrl } = await startStores();
    ended.signal.throwIfAborted();
    env["DATABASE_URL"] = databaseUrl;
    env["REDIS_URL"] = redisUrl;
    const names = Array.from({ length: settings.nodes }, (_, index) => nodeName(index));
    await withinStart(Promise.all(names.map((name) => newNodes.start(name))));
    if (watch !== undefined) await withinStart(watch.untilSeen()); // whoever reads that it is up may connect at once
    const noPage = await page;
    ended.signal.throwIfAborted();
    if (noPage !== undefined) say(`ringside: ${noPage}`);
    isUp = true;
    void repeat(
      clock,
      STORY_TICK_MS,
      ended.signal,
      () => onFact({ kind: "clock", at: clock.nowMs() }),
      () => undefined,
    );
    return { nodes: newNodes, do: (command) => perform(newNodes, command, say) };
  };

  const stopAll = async (): Promise<void> => {
    isUp = false;
    ended.abort(new StartError(EXIT.failed, "stopped while starting"));
    await nodes?.stop(LEAVE_MS);
    await Promise.all([front?.stop(), management?.stop(), watch?.stop()]);
    await servers?.stop();
    run?.remove();
  };

  return {
    start,
    stop: async () => {
      if (stopping === undefined) stopping = stopAll();
      else nodes?.hurry();
      return stopping;
    },
  };

  async function withinStart(work: Promise<unknown>): Promise<void> {
    const late = new Promise<never>((_, reject) => {
      const why = `the nodes were not ready within ${NODE_START_MS / 1_000} s; their logs are in ${logDir}`;
      const cancel = clock.after(NODE_START_MS, () => reject(new StartError(EXIT.failed, why)));
      work.then(cancel, cancel);
    });
    await Promise.race([work, late]);
  }
}

/** Settings of the nodes: the user's own environment, but for addresses. */
function nodeEnv(settings: LocalSettings): Record<string, string | undefined> {
  return {
    ...settings.env,
    // The launcher's own settings; under REDIS_URL the nodes get what REDIS_URI may have said.
    NODES: undefined,
    RINGSIDE_DATA_DIR: undefined,
    REDIS_URI: undefined,
    PORT: "0",
    INTERNAL_PORT: "0",
    MANAGEMENT_PORT: "0",
    BIND_HOST: "127.0.0.1",
    MANAGEMENT_HOST: "127.0.0.1",
    ADVERTISE_HOST: "127.0.0.1",
  };
}

/** The user's, else one made up once for this folder and readable by us only. */
function clusterKey(settings: LocalSettings): string {
  if (settings.clusterKey !== undefined) return settings.clusterKey;
  const path = join(settings.dataDir, "cluster-key");
  try {
    const key = readFileSync(path, "utf8").trim();
    if (key.length >= 32) return key;
  } catch {
    // There is none yet.
  }
  const key = randomBytes(32).toString("hex");
  writeFileSync(path, key, { mode: 0o600 });
  return key;
}

async function orBusy<T>(port: number, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") {
      throw new StartError(
        EXIT.badConfig,
        `port ${port} needs rights that this user has not; try PORT=3000 npm start`,
      );
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new StartError(EXIT.badConfig, `BIND_HOST is not an address of this machine (${code})`);
    }
    if (!isBusy(error)) throw error;
    const owner = portOwner(port);
    const who = owner === undefined ? "another process" : owner;
    throw new StartError(
      EXIT.portBusy,
      `port ${port} is taken by ${who}; stop that, or use other ports: PORT=3000 npm start (takes 3000 and 4000)`,
    );
  }
}

function perform(nodes: Nodes, command: Command, say: (line: string) => void): void {
  const told = (outcome: Outcome): void => {
    if ("error" in outcome) say(outcome.error);
  };
  switch (command.name) {
    case "kill":
    case "freeze":
    case "thaw":
    case "drain":
      told(nodes[command.name](command.nodeId));
      return;
    case "add": {
      const outcome = nodes.add();
      say("error" in outcome ? outcome.error : `${outcome.nodeId} is starting (pid ${outcome.pid})`);
      return;
    }
    case "list":
      for (const line of listing(nodes.list())) say(line);
      return;
    case "none":
      say(command.hint);
      return;
    case "quit": // main.ts
  }
}

/** Shows a node's error lines, a few in a span of time. */
function errorLines(
  say: (line: string) => void,
  nowMs: () => number,
): (nodeId: string, text: string, logFile: string) => void {
  let since = -ERRORS_SPAN_MS;
  let shown = 0;
  return (nodeId, text, logFile) => {
    if (nowMs() - since >= ERRORS_SPAN_MS) {
      since = nowMs();
      shown = 0;
    }
    shown += 1;
    if (shown <= ERRORS_SHOWN_MAX) say(`${nodeId}: ${text}`);
    else if (shown === ERRORS_SHOWN_MAX + 1) say(`${nodeId}: more such lines are in ${logFile}`);
  };
}
