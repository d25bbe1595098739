// Logins in Postgres: opened, refreshed, ended. Each is one statement; the rules stand there (queries/refresh-login.sql).
//
// What the trade-off of a lost answer is (AUTH2). A refresh token that was exchanged may come again because its answer never
// arrived: the network, the node, or Postgres went away. It is then answered the same as before, without limit as long as the
// answer is not known to have left this node, and for REFRESH_GRACE_MS after. So a thief who has a token can use it beside its
// owner, if they are as quick as that; both then hold the same next one, and the second of the two to use that later ends the
// login for both. Whoever brings an older one ends it at once.

import { randomBytes, randomUUID } from "node:crypto";
import type { Config } from "../config.ts";
import type { EventBus, Events } from "../events.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { parseClaims, refusal, suspended, type Login, type Refusal } from "./login.ts";
import { hashOf, SALT_BYTES, type RefreshToken, type RefreshTokens } from "./refresh-token.ts";

export interface LoginParts {
  readonly config: Pick<Config, "refreshTokenMs" | "refreshGraceMs">;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly database: Pick<Database, "run">;
  readonly tokens: RefreshTokens;
  /** A login has ended: others should look. */
  readonly onEnded: () => void;
}

/** A login that goes on, with its newest refresh token. */
export interface Continued {
  readonly login: Login;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly refresh: RefreshToken;
}

interface Suspended {
  readonly suspended_ms: number | null;
  readonly reason: string | null;
}

interface RefreshRow extends Suspended, Record<string, unknown> {
  readonly verdict: "turned" | "again" | "reused" | "ended" | "expired" | "suspended" | "unknown";
  readonly user_id: string;
  readonly is_guest: boolean;
  readonly claims: string;
  readonly salt: Buffer | null;
}

type EndReason = Events["login:ended"]["why"];

export class Logins {
  readonly #parts: LoginParts;

  constructor(parts: LoginParts) {
    this.#parts = parts;
  }

  /** @throws when Postgres cannot be asked; there may then be a login that nobody has the token of */
  async open(
    userId: string,
    isGuest: boolean,
    claims: Readonly<Record<string, unknown>>,
  ): Promise<Continued | Refusal> {
    const { config, database, tokens } = this.#parts;
    const loginId = randomUUID();
    const refresh = tokens.first(loginId);
    const [row] = await database.run<Suspended & { is_open: boolean }>("open-login", [
      loginId,
      userId,
      isGuest,
      JSON.stringify(claims),
      hashOf(refresh),
      config.refreshTokenMs,
    ]);
    if (row?.is_open !== true) return this.#suspended(row);
    return { login: { userId, loginId, isGuest }, claims, refresh };
  }

  /** @throws when Postgres cannot be asked; the token is then as good as it was */
  async refresh(token: RefreshToken): Promise<Continued | Refusal> {
    const { config, database, events, onEnded, tokens } = this.#parts;
    const salt = randomBytes(SALT_BYTES);
    const next = tokens.next(token, salt);
    const [row] = await database.run<RefreshRow>("refresh-login", [
      token.loginId,
      token.generation,
      hashOf(token),
      hashOf(next),
      salt,
      config.refreshGraceMs,
      config.refreshTokenMs,
    ]);
    switch (row?.verdict) {
      case "turned":
        return this.#continued(row, next);
      case "again":
        return this.#continued(row, tokens.next(token, row.salt ?? salt)); // it was set with the token that it went into
      case "suspended":
        return this.#suspended(row);
      case "reused":
        events.emit("login:ended", { userId: row.user_id, loginId: token.loginId, why: "reused" });
        onEnded();
        return refusal("SESSION_REVOKED");
      case "ended":
        return refusal("SESSION_REVOKED");
      case "expired":
      case "unknown":
      case undefined:
        return refusal("TOKEN_REFUSED");
    }
  }

  /** The answer with this token has left. Whether Postgres hears of it is not waited for: it is the safe side if not. */
  told({ loginId, generation }: RefreshToken): void {
    if (generation === 0) return;
    this.#parts.database.run("told-login", [loginId, generation]).catch(() => {});
  }

  /** @returns how many logins have ended. @throws when Postgres cannot be asked */
  async end(loginId: string, everywhere: boolean): Promise<number> {
    const { database, events, onEnded } = this.#parts;
    const why: EndReason = everywhere ? "signed out everywhere" : "signed out";
    const rows = await database.run<{ user_id: string; login_id: string }>("end-logins", [
      loginId,
      null,
      everywhere,
      why,
    ]);
    for (const row of rows) events.emit("login:ended", { userId: row.user_id, loginId: row.login_id, why });
    if (rows.length > 0) onEnded();
    return rows.length;
  }

  #continued({ user_id, is_guest, claims }: RefreshRow, refresh: RefreshToken): Continued {
    const login = { userId: user_id, loginId: refresh.loginId, isGuest: is_guest };
    return { login, claims: parseClaims(JSON.parse(claims)) ?? {}, refresh };
  }

  #suspended(row: Suspended | undefined): Refusal {
    return suspended(this.#parts.clock.nowMs(), row?.suspended_ms ?? 0, row?.reason ?? "");
  }
}
