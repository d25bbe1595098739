// Access tokens: who somebody is, signed, for some minutes. Any node checks one without asking anybody (AUTH1).
//
// The algorithm is ours and never the token's; a token without a key of ours is refused before anything is asked of anyone.
// What was found good is remembered for as long as its key counts, because the SDK sends it again and again.

import { createHash } from "node:crypto";
import { errors, jwtVerify, SignJWT, type JWTPayload } from "jose";
import { LRUCache } from "lru-cache";
import { RingsideError } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { ALGORITHM, type KeySet } from "./keys.ts";
import {
  isUserId,
  parseClaims,
  refusal,
  TOKEN_LENGTH_MAX,
  type Auth,
  type Login,
  type Refusal,
} from "./login.ts";

/** What kind of token it is: an assertion or an identity token is none, even if one key should have signed both. */
const TYPE = "at+jwt";
/** How far the clocks of two nodes may differ. */
const CLOCK_DRIFT_MS = 5_000;
const REMEMBERED_MAX = 20_000;

export interface Verified {
  readonly auth: Auth;
  readonly expiresAtMs: number;
}

interface Remembered extends Verified {
  readonly kid: string;
}

export interface AccessTokenParts {
  readonly clock: Clock;
  readonly keys: () => KeySet;
  readonly issuer: string;
  readonly lifetimeMs: number;
}

export class AccessTokens {
  readonly #parts: AccessTokenParts;
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });

  constructor(parts: AccessTokenParts) {
    this.#parts = parts;
  }

  /** @throws RingsideError BAD_CONFIG when this node has no key to sign with */
  async make(
    { userId, loginId, isGuest }: Login,
    claims: Readonly<Record<string, unknown>>,
  ): Promise<{ token: string; expiresAtMs: number }> {
    const { clock, issuer, keys, lifetimeMs } = this.#parts;
    const { signer } = keys();
    if (signer === undefined)
      throw new RingsideError("BAD_CONFIG", { wrong: ["SIGNING_KEYS has no private key"] });
    const nowS = Math.floor(clock.nowMs() / 1_000);
    const expiresS = nowS + Math.ceil(lifetimeMs / 1_000);
    const token = await new SignJWT({ sid: loginId, guest: isGuest, claims })
      .setProtectedHeader({ alg: ALGORITHM, kid: signer.kid, typ: TYPE })
      .setSubject(userId)
      .setIssuer(issuer)
      .setAudience(issuer)
      .setIssuedAt(nowS)
      .setNotBefore(nowS)
      .setExpirationTime(expiresS)
      .sign(signer.key);
    return { token, expiresAtMs: expiresS * 1_000 };
  }

  /**
   * Whose token it is.
   *
   * @param lateMs for how long after it has expired it is still taken; 0 if not given
   */
  async verify(token: string, lateMs = 0): Promise<Verified | Refusal> {
    if (token.length > TOKEN_LENGTH_MAX) return refusal("TOKEN_REFUSED");
    const name = createHash("sha256").update(token).digest("base64");
    let found = this.#remembered.get(name);
    if (found !== undefined && !this.#parts.keys().verifiers.has(found.kid)) {
      this.#remembered.delete(name);
      found = undefined;
    }
    if (found === undefined) {
      found = await this.#check(token);
      if (found === undefined) return refusal("TOKEN_REFUSED");
      this.#remembered.set(name, found);
    }
    const isLate = this.#parts.clock.nowMs() > found.expiresAtMs + CLOCK_DRIFT_MS + lateMs;
    return isLate ? refusal("TOKEN_EXPIRED") : found;
  }

  /** All but whether it has expired: that is asked each time. */
  async #check(token: string): Promise<Remembered | undefined> {
    const { clock, issuer, keys } = this.#parts;
    let kid = "";
    try {
      const { payload } = await jwtVerify(
        token,
        (header) => {
          const key = keys().verifiers.get(header.kid ?? "");
          if (key === undefined || header.kid === undefined) throw new errors.JWKSNoMatchingKey();
          kid = header.kid;
          return key;
        },
        {
          algorithms: [ALGORITHM],
          typ: TYPE,
          issuer,
          audience: issuer,
          currentDate: new Date(clock.nowMs()),
          clockTolerance: CLOCK_DRIFT_MS / 1_000,
        },
      );
      return this.#read(payload, kid);
    } catch (error) {
      // It is the last thing that the library looks at: everything else was right.
      if (error instanceof errors.JWTExpired) return this.#read(error.payload, kid);
      return undefined;
    }
  }

  #read(payload: JWTPayload, kid: string): Remembered | undefined {
    const { sub, sid, exp, iat, guest } = payload;
    const claims = parseClaims(payload["claims"]);
    if (!isUserId(sub) || typeof sid !== "string" || exp === undefined || iat === undefined) return undefined;
    if (typeof guest !== "boolean" || claims === undefined) return undefined;
    if (iat * 1_000 > this.#parts.clock.nowMs() + CLOCK_DRIFT_MS) return undefined;
    const auth: Auth = Object.freeze({ ...claims, userId: sub, loginId: sid, isGuest: guest });
    return { auth, expiresAtMs: exp * 1_000, kid };
  }
}

export function isRefusal(answer: Verified | Refusal): answer is Refusal {
  return "code" in answer;
}
