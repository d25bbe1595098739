// Signing in with what somebody else says of a user: the game's own backend, by a short assertion that it signs for this one
// purpose; or the game's identity provider, by the tokens that it gives anyway, known by the keys that it publishes.
//
// Only asymmetric signatures count, so that what checks a token cannot make one. An assertion counts once. The provider is
// asked for its keys at most every half a minute, with a deadline and a bound on what it may answer (AUTH5).

import { createHash } from "node:crypto";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
} from "jose";
import type { Config } from "../config.ts";
import { RingsideError } from "../errors.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { readKeySet } from "./keys.ts";
import { GUEST_PREFIX, isUserId, parseClaims, refusal, type Refusal } from "./login.ts";

const ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "ES384", "PS256", "RS256"];
const TOKEN_LENGTH_MAX = 8_192;
const CLOCK_DRIFT_S = 5;
/** How old an assertion may be, whatever it says of itself. */
const ASSERTION_AGE_S = 300;
const ASSERTION_ID_LENGTH_MAX = 256;
/** How long a provider may take to give its keys. */
export const PROVIDER_MS = 3_000;
const FETCH_AGAIN_MS = 30_000;
const KEYS_KEPT_MS = 600_000;
const KEYS_BYTES_MAX = 256 * 1024;

export interface OutsideUser {
  readonly userId: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface OutsideLoginParts {
  readonly config: Pick<
    Config,
    | "tokenIssuer"
    | "backendIssuer"
    | "backendKeys"
    | "providerIssuer"
    | "providerAudience"
    | "providerJwksUrl"
  >;
  readonly clock: Clock;
  readonly database: Pick<Database, "run">;
}

export class OutsideLogins {
  readonly #parts: OutsideLoginParts;
  #backendKeys: JWTVerifyGetKey | undefined;
  readonly #providerKeys: JWTVerifyGetKey | undefined;

  constructor(parts: OutsideLoginParts) {
    this.#parts = parts;
    const { providerJwksUrl } = parts.config;
    this.#providerKeys =
      providerJwksUrl === ""
        ? undefined
        : createRemoteJWKSet(new URL(providerJwksUrl), {
            timeoutDuration: PROVIDER_MS,
            cooldownDuration: FETCH_AGAIN_MS,
            cacheMaxAge: KEYS_KEPT_MS,
            [customFetch]: fetchBounded,
          });
  }

  /** Reads the backend's keys, which may have changed. @throws RingsideError BAD_CONFIG; those before go on counting */
  async reload(): Promise<void> {
    const { backendKeys } = this.#parts.config;
    if (backendKeys !== "")
      this.#backendKeys = createLocalJWKSet(await readKeySet("BACKEND_KEYS", backendKeys));
  }

  /**
   * Whose token this is.
   *
   * @throws RingsideError PROVIDER_UNREACHABLE when its keys cannot be had; what Postgres throws
   */
  async verify(token: unknown): Promise<OutsideUser | Refusal> {
    if (typeof token !== "string" || token.length > TOKEN_LENGTH_MAX) return refusal("TOKEN_REFUSED");
    const { backendIssuer, providerIssuer } = this.#parts.config;
    const issuer = issuerOf(token);
    if (issuer === undefined || issuer === "") return refusal("TOKEN_REFUSED");
    if (issuer === backendIssuer && this.#backendKeys !== undefined) {
      return this.#byAssertion(token, this.#backendKeys);
    }
    if (issuer === providerIssuer && this.#providerKeys !== undefined) {
      return this.#byProvider(token, this.#providerKeys);
    }
    return refusal("TOKEN_REFUSED");
  }

  async #byAssertion(token: string, keys: JWTVerifyGetKey): Promise<OutsideUser | Refusal> {
    const { backendIssuer, tokenIssuer } = this.#parts.config;
    const answer = await this.#check(token, keys, backendIssuer, tokenIssuer, ASSERTION_AGE_S);
    if ("refused" in answer) return answer.refused;
    const { jti } = answer.found;
    if (typeof jti !== "string" || jti === "" || jti.length > ASSERTION_ID_LENGTH_MAX) {
      return refusal("TOKEN_REFUSED");
    }
    const user = userOf(answer.found);
    if ("code" in user) return user;
    const forMs = (ASSERTION_AGE_S + 2 * CLOCK_DRIFT_S) * 1_000;
    const idHash = createHash("sha256").update(jti).digest();
    const [first] = await this.#parts.database.run("use-assertion", [idHash, forMs]);
    return first === undefined ? refusal("TOKEN_REFUSED") : user;
  }

  async #byProvider(token: string, keys: JWTVerifyGetKey): Promise<OutsideUser | Refusal> {
    const { providerAudience, providerIssuer } = this.#parts.config;
    const answer = await this.#check(token, keys, providerIssuer, providerAudience);
    return "refused" in answer ? answer.refused : userOf(answer.found);
  }

  async #check(
    token: string,
    keys: JWTVerifyGetKey,
    issuer: string,
    audience: string,
    maxTokenAge?: number,
  ): Promise<{ readonly found: JWTPayload } | { readonly refused: Refusal }> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        requiredClaims: ["sub", "exp"],
        currentDate: new Date(this.#parts.clock.nowMs()),
        clockTolerance: CLOCK_DRIFT_S,
        ...(maxTokenAge === undefined ? {} : { maxTokenAge }),
      });
      return { found: payload };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return { refused: refusal("TOKEN_EXPIRED") };
      if (isProvidersFault(error)) throw new RingsideError("PROVIDER_UNREACHABLE", {}, error);
      return { refused: refusal("TOKEN_REFUSED") };
    }
  }
}

/** Whether the keys could not be had, and nothing is said of the token. */
function isProvidersFault(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
  return !(error instanceof errors.JOSEError) || error.code === "ERR_JOSE_GENERIC";
}

function userOf({ sub, claims }: JWTPayload): OutsideUser | Refusal {
  const parsed = parseClaims(claims);
  // A guest's name is ours to give.
  if (!isUserId(sub) || sub.startsWith(GUEST_PREFIX) || parsed === undefined) return refusal("TOKEN_REFUSED");
  return { userId: sub, claims: parsed };
}

/** What a token says of its issuer, to know by whose keys to check it; nothing is believed yet. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** As fetch, but for no more than a set of keys may have. */
async function fetchBounded(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > KEYS_BYTES_MAX) throw new Error("a set of keys that is too large");
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}
