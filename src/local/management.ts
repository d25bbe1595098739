// The local cluster's management port: what a node tells of the cluster, with what only the launcher knows (is that
// process running, frozen or gone), and the actions of the console: kill, freeze, thaw, drain, add.
//
// For this machine only. A foreign web page cannot use it: it is bound to loopback, takes no other Host (a name that
// was made to point here), answers only the demo's own origins, and an action needs a header that a page of another
// origin may not send without asking first.

import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "../errors.ts";
import { pickBackend, type Backend, type Health } from "./backends.ts";
import { listen } from "./front.ts";
import type { NodeProcess, Nodes, Outcome } from "./nodes.ts";

export interface ManagementOptions {
  readonly port: number;
  readonly publicPort: number;
  readonly nodes: Nodes;
  readonly healthOf: (backend: Backend) => Health;
}

export interface Management {
  readonly port: number;
  stop(): Promise<void>;
}

const ASK_MS = 2_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const CONNECTIONS_MAX = 200;

/** @throws the error of listen() */
export async function openManagement(options: ManagementOptions): Promise<Management> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 16_384 });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("request", (request, response) => {
    request.resume(); // no request here has a body that matters
    request.on("error", () => response.destroy());
    handle(options, request, response).catch((error: unknown) => {
      if (!response.headersSent) answer(response, 500, { error: messageOf(error) });
    });
  });
  const port = await listen(server, options.port, "127.0.0.1");
  return { port, stop: async () => close(server) };
}

async function handle(
  options: ManagementOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url = "/", headers } = request;
  const path = url.split("?")[0] ?? "/";
  const isOwnHost = /^(localhost|127\.0\.0\.1)(:\d{1,5})?$/.test(headers.host ?? "");
  if (!isOwnHost) {
    answer(response, 403, {
      error: "this port is for this machine; use http://localhost or http://127.0.0.1",
    });
    return;
  }
  const { origin } = headers;
  const isOwnOrigin =
    origin === `http://localhost:${options.publicPort}` ||
    origin === `http://127.0.0.1:${options.publicPort}`;
  response.setHeader("Vary", "Origin");
  response.setHeader("Cache-Control", "no-store");
  if (isOwnOrigin) {
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Access-Control-Allow-Methods", "GET, POST");
    response.setHeader("Access-Control-Allow-Headers", "x-ringside-action, content-type");
  } else if (origin !== undefined) {
    answer(response, 403, { error: `pages of ${origin} may not use this port` });
    return;
  }
  if (method === "OPTIONS") {
    response.writeHead(204).end();
  } else if (path === "/metrics") {
    answer(response, 404, { error: whereMetricsAre(options.nodes.list()) });
  } else if (method === "GET" || method === "HEAD") {
    await proxy(options, url, path, response);
  } else if (method !== "POST") {
    answer(response, 405, { error: "only GET and POST are answered here" });
  } else if (headers["x-ringside-action"] !== "1") {
    answer(response, 403, { error: "an action needs the header `x-ringside-action: 1`" });
  } else {
    act(options.nodes, path, response);
  }
}

function act(nodes: Nodes, path: string, response: ServerResponse): void {
  if (path === "/api/nodes") {
    reply(response, 201, nodes.add());
    return;
  }
  const [, nodeId = "", action = ""] = /^\/api\/nodes\/([A-Za-z0-9_-]{1,64})\/([a-z]+)$/.exec(path) ?? [];
  switch (action) {
    case "kill":
    case "freeze":
    case "thaw":
    case "drain":
      reply(response, 200, nodes[action](nodeId));
      return;
    default:
      answer(response, 404, { error: "POST /api/nodes or /api/nodes/<nodeId>/kill, freeze, thaw or drain" });
  }
}

function reply(response: ServerResponse, status: number, outcome: Outcome): void {
  if ("error" in outcome) answer(response, 409, outcome);
  else answer(response, status, outcome);
}

/** Asks one live node after the other until one answers. */
async function proxy(
  options: ManagementOptions,
  url: string,
  path: string,
  response: ServerResponse,
): Promise<void> {
  const tried = new Set<string>();
  for (;;) {
    const running = options.nodes.list().filter((node) => node.isReady && node.state === "running");
    // A draining node still knows; it is only the second choice.
    const node =
      pickBackend(running, options.healthOf, 0, tried) ?? running.find((each) => !tried.has(each.nodeId));
    if (node === undefined) {
      answer(response, 503, { error: "no node answers right now; POST /api/nodes starts one" });
      return;
    }
    tried.add(node.nodeId);
    const found = await ask(node.managementPort, url);
    if (found === undefined) continue;
    if (path === "/api/cluster" && found.status === 200) {
      answer(response, 200, withProcesses(JSON.parse(found.body), options.nodes.list()));
    } else {
      response.writeHead(found.status, { "Content-Type": found.type }).end(found.body);
    }
    return;
  }
}

/** One node's numbers under an address that is now one node, now another, would look like counters that jump. */
export function whereMetricsAre(processes: readonly NodeProcess[]): string {
  const places = processes
    .filter((node) => node.isReady && node.state === "running")
    .map((node) => `http://127.0.0.1:${node.managementPort}/metrics (${node.nodeId})`);
  return places.length === 0
    ? "each node has its own metrics, and none runs right now; POST /api/nodes starts one"
    : `each node has its own metrics: ${places.join(", ")}`;
}

/** Adds to each node of `GET /api/cluster` what its process does. */
export function withProcesses(cluster: unknown, processes: readonly NodeProcess[]): unknown {
  if (
    typeof cluster !== "object" ||
    cluster === null ||
    !("nodes" in cluster) ||
    !Array.isArray(cluster.nodes)
  ) {
    return cluster;
  }
  // Each row is an object by the API's contract; a spread of anything else adds nothing.
  const nodes = (cluster.nodes as { nodeId?: unknown; pid?: unknown }[]).map((row) => {
    const found = processes.find((each) => each.nodeId === row.nodeId && each.pid === row.pid);
    return { ...row, process: found?.state ?? "exited" };
  });
  return { ...cluster, nodes };
}

interface Found {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function ask(port: number, url: string): Promise<Found | undefined> {
  return new Promise((resolve) => {
    const request = get(
      { host: "127.0.0.1", port, path: url, agent: false, signal: AbortSignal.timeout(ASK_MS) },
      (found) => {
        let body = "";
        found.setEncoding("utf8");
        found.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > ANSWER_BYTES_MAX) request.destroy(new Error("too long"));
        });
        found.on("error", () => resolve(undefined));
        found.on("end", () => {
          resolve({
            status: found.statusCode ?? 502,
            type: found.headers["content-type"] ?? "text/plain",
            body,
          });
        });
      },
    );
    request.on("error", () => resolve(undefined));
  });
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

async function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
