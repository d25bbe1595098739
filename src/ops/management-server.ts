// The management port: health for orchestrators, the whole cluster for people and programs, this node's own numbers for
// Prometheus. Read only, but for what the game adds (`management`).

import http from "node:http";
import { messageOf } from "../errors.ts";
import { isForForeignPage } from "../front-door/panels.ts";
import type { ClusterReport } from "./cluster-report.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

const OURS = new Set(["/livez", "/readyz", "/gatewayz", "/api/cluster", "/metrics"]);

export interface ManagementParts {
  /** Whether the event loop turns: an answer at all is the answer. */
  readonly readiness: () => Readiness;
  readonly readinessForPlayers: () => Readiness;
  readonly report: () => Promise<ClusterReport>;
  /** What the game itself serves to operators; asked last. */
  readonly others?: http.RequestListener | undefined;
  readonly metrics: Pick<Metrics, "contentType" | "text">;
}

export function createManagementServer(parts: ManagementParts): http.Server {
  const { readiness, readinessForPlayers, report, metrics, others } = parts;
  const server = http.createServer({ requestTimeout: 10_000, headersTimeout: 5_000 });
  server.on("request", (request, response) => {
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify(body));
    };
    const path = (request.url ?? "").split("?")[0];
    const isOurs = path !== undefined && OURS.has(path);
    if (!isOurs && others !== undefined) {
      if (isForForeignPage(request.headers))
        send(403, { error: "pages of other sites may not use this port" });
      else others(request, response);
    } else if (request.method !== "GET") {
      send(405, { error: "only GET is answered here" });
    } else if (path === "/livez") {
      send(200, { live: true });
    } else if (path === "/readyz" || path === "/gatewayz") {
      const { isReady, why } = path === "/readyz" ? readiness() : readinessForPlayers();
      send(isReady ? 200 : 503, { ready: isReady, why });
    } else if (path === "/api/cluster") {
      report().then(
        (cluster) => send(200, cluster),
        (error: unknown) => send(503, { error: `the cluster cannot be read: ${messageOf(error)}` }),
      );
    } else if (path === "/metrics") {
      metrics.text().then(
        (text) => {
          response.writeHead(200, { "content-type": metrics.contentType, "cache-control": "no-store" });
          response.end(text);
        },
        (error: unknown) => send(503, { error: `the metrics cannot be read: ${messageOf(error)}` }),
      );
    } else {
      send(404, { error: "try /api/cluster, /metrics, /livez, /readyz or /gatewayz" });
    }
  });
  return server;
}
