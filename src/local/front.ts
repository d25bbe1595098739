// The one public port: a plain TCP load balancer, as one would stand before a real cluster.
//
// New connections go round robin to nodes that are live; one that cannot be opened goes to the next node. When a node
// is found dead or frozen its sessions are cut, so that clients try again elsewhere (HAProxy: `on-marked-down
// shutdown-sessions`). It looks at no byte, and keeps nothing: what happens to a session is the nodes' affair.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../runtime/clock.ts";
import { pickBackend, type Backend, type Health } from "./backends.ts";

const CONNECTIONS_MAX = 10_000;
const CONNECT_MS = 1_000;
const REFUSAL_MS = 1_000;

const NO_NODE_TEXT = "no node is up right now; try again\n";
const NO_NODE =
  "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nConnection: close\r\n" +
  `Content-Length: ${NO_NODE_TEXT.length}\r\n\r\n${NO_NODE_TEXT}`;

export interface Front {
  readonly port: number;
  /** Cuts the sessions of a process that is gone. */
  cut(pid: number): void;
  /** Closes the port and all sessions. May be called twice. */
  stop(): Promise<void>;
}

export interface FrontOptions {
  readonly port: number;
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly backends: () => readonly Backend[];
  readonly healthOf: (backend: Backend) => Health;
}

/** @throws the error of listen(), when the first of the hosts cannot be bound */
export async function openFront(options: FrontOptions): Promise<Front> {
  const clients = new Set<Socket>();
  const sessions = new Map<number, Set<Socket>>();
  let turn = 0;

  const accept = (client: Socket): void => {
    client.on("error", () => client.destroy()); // a player's network: nothing to tell anybody
    if (clients.size >= CONNECTIONS_MAX) {
      client.destroy();
      return;
    }
    clients.add(client);
    client.once("close", () => clients.delete(client));
    client.setNoDelay(true);
    tryNext(client, new Set());
  };

  const tryNext = (client: Socket, tried: Set<string>): void => {
    const backend = pickBackend(options.backends(), options.healthOf, turn++, tried);
    if (backend === undefined) {
      refuse(client, options.clock);
      return;
    }
    tried.add(backend.nodeId);
    const upstream = connect({
      host: "127.0.0.1",
      port: backend.publicPort,
      noDelay: true,
      allowHalfOpen: true,
    });
    const cancel = options.clock.after(CONNECT_MS, () => upstream.destroy(new Error("no answer")));
    const next = (): void => {
      cancel();
      if (!client.destroyed) tryNext(client, tried);
    };
    const onGone = (): void => void upstream.destroy();
    client.once("close", onGone);
    upstream.once("error", next);
    upstream.once("connect", () => {
      cancel();
      upstream.off("error", next);
      client.off("close", onGone);
      splice(client, upstream, backend.pid);
    });
  };

  const splice = (client: Socket, upstream: Socket, pid: number): void => {
    const ofNode = sessions.get(pid) ?? new Set();
    sessions.set(pid, ofNode.add(client));
    upstream.on("error", () => client.destroy());
    // `close` follows every end, also the clean one after both sides said their last.
    upstream.once("close", () => client.destroySoon());
    client.once("close", () => {
      upstream.destroy();
      ofNode.delete(client);
      if (ofNode.size === 0) sessions.delete(pid);
    });
    client.pipe(upstream);
    upstream.pipe(client);
  };

  const servers: Server[] = [];
  let { port } = options;
  for (const [index, host] of options.hosts.entries()) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept);
    try {
      port = await listen(server, port, host);
      servers.push(server);
    } catch (error) {
      // The first address is the promise; the others (IPv6 loopback) are there where the machine has them.
      if (index === 0 || isBusy(error)) {
        await Promise.all(servers.map(close));
        throw error;
      }
    }
  }

  let stopped: Promise<unknown> | undefined;
  return {
    port,
    cut: (pid) => {
      for (const client of sessions.get(pid) ?? []) client.destroy();
    },
    stop: async () => {
      stopped ??= Promise.all(servers.map(close));
      for (const client of clients) client.destroy();
      await stopped;
    },
  };
}

/** A plain answer for a browser; the SDK takes a 503 on its upgrade as a reason to try again. */
function refuse(client: Socket, clock: Clock): void {
  client.resume(); // unread bytes would turn the close into a reset that swallows the answer
  client.end(NO_NODE);
  const cancel = clock.after(REFUSAL_MS, () => client.destroy());
  client.once("close", cancel);
}

export function isBusy(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EADDRINUSE";
}

export async function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

async function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
