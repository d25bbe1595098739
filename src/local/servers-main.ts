// The helper process: it holds the private Postgres and Redis, and outlives the launcher for as long as they are needed.
//
// Started by servers.ts, detached, so that Ctrl-C in the terminal does not reach Postgres before the nodes' last
// checkpoint. It stops when told to, or when its IPC channel closes, which is how it sees a launcher that was
// killed: first the nodes must be gone, in a bounded time, then Redis stops, then Postgres.

import { resolve } from "node:path";
import { messageOf } from "../errors.ts";
import { systemClock } from "../runtime/clock.ts";
import { goneWithin, parseProcessId, signal, type ProcessId } from "./identity.ts";
import { openLogFile } from "./log-file.ts";
import { startPostgres, type LocalPostgres } from "./postgres.ts";
import { startRedis, type LocalRedis } from "./redis.ts";
import type { ToHelper, ToLauncher } from "./servers.ts";
import { EXIT, StartError } from "./start-error.ts";

/** Nodes without a launcher save and leave in well under a second; one that cannot is ended. */
const NODES_MS = 15_000;
const RESTART_MS = 500;

const nodes = new Map<number, ProcessId>();
let log: (line: string) => void = () => undefined;
let postgres: LocalPostgres | undefined;
let redis: LocalRedis | undefined;
let starting: Promise<void> = Promise.resolve();
let stopping: Promise<void> | undefined;

function tell(message: ToLauncher): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined); // it may be gone by now
}

async function start(message: ToHelper & { type: "start" }): Promise<void> {
  const file = openLogFile(message.logFile);
  log = (line) => file.append(line);
  const { postgresDir: dataDir, last } = message;
  try {
    const [first, second] = await Promise.all([
      dataDir === undefined ? undefined : startPostgres({ dataDir, port: portOf(last?.databaseUrl), log }),
      message.redis ? startRedis({ port: portOf(last?.redisUrl), ...passwordOf(last?.redisUrl) }) : undefined,
    ]);
    postgres = first;
    redis = second;
    if (first !== undefined && dataDir !== undefined) void keep(first, dataDir);
    if (first !== undefined && dataDir !== undefined && first.home !== resolve(dataDir)) {
      tell({ type: "said", line: `ringside: Postgres may not run as root, so its data is in ${first.home}` });
    }
    tell({ type: "ready", databaseUrl: first?.url, redisUrl: second?.url });
  } catch (error) {
    const exitCode = error instanceof StartError ? error.exitCode : EXIT.failed;
    tell({ type: "failed", exitCode, message: messageOf(error) });
    process.exitCode = exitCode;
    void stop();
  }
}

function portOf(url: string | undefined): number {
  return url === undefined ? 0 : Number(new URL(url).port);
}

/** Postgres keeps its password beside its data; Redis keeps nothing. */
function passwordOf(url: string | undefined): { password?: string } {
  return url === undefined ? {} : { password: decodeURIComponent(new URL(url).password) };
}

/** Starts Postgres again, on the same port, each time it ends without having been told to. */
async function keep(first: LocalPostgres, dataDir: string): Promise<void> {
  await first.exited;
  while (stopping === undefined) {
    tell({ type: "said", line: "the private Postgres ended; starting it again" });
    try {
      postgres = await startPostgres({ dataDir, port: first.port, log });
      await postgres.exited;
    } catch (error) {
      log(messageOf(error));
    }
    await systemClock.sleep(RESTART_MS); // a server that cannot stay up must not be started in a busy loop
  }
}

async function stop(): Promise<void> {
  stopping ??= (async () => {
    await starting; // a server half started could not be stopped
    await Promise.all([...nodes.values()].map(endNode));
    await redis?.stop();
    await postgres?.stop();
    process.exit();
  })();
  return stopping;
}

async function endNode(id: ProcessId): Promise<void> {
  // A frozen node would otherwise never learn that its launcher is gone.
  signal(id, "SIGCONT");
  signal(id, "SIGTERM");
  if (await goneWithin(id, NODES_MS)) return;
  signal(id, "SIGKILL");
  await goneWithin(id, 5_000);
}

process.on("message", (message: ToHelper) => {
  switch (message.type) {
    case "start":
      starting = start(message);
      return;
    case "node": {
      const id = parseProcessId(message.id);
      if (id !== undefined) nodes.set(id.pid, id);
      return;
    }
    case "stop":
      void stop();
  }
});
process.on("disconnect", () => void stop());
process.on("SIGTERM", () => void stop());
for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => undefined);
