// Every knob of a node, one row each. The README's table of settings is printed from these rows
// (`node scripts/readme.ts`). Rows are checked together, and every fault is reported at once.

import { messageOf, RingsideError } from "./errors.ts";
import { TrustedProxies } from "./front-door/address.ts";
import { AllowedOrigins } from "./front-door/origins.ts";
import { readPublicAddress } from "./gateway/public-address.ts";
import { isName, type NodeId } from "./ids.ts";
import { BadAddress, parseRedisUrl } from "./redis/address.ts";

interface NumberRow {
  readonly env: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
}

export const NUMBERS = {
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
  leaseMs: {
    env: "LEASE_MS",
    fallback: 3_000,
    min: 1_000,
    max: 60_000,
    why: "how long a silent node keeps its rooms",
  },
  leaseRenewMs: {
    env: "LEASE_RENEW_MS",
    fallback: 500,
    min: 50,
    max: 10_000,
    why: "how often a node renews its lease",
  },
  leaseMarginMs: {
    env: "LEASE_MARGIN_MS",
    fallback: 250,
    min: 20,
    max: 10_000,
    why: "how much earlier than Postgres a node believes its lease is over; covers clock drift",
  },
  failsafeMs: {
    env: "FAILSAFE_MS",
    fallback: 90_000,
    min: 0,
    max: 3_600_000,
    why: "how long play goes on, unsaved, while no node reaches Postgres; also how long a new node waits before it takes the rooms of a silent one that has never heard of it. 0: rooms stand still as soon as the lease is over",
  },
  checkpointMs: {
    env: "CHECKPOINT_MS",
    fallback: 2_000,
    min: 50,
    max: 600_000,
    why: "how often a changed room is saved; about what a crash costs",
  },
  checkpointBytesMax: {
    env: "CHECKPOINT_BYTES_MAX",
    fallback: 4 * 1024 * 1024,
    min: 1_024,
    max: 256 * 1024 * 1024,
    why: "the largest room that is saved, before compression; a larger one is reported and keeps its last checkpoint, and one of half the size is warned of",
  },
  checkpointGenerations: {
    env: "CHECKPOINT_GENERATIONS",
    fallback: 3,
    min: 1,
    max: 100,
    why: "how many checkpoints of a room are kept, beside its history",
  },
  historyEveryMs: {
    env: "HISTORY_EVERY_MS",
    fallback: 60_000,
    min: 1_000,
    max: 3_600_000,
    why: "how often a whole checkpoint is written, which stays in the room's history; those between hold what differs from it",
  },
  historyMs: {
    env: "HISTORY_MS",
    fallback: 3_600_000,
    min: 0,
    max: 2_592_000_000,
    why: "how long a room's history goes back",
  },
  checkpointBasesBytesMax: {
    env: "CHECKPOINT_BASES_BYTES_MAX",
    fallback: 256 * 1024 * 1024,
    min: 0,
    max: 64 * 1024 * 1024 * 1024,
    why: "how much memory a node spends on remembering what was last saved whole; past it, checkpoints are whole",
  },
  checkpointBatchMax: {
    env: "CHECKPOINT_BATCH_MAX",
    fallback: 256,
    min: 1,
    max: 1_000,
    why: "how many rooms one statement saves",
  },
  encodeSliceMs: {
    env: "ENCODE_SLICE_MS",
    fallback: 4,
    min: 1,
    max: 1_000,
    why: "how long encoding checkpoints, or restoring rooms, may hold the event loop before the rooms get their turn",
  },
  seatHoldMs: {
    env: "SEAT_HOLD_MS",
    fallback: 60_000,
    min: 1_000,
    max: 3_600_000,
    why: "how long a seat waits for its player, after a restore and after a broken connection, where the room's onDrop does not say; and at most how long a restored room waits before its onDrop is called for who is not back (10 s); the SDK tries for 56 s",
  },
  restoresAtOnceMax: {
    env: "RESTORES_AT_ONCE_MAX",
    fallback: 8,
    min: 1,
    max: 1_000,
    why: "how many rooms are restored at the same time on one node; half as many more if somebody waits for them, and those that take longer than half a second do not count",
  },
  openMs: {
    env: "OPEN_MS",
    fallback: 10_000,
    min: 100,
    max: 600_000,
    why: "how long a room's onCreate may take when the room is restored",
  },
  upgradeHoldMs: {
    env: "UPGRADE_HOLD_MS",
    fallback: 10_000,
    min: 100,
    max: 60_000,
    why: "how long a connection waits for its room to be ready, at its beginning or while the room moves, before the client is told to try again",
  },
  upgradesHeldMax: {
    env: "UPGRADES_HELD_MAX",
    fallback: 10_000,
    min: 1,
    max: 1_000_000,
    why: "how many connections may wait for their room; more are told to try again",
  },
  probeMs: {
    env: "PROBE_MS",
    fallback: 300,
    min: 10,
    max: 10_000,
    why: "how long a broken peer's port may take to refuse before its silence is left to the lease",
  },
  drainMs: {
    env: "DRAIN_MS",
    fallback: 20_000,
    min: 100,
    max: 600_000,
    why: "how long a leaving node may take in all",
  },
  storeMs: {
    env: "STORE_MS",
    fallback: 2_000,
    min: 50,
    max: 60_000,
    why: "how long one call to Postgres may take",
  },
  redisMs: {
    env: "REDIS_MS",
    fallback: 500,
    min: 50,
    max: 10_000,
    why: "how long Redis may take to answer before this node goes on without it; players wait for it once at most",
  },
  redisPendingMax: {
    env: "REDIS_PENDING_MAX",
    fallback: 10_000,
    min: 10,
    max: 1_000_000,
    why: "how many commands may wait for Redis to answer; more are refused at once",
  },
  commitMs: {
    env: "COMMIT_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a commit may take in all, its wait for others of the same room included",
  },
  commitConnectionsMax: {
    env: "COMMIT_CONNECTIONS_MAX",
    fallback: 4,
    min: 1,
    max: 100,
    why: "how many connections to Postgres commits open at most, beside the others; opened when first needed",
  },
  postgresConnectionsMax: {
    env: "POSTGRES_CONNECTIONS_MAX",
    fallback: 8,
    min: 2,
    max: 200,
    why: "how many connections to Postgres this node opens at most; one more listens, one renews the lease",
  },
  postgresTimeline: {
    env: "POSTGRES_TIMELINE",
    fallback: 0,
    min: 0,
    max: 1_000_000,
    why: "only for a Postgres that does not tell its timeline: 1, and one more whenever it was replaced by one that may lack what it had acknowledged; the same for all nodes. 0 asks Postgres",
  },
  eventsKept: {
    env: "EVENTS_KEPT",
    fallback: 10_000,
    min: 100,
    max: 10_000_000,
    why: "how many entries of the event log are kept",
  },
  heldMessageBytesMax: {
    env: "HELD_MESSAGE_BYTES_MAX",
    fallback: 64 * 1024,
    min: 0,
    max: 16 * 1024 * 1024,
    why: "how many bytes a player may send to a room that is frozen; more closes the connection so that the SDK retries. From one who is between two owners no more than that is read",
  },
  playerBytesMax: {
    env: "PLAYER_BYTES_MAX",
    fallback: 1024 * 1024,
    min: 65_536,
    max: 1024 * 1024 * 1024,
    why: "how many bytes may wait for a player who reads slowly, beside one full state; more closes the connection so that the SDK retries",
  },
  playerBehindMs: {
    env: "PLAYER_BEHIND_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a player, or a gateway, may be behind with what it is sent before it is cut off, to come back for the full state",
  },
  messagesPerSecondMax: {
    env: "MESSAGES_PER_SECOND_MAX",
    fallback: 250,
    min: 1,
    max: 1_000_000,
    why: "how many messages, pings and pongs a player may send in a second, four times as many at once; more closes the connection with 4429. A room's own finite `maxMessagesPerSecond` wins",
  },
  messageBytesMax: {
    env: "MESSAGE_BYTES_MAX",
    fallback: 4 * 1024,
    min: 128,
    max: 16 * 1024 * 1024,
    why: "how many bytes a player's message may have; more closes the connection with 1009",
  },
  joinAckMs: {
    env: "JOIN_ACK_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a player may take to acknowledge that they have joined, which the SDK does at once; then the seat is given up and the connection closed with 4408",
  },
  linkBehindBytes: {
    env: "LINK_BEHIND_BYTES",
    fallback: 4 * 1024 * 1024,
    min: 65_536,
    max: 1024 * 1024 * 1024,
    why: "how many bytes may wait for a gateway before it gets no patches, and full states when it has caught up",
  },
  linkBytesMax: {
    env: "LINK_BYTES_MAX",
    fallback: 64 * 1024 * 1024,
    min: 1024 * 1024,
    max: 4 * 1024 * 1024 * 1024,
    why: "how many bytes may wait for a gateway before its link is cut",
  },
  linkCallMs: {
    env: "LINK_CALL_MS",
    fallback: 2_000,
    min: 50,
    max: 60_000,
    why: "how long a node may take to accept another's link",
  },
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
  admissionsAtOnce: {
    env: "ADMISSIONS_AT_ONCE",
    fallback: 200,
    min: 0,
    max: 100_000,
    why: "how many players a node leads to their rooms at the same time; more wait up to UPGRADE_HOLD_MS, up to UPGRADES_HELD_MAX of them, returning players first. 0: any number",
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
  signInsPerAddress: {
    env: "SIGN_INS_PER_ADDRESS",
    fallback: 300,
    min: 0,
    max: 1_000_000,
    why: "how often one address may sign in, or refresh a login, in the cluster in 10 s: whatever is posted below /auth/",
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
  accessTokenMs: {
    env: "ACCESS_TOKEN_MS",
    fallback: 900_000,
    min: 5_000,
    max: 86_400_000,
    why: "how long an access token is good for; its client then refreshes it",
  },
  refreshTokenMs: {
    env: "REFRESH_TOKEN_MS",
    fallback: 2_592_000_000,
    min: 60_000,
    max: 31_536_000_000,
    why: "how long a login lasts without being refreshed",
  },
  refreshGraceMs: {
    env: "REFRESH_GRACE_MS",
    fallback: 10_000,
    min: 0,
    max: 600_000,
    why: "how long after it was answered a refresh token may be sent once more, because the answer was lost on the way; it is answered the same then. Later it counts as stolen, and ends the login",
  },
} as const satisfies Record<string, NumberRow>;

interface TextRow {
  readonly env: readonly string[];
  readonly fallback: string | undefined;
  readonly secret?: true;
  readonly why: string;
}

export const TEXTS = {
  nodeId: { env: ["NODE_ID"], fallback: undefined, why: "this node's stable name, letters, digits, - and _" },
  databaseUrl: {
    env: ["DATABASE_URL"],
    fallback: undefined,
    secret: true,
    why: "postgres://… of the cluster's database",
  },
  redisUrl: {
    env: ["REDIS_URL", "REDIS_URI"],
    fallback: undefined,
    secret: true,
    why: "the cluster's Redis: redis://…, redis+sentinel://host,host/primary-name or redis+cluster://host,host",
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
  managementHost: {
    env: ["MANAGEMENT_HOST"],
    fallback: "127.0.0.1",
    why: "the address the management port is bound to",
  },
  advertiseHost: {
    env: ["ADVERTISE_HOST"],
    fallback: "127.0.0.1",
    why: "the address at which other nodes reach this one",
  },
  publicAddress: {
    env: ["PUBLIC_ADDRESS"],
    fallback: "",
    why: "where a load balancer that routes by path sends players straight to this node: host[:port][/path], such as play.example.com/{NODE_ID}. Players of its rooms are told to connect there; without it, and of a node that takes no players, to where they came from",
  },
  keyPrefix: {
    env: ["KEY_PREFIX"],
    fallback: "ringside:",
    why: "what this cluster's Redis keys and channels begin with",
  },
  schemaName: {
    env: ["DATABASE_SCHEMA"],
    fallback: "ringside",
    why: "the Postgres schema that holds Ringside's tables",
  },
  roles: {
    env: ["RINGSIDE_ROLES"],
    fallback: "gateway,rooms",
    why: "what this node is for: gateway (players connect to it), rooms (rooms run on it), or both",
  },
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
  sessions: {
    env: ["SESSIONS"],
    fallback: "",
    why: "who players are: off (nobody asks), optional (tokens are checked, guests without one may play), required; off if the game does not say",
  },
  guests: { env: ["GUESTS"], fallback: "on", why: "on or off: whether players may sign in as guests" },
  tokenIssuer: {
    env: ["TOKEN_ISSUER"],
    fallback: "ringside",
    why: "the issuer, and the audience, of access tokens",
  },
  signingKeys: {
    env: ["SIGNING_KEYS"],
    fallback: "",
    secret: true,
    why: "the keys of access tokens: a JSON Web Key Set of Ed25519 keys, or the file that holds one (read again when it changes). The first private one signs. Not set: made at the first start and kept in Postgres",
  },
  backendIssuer: {
    env: ["BACKEND_ISSUER"],
    fallback: "",
    why: "the issuer of the assertions by which the game's own backend signs players in",
  },
  backendKeys: {
    env: ["BACKEND_KEYS"],
    fallback: "",
    why: "its public keys: a JSON Web Key Set, or the file that holds one",
  },
  providerIssuer: {
    env: ["PROVIDER_ISSUER"],
    fallback: "",
    why: "the issuer of the identity provider whose tokens sign players in",
  },
  providerAudience: {
    env: ["PROVIDER_AUDIENCE"],
    fallback: "",
    why: "the audience that those tokens must name",
  },
  providerJwksUrl: {
    env: ["PROVIDER_JWKS_URL"],
    fallback: "",
    why: "where that provider publishes its keys",
  },
  logLevel: { env: ["LOG_LEVEL"], fallback: "info", why: "error, warn, info or debug" },
} as const satisfies Record<string, TextRow>;

type NumberName = keyof typeof NUMBERS;
type TextName = keyof typeof TEXTS;

export type Config = Readonly<
  Record<NumberName, number> & Record<Exclude<TextName, "nodeId">, string> & { nodeId: NodeId }
>;

const ROLES = ["gateway", "rooms"] as const;
export type Role = (typeof ROLES)[number];

/** What a node is for. */
export function rolesOf({ roles }: Pick<Config, "roles">): Role[] {
  const named = roles.split(",").map((role) => role.trim());
  return ROLES.filter((role) => named.includes(role));
}

/**
 * Reads the settings of one node from environment variables.
 *
 * @throws RingsideError BAD_CONFIG with every fault at once, each with its way out; nothing has started
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const wrong: string[] = [];
  const numbers = {} as Record<NumberName, number>;
  for (const [name, row] of Object.entries(NUMBERS) as [NumberName, NumberRow][]) {
    const text = env[row.env]?.trim() ?? "";
    const value = text === "" ? row.fallback : Number(text);
    if (!Number.isInteger(value) || value < row.min || value > row.max) {
      wrong.push(`${row.env}=${text} must be a whole number from ${row.min} to ${row.max}`);
    }
    numbers[name] = value;
  }
  if (numbers.managementPort === -1) {
    numbers.managementPort = numbers.publicPort === 0 ? 0 : numbers.publicPort + 1_000;
    if (numbers.managementPort > 65_535) {
      wrong.push(`MANAGEMENT_PORT must be set, because PORT + 1000 is above 65535`);
    }
  }

  const texts = {} as Record<TextName, string>;
  for (const [name, row] of Object.entries(TEXTS) as [TextName, TextRow][]) {
    const value = row.env.map((key) => env[key]?.trim()).find((text) => text !== undefined && text !== "");
    if (value === undefined && row.fallback === undefined)
      wrong.push(`${row.env.join(" or ")} is not set: ${row.why}`);
    texts[name] = value ?? row.fallback ?? "";
  }
  if (texts.nodeId !== "" && !isName(texts.nodeId)) {
    wrong.push(`NODE_ID=${String(texts.nodeId)} must be 1 to 64 letters, digits, - or _`);
  }
  if (texts.clusterKey !== "" && texts.clusterKey.length < 16) {
    wrong.push("CLUSTER_KEY must have at least 16 characters");
  }
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(texts.schemaName)) {
    wrong.push(`DATABASE_SCHEMA=${texts.schemaName} must be a plain lower-case Postgres name`);
  }
  const unknownRoles = texts.roles.split(",").filter((role) => !ROLES.some((known) => known === role.trim()));
  if (unknownRoles.length > 0) wrong.push(`RINGSIDE_ROLES=${texts.roles} must be gateway, rooms or both`);
  if (!["error", "warn", "info", "debug"].includes(texts.logLevel)) {
    wrong.push(`LOG_LEVEL=${texts.logLevel} must be error, warn, info or debug`);
  }
  wrong.push(...faultyList("TRUSTED_PROXIES", () => new TrustedProxies(texts.trustedProxies)));
  wrong.push(...faultyList("ALLOWED_ORIGINS", () => new AllowedOrigins(texts.allowedOrigins)));
  if (texts.panelToken !== "" && texts.panelToken.length < 16) {
    wrong.push("PANEL_TOKEN must have at least 16 characters");
  }
  const publicAddress = readPublicAddress(texts.publicAddress, texts.nodeId as NodeId);
  if (publicAddress === undefined) {
    wrong.push(
      `PUBLIC_ADDRESS=${texts.publicAddress} must be host[:port][/path], such as play.example.com/{NODE_ID}, without ws:// or https:// before it`,
    );
  }
  wrong.push(...faultySessions(texts));
  wrong.push(...faultyUrl("DATABASE_URL", texts.databaseUrl, ["postgres:", "postgresql:"]));
  wrong.push(...faultyRedisUrl(texts.redisUrl));

  const isDatabaseElsewhere = !isLoopback(URL.parse(texts.databaseUrl)?.hostname ?? "localhost");
  if (isLoopback(texts.advertiseHost) && !isLoopback(texts.bindHost) && isDatabaseElsewhere) {
    wrong.push(
      "ADVERTISE_HOST must be set to an address at which the other nodes reach this one, not a loopback one",
    );
  }

  // One lost renewal, and a slow one after it, must not move a room.
  if (numbers.leaseRenewMs * 3 > numbers.leaseMs) wrong.push("LEASE_RENEW_MS * 3 must not exceed LEASE_MS");
  if (numbers.leaseMarginMs * 4 > numbers.leaseMs) wrong.push("LEASE_MARGIN_MS * 4 must not exceed LEASE_MS");

  if (wrong.length > 0) throw new RingsideError("BAD_CONFIG", { wrong });
  return { ...numbers, ...texts, publicAddress: publicAddress ?? "", nodeId: texts.nodeId as NodeId };
}

function faultyList(name: string, parse: () => unknown): string[] {
  try {
    parse();
    return [];
  } catch (error) {
    return [`${name}: ${messageOf(error)}`];
  }
}

function faultySessions(texts: Readonly<Record<TextName, string>>): string[] {
  const wrong: string[] = [];
  if (!["", "off", "optional", "required"].includes(texts.sessions)) {
    wrong.push(`SESSIONS=${texts.sessions} must be off, optional or required`);
  }
  if (!["on", "off"].includes(texts.guests)) wrong.push(`GUESTS=${texts.guests} must be on or off`);
  if ((texts.backendIssuer === "") !== (texts.backendKeys === "")) {
    wrong.push("BACKEND_ISSUER and BACKEND_KEYS must be set together");
  }
  const provider = [texts.providerIssuer, texts.providerAudience, texts.providerJwksUrl];
  if (provider.some((text) => text !== "") && provider.includes("")) {
    wrong.push("PROVIDER_ISSUER, PROVIDER_AUDIENCE and PROVIDER_JWKS_URL must be set together");
  }
  if (texts.providerJwksUrl !== "")
    wrong.push(...faultyUrl("PROVIDER_JWKS_URL", texts.providerJwksUrl, ["https:", "http:"]));
  const issuers = [texts.tokenIssuer, texts.backendIssuer, texts.providerIssuer].filter(
    (text) => text !== "",
  );
  if (new Set(issuers).size < issuers.length) {
    wrong.push("TOKEN_ISSUER, BACKEND_ISSUER and PROVIDER_ISSUER must differ");
  }
  return wrong;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || host.startsWith("127.");
}

function faultyUrl(name: string, text: string, schemes: readonly string[]): string[] {
  if (text === "") return []; // already reported as not set
  const scheme = URL.canParse(text) ? new URL(text).protocol : "";
  // The value may hold a password, so it is not repeated.
  return schemes.includes(scheme)
    ? []
    : [`${name} must be a URL that begins with ${schemes.join("// or ")}//`];
}

function faultyRedisUrl(text: string): string[] {
  if (text === "") return []; // already reported as not set
  try {
    parseRedisUrl(text);
    return [];
  } catch (error) {
    if (!(error instanceof BadAddress)) throw error;
    return [`REDIS_URL ${error.message}`];
  }
}
