// The keys by which access tokens are signed and known: read again and again, so that a rotation reaches every node without
// a restart. A key is in the set some time before it signs, and as long after as what it has signed is good for (AUTH6).
//
// They are the operator's (SIGNING_KEYS), or made at the first start and kept in Postgres.

import { readFile } from "node:fs/promises";
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JSONWebKeySet,
  type JWK,
} from "jose";
import { messageOf, RingsideError } from "../errors.ts";
import type { Database } from "../postgres/query.ts";

export const ALGORITHM = "EdDSA";

export interface KeySet {
  /** Undefined only when the operator gave none that is private: this node can then check tokens, and make none. */
  readonly signer: { readonly kid: string; readonly key: CryptoKey } | undefined;
  readonly verifiers: ReadonlyMap<string, CryptoKey>;
  /** For whoever wants to check tokens elsewhere. */
  readonly published: JSONWebKeySet;
}

/** A key as it is stored. */
export interface StoredKey {
  readonly kid: string;
  readonly publicKey: JWK;
  readonly privateKey: JWK | undefined;
  readonly maySign: boolean;
}

/** Reads the keys as they are now, the newest first. */
export type ReadKeys = () => Promise<readonly StoredKey[]>;

export async function makeKeySet(stored: readonly StoredKey[]): Promise<KeySet> {
  const verifiers = new Map<string, CryptoKey>();
  for (const { kid, publicKey } of stored) verifiers.set(kid, await importKey(publicKey));
  const signing = stored.find(({ maySign, privateKey }) => maySign && privateKey !== undefined);
  return {
    signer: signing?.privateKey && { kid: signing.kid, key: await importKey(signing.privateKey) },
    verifiers,
    published: {
      keys: stored.map(({ kid, publicKey }) => ({ ...publicKey, kid, alg: ALGORITHM, use: "sig" })),
    },
  };
}

/** A new pair of keys, as it is stored. */
export async function makeKey(): Promise<{ kid: string; publicKey: JWK; privateKey: JWK }> {
  const pair = await generateKeyPair(ALGORITHM, { extractable: true });
  const [publicKey, privateKey] = await Promise.all([exportJWK(pair.publicKey), exportJWK(pair.privateKey)]);
  return { kid: await calculateJwkThumbprint(publicKey), publicKey, privateKey };
}

/** The keys in Postgres. */
export function databaseKeys(database: Pick<Database, "run">): ReadKeys {
  return async () => {
    const rows = await database.run<KeyRow>("read-signing-keys", []);
    // Only Ringside writes these.
    return rows.map(({ kid, public_key, private_key, may_sign }) => ({
      kid,
      publicKey: JSON.parse(public_key) as JWK,
      privateKey: JSON.parse(private_key) as JWK,
      maySign: may_sign,
    }));
  };
}

interface KeyRow extends Record<string, unknown> {
  readonly kid: string;
  readonly public_key: string;
  readonly private_key: string;
  readonly may_sign: boolean;
}

/** The operator's keys. @param given a JSON Web Key Set, or the path of a file that holds one */
export function givenKeys(given: string): ReadKeys {
  return async () => {
    const { keys } = await readKeySet("SIGNING_KEYS", given);
    const stored: StoredKey[] = [];
    for (const key of keys) {
      if (key.kty !== "OKP" || key.crv !== "Ed25519")
        throw badKeys("SIGNING_KEYS", "every key must be an Ed25519 one");
      const { d, ...publicKey } = key;
      const kid = key.kid ?? (await calculateJwkThumbprint(publicKey));
      stored.push({ kid, publicKey, privateKey: d === undefined ? undefined : key, maySign: true });
    }
    return stored;
  };
}

/** @throws RingsideError BAD_CONFIG that names the setting, and never shows what it holds */
export async function readKeySet(setting: string, given: string): Promise<JSONWebKeySet> {
  let text = given;
  if (!given.startsWith("{")) {
    try {
      text = await readFile(given, "utf8");
    } catch (error) {
      throw badKeys(
        setting,
        `its file cannot be read (${(error as NodeJS.ErrnoException).code ?? messageOf(error)})`,
      );
    }
  }
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw badKeys(setting, "it is no JSON"); // the parser's own words would show some of it
  }
  const keys = (set as { keys?: unknown } | null)?.keys;
  if (
    !Array.isArray(keys) ||
    keys.length === 0 ||
    keys.some((key) => typeof key !== "object" || key === null)
  )
    throw badKeys(setting, 'it must be a JSON Web Key Set: {"keys": [...]}');
  return set as JSONWebKeySet; // as far as it was looked at; an import refuses the rest
}

async function importKey(key: JWK): Promise<CryptoKey> {
  return (await importJWK(key, ALGORITHM)) as CryptoKey; // only of symmetric keys it makes anything else
}

function badKeys(setting: string, why: string): RingsideError {
  return new RingsideError("BAD_CONFIG", { wrong: [`${setting}: ${why}`] });
}
