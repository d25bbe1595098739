// The launcher's side of the helper process that holds the private Postgres and Redis (servers-main.ts).

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { identify, type ProcessId } from "./identity.ts";
import { EXIT, StartError } from "./start-error.ts";

export interface StoreUrls {
  readonly databaseUrl: string | undefined;
  readonly redisUrl: string | undefined;
}

export type ToHelper =
  | {
      type: "start";
      postgresDir: string | undefined;
      redis: boolean;
      last: StoreUrls | undefined;
      logFile: string;
    }
  /** This node is to be gone before the servers stop. */
  | { type: "node"; id: ProcessId }
  | { type: "stop" };

export type ToLauncher =
  | ({ type: "ready" } & StoreUrls)
  | { type: "failed"; exitCode: number; message: string }
  | { type: "said"; line: string };

export interface Servers {
  readonly id: ProcessId | undefined;
  /** Resolves with the addresses of those that were asked for; rejects with a StartError. */
  readonly ready: Promise<StoreUrls>;
  watch(node: ProcessId): void;
  /** Resolves when both servers and the helper have ended. May be called twice. */
  stop(): Promise<void>;
}

export interface ServersOptions {
  /** Undefined: no private Postgres. */
  readonly postgresDir: string | undefined;
  readonly redis: boolean;
  /** Where the servers of a helper that was lost had been: they are to be there again, because the nodes know them so. */
  readonly last?: StoreUrls | undefined;
  readonly logFile: string;
  readonly execArgv: readonly string[];
  readonly say: (line: string) => void;
  /** The helper had become ready, and ended without having been asked to. */
  readonly onLost: () => void;
}

export function startServers(options: ServersOptions): Servers {
  const main = fileURLToPath(new URL("./servers-main.ts", import.meta.url));
  const child = spawn(process.execPath, [...options.execArgv, main], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  let stopping = false;
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const ready = new Promise<StoreUrls>((resolve, reject) => {
    child.on("message", (message: ToLauncher) => {
      if (message.type === "ready") resolve(message);
      else if (message.type === "failed") reject(new StartError(message.exitCode, message.message));
      else options.say(message.line);
    });
    void exited.then(() =>
      reject(new StartError(EXIT.failed, `the servers' process ended; see ${options.logFile}`)),
    );
  });
  ready.then(
    () => exited.then(() => (stopping ? undefined : options.onLost())),
    () => undefined, // whoever awaits `ready` is told
  );
  const send = (message: ToHelper): void => {
    if (child.connected) child.send(message, () => undefined); // `exited` tells when it could not hear
  };
  const { postgresDir, redis, last, logFile } = options;
  send({ type: "start", postgresDir, redis, last, logFile });
  return {
    id: child.pid === undefined ? undefined : identify(child.pid),
    ready,
    watch: (id) => send({ type: "node", id }),
    stop: async () => {
      stopping = true;
      send({ type: "stop" });
      await exited;
    },
  };
}
