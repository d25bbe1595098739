// Access tokens: which are taken, and every kind that is not.

import { createHmac, generateKeyPairSync } from "node:crypto";
import { exportSPKI, generateKeyPair, SignJWT, type JWTPayload } from "jose";
import { beforeEach, expect, test } from "vitest";
import { AccessTokens, isRefusal } from "../../src/auth/access-token.ts";
import { makeKey, makeKeySet, type KeySet, type StoredKey } from "../../src/auth/keys.ts";
import { CLAIMS_LENGTH_MAX, TOKEN_LENGTH_MAX } from "../../src/auth/login.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";

const login = { userId: "u", loginId: "0d6f5d4e-0000-4000-8000-000000000000", isGuest: false };
const LIFE_MS = 900_000;

let clock: FakeClock;
let stored: StoredKey;
let keys: KeySet;
let access: AccessTokens;

beforeEach(async () => {
  clock = fakeClock(1_700_000_000_000);
  stored = { ...(await makeKey()), maySign: true };
  keys = await makeKeySet([stored]);
  access = new AccessTokens({ clock, keys: () => keys, issuer: "us", lifetimeMs: LIFE_MS });
});

const codeOf = async (token: string): Promise<string> => {
  const found = await access.verify(token);
  return isRefusal(found) ? found.code : "taken";
};

/** As ours, but for what is said here. */
async function forged(
  change: { header?: object; payload?: JWTPayload; key?: CryptoKey } = {},
  without: readonly string[] = [],
): Promise<string> {
  const nowS = clock.nowMs() / 1_000;
  const payload: JWTPayload = {
    sub: "u",
    sid: login.loginId,
    guest: false,
    claims: {},
    iss: "us",
    aud: "us",
    iat: nowS,
    nbf: nowS,
    exp: nowS + 60,
    ...change.payload,
  };
  for (const name of without) delete payload[name];
  const { signer } = keys;
  if (signer === undefined) throw new Error("no signer");
  const header = { alg: "EdDSA", kid: signer.kid, typ: "at+jwt", ...change.header };
  return new SignJWT(payload).setProtectedHeader(header).sign(change.key ?? signer.key);
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("[AUTH1] a token says who somebody is, until it expires, and not much longer", async () => {
  const { token } = await access.make(login, { name: "Ada", userId: "somebody else" });
  expect(await access.verify(token)).toMatchObject({ auth: { ...login, name: "Ada" } });
  clock.advance(LIFE_MS);
  expect(await codeOf(token)).toBe("taken"); // within what clocks may differ
  clock.advance(6_000);
  expect(await codeOf(token)).toBe("TOKEN_EXPIRED");
  // One that nobody has seen before, too; and for who returns to a seat, as long as they may.
  const { token: other } = await access.make(login, { n: 2 });
  clock.advance(LIFE_MS + 6_000);
  expect(await codeOf(other)).toBe("TOKEN_EXPIRED");
  expect(isRefusal(await access.verify(other, Number.POSITIVE_INFINITY))).toBe(false);
});

test("[AUTH1] what is made here is what would be forged: the forger's own is taken", async () => {
  expect(await codeOf(await forged())).toBe("taken");
});

test("[AUTH1] no other algorithm is taken, whatever the token says", async () => {
  const token = await forged();
  const [, payload = ""] = token.split(".");
  const { signer } = keys;
  const none = `${encode({ alg: "none", kid: signer?.kid, typ: "at+jwt" })}.${payload}.`;
  expect(await codeOf(none)).toBe("TOKEN_REFUSED");
  // The public key is no secret, so it must not count as one.
  const verifier = keys.verifiers.get(signer?.kid ?? "");
  const secrets = [
    Buffer.from(String(stored.publicKey.x), "base64url"),
    Buffer.from(JSON.stringify(stored.publicKey)),
    Buffer.from(verifier === undefined ? "" : await exportSPKI(verifier)),
  ];
  for (const secret of secrets) {
    const head = `${encode({ alg: "HS256", kid: signer?.kid, typ: "at+jwt" })}.${payload}`;
    const mac = createHmac("sha256", secret).update(head).digest("base64url");
    expect(await codeOf(`${head}.${mac}`)).toBe("TOKEN_REFUSED");
  }
  const rsa = await generateKeyPair("RS256");
  expect(await codeOf(await forged({ header: { alg: "RS256" }, key: rsa.privateKey }))).toBe("TOKEN_REFUSED");
});

test("[AUTH1] no other key, no unknown one, and none that the token brings along", async () => {
  const other = await generateKeyPair("EdDSA", { extractable: true });
  const own = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  expect(await codeOf(await forged({ key: other.privateKey }))).toBe("TOKEN_REFUSED");
  expect(await codeOf(await forged({ header: { kid: "another" } }))).toBe("TOKEN_REFUSED");
  expect(await codeOf(await forged({ header: { kid: undefined } }))).toBe("TOKEN_REFUSED");
  expect(await codeOf(await forged({ header: { jwk: own }, key: other.privateKey }))).toBe("TOKEN_REFUSED");
  expect(await codeOf(await forged({ header: { kid: "__proto__" } }))).toBe("TOKEN_REFUSED");
});

test.each<[string, { header?: object; payload?: JWTPayload }, string[]?]>([
  ["of another kind", { header: { typ: "JWT" } }],
  ["of no kind", { header: { typ: undefined } }],
  ["of another issuer", { payload: { iss: "them" } }],
  ["for another audience", { payload: { aud: "them" } }],
  ["for nobody", {}, ["aud"]],
  ["not valid yet", { payload: { nbf: 1_700_000_060 } }],
  ["made in the future", { payload: { iat: 1_700_000_060 } }],
  ["without an end", {}, ["exp"]],
  ["without a beginning", {}, ["iat"]],
  ["without a user", {}, ["sub"]],
  ["with a user that is none", { payload: { sub: "a b" } }],
  ["without a login", {}, ["sid"]],
  ["without saying whether it is a guest's", {}, ["guest"]],
  ["with claims that are none", { payload: { claims: [1] } }],
  ["with too many claims", { payload: { claims: { a: "x".repeat(CLAIMS_LENGTH_MAX) } } }],
])("[AUTH1] a token %s is refused", async (_what, change, without) => {
  expect(await codeOf(await forged(change, without))).toBe("TOKEN_REFUSED");
});

test("[AUTH1] a header that asks for what is not understood here is refused, however well it is signed", async () => {
  const [, payload = ""] = (await forged()).split(".");
  const { signer } = keys;
  if (signer === undefined) throw new Error("no signer");
  const signed = async (header: object, body = payload): Promise<string> => {
    const head = encode({ alg: "EdDSA", kid: signer.kid, typ: "at+jwt", ...header });
    const bytes = await crypto.subtle.sign("Ed25519", signer.key, Buffer.from(`${head}.${body}`));
    return `${head}.${body}.${Buffer.from(bytes).toString("base64url")}`;
  };
  expect(await codeOf(await signed({}))).toBe("taken");
  expect(await codeOf(await signed({ crit: ["exp"], exp: 1 }))).toBe("TOKEN_REFUSED");
  expect(
    await codeOf(await signed({ crit: ["http://example.com/mine"], "http://example.com/mine": 1 })),
  ).toBe("TOKEN_REFUSED");
  expect(await codeOf(await signed({ crit: [] }))).toBe("TOKEN_REFUSED");
  const plain = Buffer.from(payload, "base64url").toString();
  expect(await codeOf(await signed({ b64: false, crit: ["b64"] }))).toBe("TOKEN_REFUSED");
  expect(await codeOf(await signed({ b64: false, crit: ["b64"] }, plain))).toBe("TOKEN_REFUSED");
});

test("[AUTH1] garbage is refused, and what is too long is not looked at", async () => {
  const token = await forged();
  for (const text of [
    "",
    ".",
    "..",
    "a.b.c",
    token.slice(0, -2),
    `${token}.${token}`,
    token.replace(".", "~"),
    "💥",
  ]) {
    expect(await codeOf(text), text).toBe("TOKEN_REFUSED");
  }
  const huge = await forged({ payload: { x: "x".repeat(TOKEN_LENGTH_MAX) } });
  expect(await codeOf(huge)).toBe("TOKEN_REFUSED");
  const started = performance.now();
  expect(await codeOf("x".repeat(50_000_000))).toBe("TOKEN_REFUSED");
  expect(performance.now() - started).toBeLessThan(50);
});

test("[AUTH6] several keys count and the newest that may sign does; one that is gone counts no more, remembered or not", async () => {
  const { token: old } = await access.make(login, {});
  expect(await codeOf(old)).toBe("taken");
  const next: StoredKey = { ...(await makeKey()), maySign: false };
  keys = await makeKeySet([next, stored]);
  expect(keys.signer?.kid).toBe(stored.kid);
  keys = await makeKeySet([{ ...next, maySign: true }, stored]);
  expect(keys.signer?.kid).toBe(next.kid);
  const { token: fresh } = await access.make(login, {});
  expect([await codeOf(old), await codeOf(fresh)]).toEqual(["taken", "taken"]);
  keys = await makeKeySet([{ ...next, maySign: true }]);
  expect([await codeOf(old), await codeOf(fresh)]).toEqual(["TOKEN_REFUSED", "taken"]);
  expect(JSON.stringify(keys.published)).not.toContain('"d"');
});
