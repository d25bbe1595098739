// The process: environment, signals, exit code, and nothing else.
//
//   node src/main.ts [game]     game: a module whose default export is made by defineCluster; rooms/index.ts if not given
//
// Exit codes, after sysexits.h where it has one: 0 left on purpose, 69 a server it needs cannot be reached, 70 a bug,
// 75 fenced (start it again), 76 a port is in use, 78 the settings are wrong.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readConfig, type Config } from "./config.ts";
import { hasCode, messageOf, RingsideError } from "./errors.ts";
import { EventBus } from "./events.ts";
import { startNode, type RunningNode } from "./node.ts";
import type { Cluster } from "./index.ts";
import { colyseusLogger, logEvents, openLog } from "./ops/log.ts";
import { systemClock } from "./runtime/clock.ts";
import { PortBusy } from "./runtime/listen.ts";
import { growYoungSpaceAtOnce } from "./runtime/young-space.ts";

const EXIT = { unreachable: 69, bug: 70, fenced: 75, portBusy: 76, badConfig: 78 } as const;
/** What closing may take beyond the drain itself. */
const CLOSE_MS = 10_000;

function fail(code: number, text: string): never {
  process.stderr.write(`ringside: ${text}\n`);
  process.exit(code);
}

function read(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof RingsideError)) throw error;
    return fail(EXIT.badConfig, (error.facts["wrong"] as string[]).join("; "));
  }
}

/** Ends the process with one line that says what, why and how to mend it. */
function failToStart(error: unknown): never {
  if (error instanceof PortBusy) {
    return fail(
      EXIT.portBusy,
      `port ${error.port} is in use: stop whoever has it, or choose another with PORT`,
    );
  }
  if (hasCode(error, "POSTGRES_UNREACHABLE") || hasCode(error, "REDIS_UNREACHABLE")) {
    return fail(EXIT.unreachable, String(error.facts["hint"]));
  }
  if (hasCode(error, "BAD_CONFIG"))
    return fail(EXIT.badConfig, (error.facts["wrong"] as string[]).join("; "));
  return fail(
    EXIT.bug,
    `cannot start: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}`,
  );
}

growYoungSpaceAtOnce();
const config = read();
const log = openLog(config.logLevel, config.nodeId);
const events = new EventBus();
logEvents(log, events);

// The process decides about these, and no dependency may. A promise nobody handles is one player's or one room's trouble:
// it is reported and counted. An exception that nobody caught leaves a state nobody knows: rooms that restart from their
// checkpoints elsewhere beat rooms that run on it.
process.on("unhandledRejection", (error) => log.error({ error: describe(error) }, "unhandled rejection"));
process.on("uncaughtException", (error) => {
  log.fatal({ error: describe(error) }, "uncaught exception");
  process.exit(EXIT.bug);
});

async function loadGame(path: string | undefined): Promise<Cluster> {
  const url =
    path === undefined ? new URL("../rooms/index.ts", import.meta.url) : pathToFileURL(resolve(path));
  const module = (await import(url.href)) as { default?: Partial<Cluster> };
  if (module.default?.game?.rooms === undefined) {
    return fail(
      EXIT.badConfig,
      `${path ?? "rooms/index.ts"} must export what defineCluster returns as its default`,
    );
  }
  return module.default as Cluster;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

let node: RunningNode | undefined;
let isStopping = false;

function stop(why: string): void {
  if (isStopping) return;
  isStopping = true;
  log.info({ why }, "stopping");
  setTimeout(
    () => fail(EXIT.bug, "could not leave in time; its rooms come back elsewhere"),
    config.drainMs + CLOSE_MS,
  ).unref();
  void Promise.resolve(node?.stop()).then(
    () => process.exit(0),
    (error: unknown) => {
      log.fatal({ error: describe(error) }, "could not leave in order");
      process.exit(EXIT.bug);
    },
  );
}

process.on("SIGTERM", () => stop("SIGTERM"));
process.on("SIGINT", () => stop("SIGINT"));
process.on("disconnect", () => stop("the launcher is gone"));

try {
  const { game } = await loadGame(process.argv[2]);
  node = await startNode(
    config,
    { ...game, logger: colyseusLogger(log, systemClock) },
    {
      clock: systemClock,
      events,
      onError: (error) => log.warn({ error: describe(error) }, "something failed that others will make good"),
      onFenced: () => process.exit(EXIT.fenced),
    },
  );
  if (isStopping) await node.stop().finally(() => process.exit(0));
} catch (error) {
  failToStart(error);
}
