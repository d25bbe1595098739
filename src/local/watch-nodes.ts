// Looks at each node's /livez a few times a second, as a load balancer does, and says when one is dead or frozen.

import { get } from "node:http";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import { FROZEN_MS, judge, mustCut, type Backend, type Health, type Look, type Seen } from "./backends.ts";

const LOOK_EVERY_MS = 250;

export interface NodeWatch {
  readonly healthOf: (backend: Backend) => Health;
  /** Resolves when each of the backends has been seen live or dead: from then on the front knows where to send whom. */
  untilSeen(): Promise<void>;
  /** The process has ended: no need to look. */
  markDead(pid: number): void;
  stop(): Promise<void>;
}

export interface NodeWatchOptions {
  readonly clock: Clock;
  readonly backends: () => readonly Backend[];
  /** This node's sessions are to be cut. */
  readonly onGone: (pid: number) => void;
}

export function watchNodes(options: NodeWatchOptions): NodeWatch {
  const { clock } = options;
  const seen = new Map<number, Seen>();
  const looking = new Set<number>();
  const ended = new AbortController();

  let someoneWasSeen = Promise.withResolvers<void>();
  const note = (pid: number, after: Seen): void => {
    const before = seen.get(pid)?.health ?? "starting";
    seen.set(pid, after);
    someoneWasSeen.resolve();
    someoneWasSeen = Promise.withResolvers();
    if (mustCut(before, after.health)) options.onGone(pid);
  };

  const look = async (backend: Backend): Promise<void> => {
    const { pid } = backend;
    looking.add(pid);
    const before = seen.get(pid) ?? { health: "starting", answeredAt: clock.monotonicMs() };
    const askedMs = clock.monotonicMs();
    const found = await askLive(backend.managementPort);
    const nowMs = clock.monotonicMs();
    looking.delete(pid);
    // Its end may have been noted while we asked.
    if (seen.get(pid)?.health !== "dead") note(pid, judge(before, nowMs, found, nowMs - askedMs));
  };

  const loop = repeat(
    clock,
    LOOK_EVERY_MS,
    ended.signal,
    () => {
      const backends = options.backends();
      for (const backend of backends) if (!looking.has(backend.pid)) void look(backend);
      const pids = new Set(backends.map((backend) => backend.pid));
      for (const pid of seen.keys()) if (!pids.has(pid) && !looking.has(pid)) seen.delete(pid);
    },
    () => undefined, // nothing in there throws
  );

  return {
    healthOf: (backend) => seen.get(backend.pid)?.health ?? "starting",
    untilSeen: async () => {
      const isSeen = (backend: Backend): boolean =>
        ["live", "dead"].includes(seen.get(backend.pid)?.health ?? "starting");
      while (!ended.signal.aborted && !options.backends().every(isSeen)) await someoneWasSeen.promise;
    },
    markDead: (pid) => note(pid, { health: "dead", answeredAt: seen.get(pid)?.answeredAt ?? 0 }),
    stop: async () => {
      ended.abort();
      someoneWasSeen.resolve();
      await loop;
    },
  };
}

async function askLive(port: number): Promise<Look> {
  return new Promise((resolve) => {
    const request = get(
      {
        host: "127.0.0.1",
        port,
        path: "/livez",
        agent: false,
        timeout: FROZEN_MS,
        signal: AbortSignal.timeout(FROZEN_MS),
      },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200 ? "ok" : "notOk");
      },
    );
    request.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED" ? "refused" : "silent");
    });
  });
}
