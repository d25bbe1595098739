// Settings of the front door. The rows are read and checked by config.ts.

import type { NumberRow, TextRow } from "./rows.ts";

export const DOOR_TEXTS = {
  trustedProxies: {
    env: ["TRUSTED_PROXIES"],
    fallback: "",
    why: "addresses and ranges, like 10.0.0.0/8, of the proxies in front, whose x-forwarded-for, -proto and -host are believed; from anybody else these are taken out",
  },
  allowedOrigins: {
    env: ["ALLOWED_ORIGINS"],
    fallback: "same-host,localhost",
    why: "the pages that may connect, by their origins: https://play.example.com, https://*.example.com, null; same-host: served from here; localhost: from any port of this machine, to a cluster on it; *: any, without cookies and credentials",
  },
  panelToken: {
    env: ["PANEL_TOKEN"],
    fallback: "",
    secret: true,
    why: "the password that opens Colyseus's monitor and playground on the public port; without it they are not there",
  },
} as const satisfies Record<string, TextRow>;

export const DOOR_NUMBERS = {
  httpHeadersMs: {
    env: "HTTP_HEADERS_MS",
    fallback: 10_000,
    min: 100,
    max: 600_000,
    why: "how long the headers of a request may take to come, from the beginning of its connection",
  },
  httpRequestMs: {
    env: "HTTP_REQUEST_MS",
    fallback: 30_000,
    min: 100,
    max: 3_600_000,
    why: "how long a whole request may take to come, with its body",
  },
  httpIdleMs: {
    env: "HTTP_IDLE_MS",
    fallback: 60_000,
    min: 100,
    max: 3_600_000,
    why: "how long nothing may move on a connection that is not a WebSocket, with an answer under way or not",
  },
  httpBodyBytesMax: {
    env: "HTTP_BODY_BYTES_MAX",
    fallback: 1024 * 1024,
    min: 1_024,
    max: 1024 * 1024 * 1024,
    why: "how large a request to the game's own routes may be",
  },
  matchmakeBytesMax: {
    env: "MATCHMAKE_BYTES_MAX",
    fallback: 64 * 1024,
    min: 256,
    max: 16 * 1024 * 1024,
    why: "how large the options of a join may be",
  },
  connectionsMax: {
    env: "CONNECTIONS_MAX",
    fallback: 20_000,
    min: 1,
    max: 1_000_000,
    why: "how many connections to its public port a node keeps; more are cut at once",
  },
  connectionsPerAddressMax: {
    env: "CONNECTIONS_PER_ADDRESS_MAX",
    fallback: 1_000,
    min: 0,
    max: 1_000_000,
    why: "how many of them may come from one address (IPv6: from one /64); more are cut at once. 0: any number",
  },
  requestsPerAddress: {
    env: "REQUESTS_PER_ADDRESS",
    fallback: 3_000,
    min: 0,
    max: 1_000_000,
    why: "how many requests one address may send to a node in 10 s (here and below: IPv6 counts by its /64, loopback is not counted, 0 is any number)",
  },
  upgradesPerAddress: {
    env: "UPGRADES_PER_ADDRESS",
    fallback: 1_000,
    min: 0,
    max: 1_000_000,
    why: "how many players' connections one address may open at a node in 10 s",
  },
  upgradesPerUser: {
    env: "UPGRADES_PER_USER",
    fallback: 50,
    min: 0,
    max: 1_000_000,
    why: "how many connections one signed-in user may open at a node in 10 s",
  },
  joinsPerAddress: {
    env: "JOINS_PER_ADDRESS",
    fallback: 300,
    min: 0,
    max: 1_000_000,
    why: "how many seats one address may ask the cluster for in 10 s",
  },
  joinsPerUser: {
    env: "JOINS_PER_USER",
    fallback: 30,
    min: 0,
    max: 1_000_000,
    why: "how many seats one signed-in user may ask the cluster for in 10 s",
  },
  openSeatsPerAddress: {
    env: "OPEN_SEATS_PER_ADDRESS",
    fallback: 30,
    min: 0,
    max: 1_000_000,
    why: "how many seats one address may have reserved, in all rooms, that no connection has come for yet",
  },
  openSeatsPerUser: {
    env: "OPEN_SEATS_PER_USER",
    fallback: 5,
    min: 0,
    max: 1_000_000,
    why: "how many such seats one signed-in user may have",
  },
  roomsPerAddress: {
    env: "ROOMS_PER_ADDRESS",
    fallback: 60,
    min: 0,
    max: 1_000_000,
    why: "how many rooms one address may have the cluster make in 10 s",
  },
  roomsPerUser: {
    env: "ROOMS_PER_USER",
    fallback: 15,
    min: 0,
    max: 1_000_000,
    why: "how many rooms one signed-in user may have the cluster make in 10 s",
  },
  roomsInAll: {
    env: "ROOMS_IN_ALL",
    fallback: 2_000,
    min: 0,
    max: 1_000_000,
    why: "how many rooms all players together may have the cluster make in 10 s; what games make by themselves is not counted",
  },
} as const satisfies Record<string, NumberRow>;
