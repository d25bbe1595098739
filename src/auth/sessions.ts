// Logins on this node, wired together: the door for what comes in, what rooms ask, and the look-out for what changes.
//
// The look-out reads the keys and the revocations every two seconds, or at once when another node says so over Redis. Word
// from Redis is a hint and nothing else: whoever can publish there can make nodes look, and no more (AUTH4).

import { randomBytes } from "node:crypto";
import type { SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import { RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Database } from "../postgres/query.ts";
import type { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";
import { Lookout } from "../runtime/lookout.ts";
import { repeat } from "../runtime/repeat.ts";
import { AccessTokens, isRefusal } from "./access-token.ts";
import { AuthDoor } from "./auth-door.ts";
import { AuthRoutes } from "./auth-routes.ts";
import { databaseKeys, givenKeys, makeKey, makeKeySet, type KeySet, type ReadKeys } from "./keys.ts";
import type { Auth, Login, Refusal } from "./login.ts";
import { Logins } from "./logins.ts";
import { OutsideLogins } from "./outside-login.ts";
import { RefreshTokens } from "./refresh-token.ts";
import { Revocations } from "./revocations.ts";
import type { RoomLogins } from "./room-auth.ts";

/** How often a node looks by itself. With the two seconds that a statement may take it stays within the five that are stated. */
const LOOK_EVERY_MS = 2_000;
const PRUNE_EVERY_MS = 60_000;

export type SessionMode = "off" | "optional" | "required";

export interface SessionParts {
  readonly config: Config;
  readonly mode: SessionMode;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly database: Database;
  readonly redis: RedisLink;
  readonly onError: (error: unknown) => void;
}

export class Sessions implements RoomLogins {
  readonly #parts: SessionParts;
  readonly door: AuthDoor;
  readonly #access: AccessTokens;
  readonly #revocations: Revocations;
  readonly #outside: OutsideLogins;
  readonly #lookout: Lookout;
  readonly #readKeys: ReadKeys;
  readonly #stopping = new AbortController();
  readonly #topic: string;
  #keys: KeySet = { signer: undefined, verifiers: new Map(), published: { keys: [] } };
  /** What the keys were last made of. */
  #readAs = "";
  #faultTold = "";
  #pruning: Promise<void> | undefined;
  #expel: (why: (seat: SeatRequest) => Refusal | undefined) => void = () => {};

  private constructor(parts: SessionParts, secret: Buffer) {
    const { clock, config, database, events, onError } = parts;
    this.#parts = parts;
    this.#topic = `${config.keyPrefix}revoked`;
    this.#readKeys = config.signingKeys === "" ? databaseKeys(database) : givenKeys(config.signingKeys);
    const keys = (): KeySet => this.#keys;
    this.#access = new AccessTokens({
      clock,
      keys,
      issuer: config.tokenIssuer,
      lifetimeMs: config.accessTokenMs,
    });
    this.#revocations = new Revocations({
      clock,
      database,
      // Who was let in just before may be waiting for their room until now.
      lateMs: config.upgradeHoldMs,
      onRevoked: () => this.#expel(({ said }) => said && this.#revocations.known(said)),
    });
    const refreshTokens = new RefreshTokens(secret);
    const onEnded = (): void => this.#tell();
    const logins = new Logins({ config, clock, events, database, tokens: refreshTokens, onEnded });
    this.#outside = new OutsideLogins({ config, clock, database });
    const routes = new AuthRoutes({
      config,
      clock,
      access: this.#access,
      logins,
      outside: this.#outside,
      refreshTokens,
      revocations: this.#revocations,
      keys,
      onError,
    });
    this.door = new AuthDoor({ access: this.#access, revocations: this.#revocations, routes });
    this.#lookout = new Lookout(clock, LOOK_EVERY_MS, () => this.#look());
  }

  /**
   * Reads the keys, and makes the first ones.
   *
   * @returns undefined where nobody asks who players are
   * @throws RingsideError BAD_CONFIG; what Postgres throws
   */
  static async open(parts: SessionParts): Promise<Sessions | undefined> {
    const { config, database, mode } = parts;
    if (mode === "off") return undefined;
    const sessions = new Sessions(parts, await readSecret(database));
    await sessions.#outside.reload();
    if (config.signingKeys === "") {
      const key = await makeKey();
      const texts = [key.publicKey, key.privateKey].map((each) => JSON.stringify(each));
      await database.run("first-signing-key", [key.kid, ...texts]);
    }
    await sessions.#loadKeys();
    return sessions;
  }

  get isRequired(): boolean {
    return this.#parts.mode === "required";
  }

  /** @param expel ends the connections of those of whom it is told a reason */
  start(expel: (why: (seat: SeatRequest) => Refusal | undefined) => void): void {
    const { clock, database, redis } = this.#parts;
    this.#expel = expel;
    const { onMessage } = redis;
    redis.onMessage = (topic, text) => {
      if (topic === this.#topic) this.#lookout.hurry();
      else onMessage(topic, text);
    };
    void redis.subscribe(this.#topic);
    this.#lookout.start();
    this.#pruning = repeat(
      clock,
      PRUNE_EVERY_MS,
      this.#stopping.signal,
      async () => void (await database.run("prune-logins", [])),
      () => {}, // Postgres is away, which the heartbeat tells
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#lookout.stop();
    await this.#pruning;
  }

  async identify(token: string): Promise<Auth | Refusal> {
    const found = await this.#access.verify(token);
    if (isRefusal(found)) return found;
    return (await this.#revocations.check(found.auth)) ?? found.auth;
  }

  fresh(login: Login): Promise<Refusal | undefined> {
    return this.#revocations.fresh(login);
  }

  /** Something was revoked here: this node looks, and tells the others to. */
  #tell(): void {
    const { redis } = this.#parts;
    this.#lookout.hurry();
    // Without Redis they find it by themselves.
    redis.commands.publish(this.#topic, "look").catch(() => {});
  }

  async #look(): Promise<void> {
    try {
      await this.#outside.reload();
      await this.#loadKeys();
      this.#faultTold = "";
    } catch (error) {
      // Those that are known go on counting. An operator's mistake is told once.
      const fault = error instanceof RingsideError ? error.message : "";
      if (fault !== this.#faultTold && fault !== "") this.#parts.onError(error);
      this.#faultTold = fault;
    }
    await this.#revocations.look();
  }

  async #loadKeys(): Promise<void> {
    const stored = await this.#readKeys();
    const readAs = JSON.stringify(stored);
    if (readAs === this.#readAs) return;
    let keys: KeySet;
    try {
      keys = await makeKeySet(stored);
    } catch (error) {
      throw new RingsideError("BAD_CONFIG", { wrong: ["SIGNING_KEYS: a key cannot be read"] }, error);
    }
    this.#keys = keys;
    this.#readAs = readAs;
    this.#parts.events.emit("keys:changed", {
      signs: keys.signer?.kid ?? null,
      kids: [...keys.verifiers.keys()],
    });
  }
}

async function readSecret(database: Database): Promise<Buffer> {
  const mine = randomBytes(32);
  for (;;) {
    // Where another node is just making it, this statement sees neither; the next one does.
    const [row] = await database.run<{ secret: Buffer }>("login-secret", [mine]);
    if (row !== undefined) return row.secret;
  }
}
