// Every refusal and failure that Ringside itself answers with: one class, one table.
//
// `text` is what the client is told, the facts are what the operator needs. `close` is the WebSocket close
// code: the stock SDK retries by itself on 1001, 1005, 1006 and 4010 only; 4002 ends the session for good.
// `http` is the status of the same refusal on an HTTP request or a WebSocket upgrade.
// A released code keeps its meaning.

export const ERRORS = {
  BAD_CONFIG: { close: 1011, http: 500, text: "this node's settings are wrong" },
  BAD_OPTIONS: {
    close: 4002,
    http: 400,
    text: "the options of a join must be one JSON object, not nested deeply, sent as application/json",
  },
  BAD_REQUEST: { close: 4002, http: 400, text: "the request cannot be read" },
  BODY_TOO_LARGE: { close: 4002, http: 413, text: "this request is larger than is taken here" },
  COMMIT_REFUSED: { close: 4010, http: 409, text: "the commit was refused; nothing was written" },
  COMMIT_UNKNOWN: { close: 4010, http: 503, text: "the commit's outcome is not known yet" },
  DRAINING: { close: 4010, http: 503, text: "this node is leaving; try again" },
  GAME_CHANGED: { close: 4002, http: 409, text: "the game was updated; load the page again" },
  HEADERS_TOO_LARGE: { close: 4002, http: 431, text: "this request's headers are larger than is taken here" },
  INTERNAL: { close: 4010, http: 500, text: "something went wrong here; try again" },
  JOIN_UNANSWERED: { close: 4408, http: 408, text: "the join was not acknowledged in time" },
  LEASE_LOST: { close: 4010, http: 503, text: "this node may not speak for the room right now" },
  NO_CLUSTER: {
    close: 4002,
    http: 500,
    text: "this room does not run in a Ringside cluster, which commits need",
  },
  NO_GATEWAY: { close: 4010, http: 503, text: "players do not connect to this node; ask another" },
  NOT_SIGNED_IN: { close: 4401, http: 401, text: "sign in first" },
  NODE_NOT_READY: { close: 4010, http: 503, text: "this node is not ready yet; try again" },
  NOT_ALLOWED: { close: 4002, http: 403, text: "not allowed" },
  NOT_FOUND: { close: 4002, http: 404, text: "there is nothing here" },
  ORIGIN_REFUSED: {
    close: 4002,
    http: 403,
    text: "pages from there may not connect here (ALLOWED_ORIGINS)",
  },
  POSTGRES_UNREACHABLE: { close: 4010, http: 503, text: "the database cannot be reached" },
  PROVIDER_UNREACHABLE: {
    close: 4010,
    http: 503,
    text: "the identity provider cannot be reached; try again",
  },
  REDIS_UNREACHABLE: { close: 4010, http: 503, text: "Redis cannot be reached" },
  RETURN_UNANSWERED: { close: 4010, http: 408, text: "the return was not acknowledged in time; try again" },
  ROOM_GONE: { close: 4002, http: 404, text: "this room has ended" },
  ROOM_MOVING: { close: 4010, http: 503, text: "the room is moving to another node; try again" },
  ROOM_TOO_LARGE: { close: 4010, http: 500, text: "the room's state is larger than a checkpoint may be" },
  // To be tried again: what took the seat may have been an older connection of the same page, which was long on its way. It
  // leads nowhere, and the page comes back by its token. The token of a page that was truly left behind opens nothing any more.
  SEAT_TAKEN: { close: 4010, http: 409, text: "this seat is used by a newer connection" },
  SEAT_UNKNOWN: { close: 4002, http: 403, text: "seat reservation expired." },
  SESSION_REVOKED: { close: 4401, http: 401, text: "this session was signed out: sign in again" },
  SNAPSHOT_UNREADABLE: { close: 4010, http: 500, text: "the room's saved state cannot be read" },
  STALE_EPOCH: { close: 4010, http: 409, text: "another node owns this room now" },
  TOO_FAST: { close: 4429, http: 429, text: "too many messages in a second" },
  TOO_LATE: { close: 4010, http: 408, text: "the request did not come in time" },
  SUSPENDED: { close: 4403, http: 403, text: "this account is suspended" },
  TOKEN_EXPIRED: { close: 4401, http: 401, text: "this token has expired: refresh it" },
  TOKEN_REFUSED: { close: 4401, http: 401, text: "this token is not valid: sign in again" },
  TOO_MANY: { close: 4010, http: 503, text: "too many requests are waiting; try again" },
  TOO_MANY_CONNECTIONS: { close: 4010, http: 429, text: "too many connections from there" },
  TOO_MANY_ROOMS: {
    close: 4010,
    http: 429,
    text: "too many rooms are being created; wait a moment and try again",
  },
  TOO_MANY_SEATS: {
    close: 4010,
    http: 429,
    text: "too many seats are reserved and not taken; wait a moment and try again",
  },
  TOO_OFTEN: { close: 4010, http: 429, text: "too many requests from there; wait a moment and try again" },
} as const satisfies Record<string, { close: number; http: number; text: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** A failure with a code that callers branch on. `facts` are for operators: never a token, never a player's data. */
export class RingsideError extends Error {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, facts: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(describe(code, facts), cause === undefined ? undefined : { cause });
    this.name = "RingsideError";
    this.code = code;
    this.facts = facts;
  }
}

function describe(code: ErrorCode, facts: Readonly<Record<string, unknown>>): string {
  const detail = Object.entries(facts)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  return `${code}: ${ERRORS[code].text}${detail === "" ? "" : ` (${detail})`}`;
}

/** Whether `error` is a Ringside failure with this code. */
export function hasCode(error: unknown, code: ErrorCode): error is RingsideError {
  return error instanceof RingsideError && error.code === code;
}

/** One line about anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") {
    return error.errors.map(messageOf).join("; ");
  }
  return error instanceof Error ? error.message : String(error);
}
