// A private Redis for one machine: js-redis-server, which is JavaScript, over real TCP on loopback, behind a password.
//
// It answers what Colyseus's presence and driver ask as Redis does, and keeps everything in memory: that is enough,
// because nothing in Redis is ever proof of anything. Behaviour of Redis itself is tested against a real one.

import { randomBytes } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import { messageOf } from "../errors.ts";
import { EXIT, StartError } from "./start-error.ts";

export interface LocalRedis {
  /** redis://… with the password in it. */
  readonly url: string;
  readonly port: number;
  /** Closes all connections. May be called twice. */
  stop(): Promise<void>;
}

/** @throws StartError when the package is missing; the bind error when the port is taken */
export async function startRedis(options: { port?: number; password?: string } = {}): Promise<LocalRedis> {
  const password = options.password ?? randomBytes(24).toString("hex");
  const { createRedisCommandExecutor, RedisServerState, Resp2Server } = await load();
  const state = new RedisServerState({ requirepass: password });
  const { server } = new Resp2Server({ server: state, executor: createRedisCommandExecutor() });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    socket.setNoDelay(true); // else a MULTI waits 40 ms for the client's delayed ACK
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // Its own listen() would bind to all addresses.
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo; // it listens on TCP

  let stopped: Promise<void> | undefined;
  return {
    url: `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`,
    port,
    stop: async () => {
      stopped ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        state.close();
      });
      return stopped;
    },
  };
}

/** Loaded on demand, because it is a package for local use only and a production install has none. */
async function load(): Promise<typeof import("js-redis-server/core")> {
  try {
    return await import("js-redis-server/core");
  } catch (error) {
    throw new StartError(
      EXIT.unreachable,
      `there is no Redis of our own (${messageOf(error).split("\n")[0] ?? ""}); ` +
        "run `npm install` without --omit, or set REDIS_URL to a Redis server",
    );
  }
}
