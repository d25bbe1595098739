// Every knob of a node: the rows are in config/, by what they are about, and the README's tables are printed from them
// (`node scripts/readme.ts`). They are checked together, and every fault is reported at once.

import { CHECKPOINT_NUMBERS } from "./config/checkpoints.ts";
import { DOOR_NUMBERS, DOOR_TEXTS } from "./config/front-door.ts";
import { GATEWAY_NUMBERS } from "./config/gateway.ts";
import { NODE_NUMBERS, NODE_TEXTS } from "./config/node.ts";
import { OWNERSHIP_NUMBERS } from "./config/ownership.ts";
import type { NumberRow, TextRow } from "./config/rows.ts";
import { SESSION_NUMBERS, SESSION_TEXTS } from "./config/sessions.ts";
import { STORE_NUMBERS, STORE_TEXTS } from "./config/stores.ts";
import { messageOf, RingsideError } from "./errors.ts";
import { TrustedProxies } from "./front-door/address.ts";
import { AllowedOrigins } from "./front-door/origins.ts";
import { readPublicAddress } from "./gateway/public-address.ts";
import { isName, type NodeId } from "./ids.ts";
import { BadAddress, parseRedisUrl } from "./redis/address.ts";

export const NUMBERS = {
  ...NODE_NUMBERS,
  ...STORE_NUMBERS,
  ...OWNERSHIP_NUMBERS,
  ...CHECKPOINT_NUMBERS,
  ...GATEWAY_NUMBERS,
  ...DOOR_NUMBERS,
  ...SESSION_NUMBERS,
} as const satisfies Record<string, NumberRow>;

export const TEXTS = {
  ...NODE_TEXTS,
  ...STORE_TEXTS,
  ...DOOR_TEXTS,
  ...SESSION_TEXTS,
} as const satisfies Record<string, TextRow>;

/** The same rows as the README shows them. */
export const SETTING_GROUPS: readonly {
  readonly title: string;
  readonly texts: Readonly<Record<string, TextRow>>;
  readonly numbers: Readonly<Record<string, NumberRow>>;
}[] = [
  { title: "The node", texts: NODE_TEXTS, numbers: NODE_NUMBERS },
  { title: "Postgres and Redis", texts: STORE_TEXTS, numbers: STORE_NUMBERS },
  { title: "Ownership and recovery", texts: {}, numbers: OWNERSHIP_NUMBERS },
  { title: "Checkpoints and commits", texts: {}, numbers: CHECKPOINT_NUMBERS },
  { title: "Players and links", texts: {}, numbers: GATEWAY_NUMBERS },
  { title: "The front door", texts: DOOR_TEXTS, numbers: DOOR_NUMBERS },
  { title: "Sessions", texts: SESSION_TEXTS, numbers: SESSION_NUMBERS },
];

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
