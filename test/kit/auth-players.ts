// Players who sign in, on the stock SDK, and the game's backend that names some of them.

import { Client, type Room } from "@colyseus/sdk";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey } from "jose";
import type { TestCluster, TestNode } from "./cluster.ts";

export interface Given {
  readonly user: { readonly userId: string; readonly loginId: string; readonly isGuest: boolean };
  readonly token: string;
}

export interface Seated {
  readonly room: Room;
  left: number | undefined;
  drops: number;
  errors: string[];
}

const ISSUER = "https://game.example";

/** The game's own backend: it signs assertions, and its public key is a setting of the nodes. */
export class Backend {
  readonly env: Readonly<Record<string, string>>;
  readonly #key: CryptoKey;
  readonly #kid: string;
  #count = 0;

  private constructor(key: CryptoKey, kid: string, env: Readonly<Record<string, string>>) {
    this.#key = key;
    this.#kid = kid;
    this.env = env;
  }

  static async make(): Promise<Backend> {
    const pair = await generateKeyPair("ES256", { extractable: true });
    const publicKey = await exportJWK(pair.publicKey);
    const kid = await calculateJwkThumbprint(publicKey);
    const keys = JSON.stringify({ keys: [{ ...publicKey, kid, alg: "ES256" }] });
    return new Backend(pair.privateKey, kid, { BACKEND_ISSUER: ISSUER, BACKEND_KEYS: keys });
  }

  assertion(userId: string, claims: object = {}): Promise<string> {
    return new SignJWT({ claims })
      .setProtectedHeader({ alg: "ES256", kid: this.#kid })
      .setIssuer(ISSUER)
      .setAudience("ringside")
      .setSubject(userId)
      .setJti(`assertion-${(this.#count += 1)}`)
      .setIssuedAt()
      .setExpirationTime("60s")
      .sign(this.#key);
  }

  /** Somebody who is signed in by it. */
  async user(cluster: TestCluster, userId: string, node?: TestNode, claims?: object): Promise<SignedIn> {
    const client = node === undefined ? stranger(cluster) : forgetful(await cluster.clientVia(node));
    const token = await this.assertion(userId, claims);
    const given = (await client.auth.signInAnonymously({ token })) as unknown as Given;
    return { client, given };
  }
}

export interface SignedIn {
  readonly client: Client;
  readonly given: Given;
}

/** The SDK keeps the last token for all clients of a page; here each is another page. */
function forgetful(client: Client): Client {
  client.auth.token = undefined as unknown as string; // as it is before anybody signs in
  return client;
}

/** Somebody who has not signed in. */
export function stranger(cluster: TestCluster, node?: TestNode): Client {
  return forgetful(cluster.client(node));
}

export function watch(room: Room): Seated {
  const seated: Seated = { room, left: undefined, drops: 0, errors: [] };
  room.reconnection.minUptime = 0;
  room.reconnection.maxDelay = 400;
  room.reconnection.maxRetries = 200;
  room.onLeave((code) => (seated.left = code));
  room.onDrop(() => void (seated.drops += 1));
  room.onError((_code, message) => void seated.errors.push(message ?? ""));
  return seated;
}

export function ask(room: Room, what: string): Promise<unknown> {
  return room.request(what as never, undefined as never, { timeout: 5_000 }) as unknown as Promise<unknown>;
}

/** What was refused, as the SDK tells it. */
export async function refused(work: Promise<unknown>): Promise<{ code: unknown; message: string }> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown as Error & { code: unknown },
  );
  if (error === undefined) throw new Error("it was not refused");
  return { code: error.code, message: error.message };
}
