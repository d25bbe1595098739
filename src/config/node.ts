// Settings of the node as such: who it is, where it is reached, and what it is for. The rows are read and checked by config.ts.

import type { NumberRow, TextRow } from "./rows.ts";

export const NODE_TEXTS = {
  nodeId: { env: ["NODE_ID"], fallback: undefined, why: "this node's stable name, letters, digits, - and _" },
  roles: {
    env: ["RINGSIDE_ROLES"],
    fallback: "gateway,rooms",
    why: "what this node is for: gateway (players connect to it), rooms (rooms run on it), or both",
  },
  clusterKey: {
    env: ["CLUSTER_KEY"],
    fallback: undefined,
    secret: true,
    why: "at least 16 characters that all nodes share; opens the internal port",
  },
  bindHost: {
    env: ["BIND_HOST"],
    fallback: "0.0.0.0",
    why: "the address the public and internal ports are bound to",
  },
  advertiseHost: {
    env: ["ADVERTISE_HOST"],
    fallback: "127.0.0.1",
    why: "the address at which other nodes reach this one",
  },
  managementHost: {
    env: ["MANAGEMENT_HOST"],
    fallback: "127.0.0.1",
    why: "the address the management port is bound to",
  },
  publicAddress: {
    env: ["PUBLIC_ADDRESS"],
    fallback: "",
    why: "where a load balancer that routes by path sends players straight to this node: host[:port][/path], such as play.example.com/{NODE_ID}. Players of its rooms are told to connect there; without it, and of a node that takes no players, to where they came from",
  },
  logLevel: { env: ["LOG_LEVEL"], fallback: "info", why: "error, warn, info or debug" },
} as const satisfies Record<string, TextRow>;

export const NODE_NUMBERS = {
  publicPort: {
    env: "PORT",
    fallback: 2567,
    min: 0,
    max: 65_535,
    why: "where players connect; 0 takes a free port",
  },
  internalPort: {
    env: "INTERNAL_PORT",
    fallback: 0,
    min: 0,
    max: 65_535,
    why: "where other nodes connect; 0 takes a free port",
  },
  managementPort: {
    env: "MANAGEMENT_PORT",
    fallback: -1,
    min: -1,
    max: 65_535,
    why: "GET /api/cluster, /metrics, /livez, /readyz, /gatewayz; -1 is PORT + 1000, 0 takes a free port",
  },
  drainMs: {
    env: "DRAIN_MS",
    fallback: 20_000,
    min: 100,
    max: 600_000,
    why: "how long a leaving node may take in all",
  },
} as const satisfies Record<string, NumberRow>;
