// Users whom the game's identity provider names: by which of its tokens, and what becomes of them when it is slow, away or odd.

import http from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OutsideLogins } from "../../src/auth/outside-login.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const ISSUER = "https://id.example";
const AUDIENCE = "the-game";

let server: http.Server;
let asked: number;
let answer: (response: http.ServerResponse) => void;
let pair: { publicKey: CryptoKey; privateKey: CryptoKey };

beforeEach(async () => {
  asked = 0;
  pair = await generateKeyPair("RS256", { extractable: true });
  const keys = [{ ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256" }];
  answer = (response) => response.end(JSON.stringify({ keys }));
  server = http.createServer((_request, response) => {
    asked += 1;
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function outside(port = (server.address() as AddressInfo).port, backendKeys = ""): OutsideLogins {
  return new OutsideLogins({
    config: {
      tokenIssuer: "us",
      backendIssuer: backendKeys === "" ? "" : "https://game.example",
      backendKeys,
      providerIssuer: ISSUER,
      providerAudience: AUDIENCE,
      providerJwksUrl: `http://127.0.0.1:${port}/jwks`,
    },
    clock: systemClock,
    database: { run: () => Promise.reject(new Error("not asked for this")) },
  });
}

function token(
  payload: JWTPayload = {},
  header: object = {},
  key: CryptoKey | Uint8Array = pair.privateKey,
): Promise<string> {
  const nowS = Math.floor(systemClock.nowMs() / 1_000);
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: "auth0|7", iat: nowS, exp: nowS + 3_600, ...payload })
    .setProtectedHeader({ alg: "RS256", kid: "k1", ...header })
    .sign(key);
}

test("[AUTH5] a provider's token names its user, and its keys are asked for once", async () => {
  const logins = outside();
  const many = await Promise.all(Array.from({ length: 20 }, async () => logins.verify(await token())));
  for (const user of many) expect(user).toEqual({ userId: "auth0|7", claims: {} });
  expect(asked).toBe(1);
});

test("[AUTH5] an unknown key is asked for at most every half a minute", async () => {
  const logins = outside();
  await logins.verify(await token());
  for (let time = 0; time < 20; time++) {
    expect(await logins.verify(await token({}, { kid: `unknown-${time}` }))).toMatchObject({
      code: "TOKEN_REFUSED",
    });
  }
  expect(asked).toBe(1);
});

test("[AUTH5] other tokens are refused: of others, for others, over, or by a secret that is public", async () => {
  const logins = outside();
  const other = await generateKeyPair("RS256");
  const secret = new TextEncoder().encode(JSON.stringify(await exportJWK(pair.publicKey)));
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await token()).split(".")[1] ?? ""}.`;
  const bad = [
    await token({}, {}, other.privateKey),
    await token({}, { alg: "HS256" }, secret),
    none,
    await token({ iss: "https://other.example" }),
    await token({ aud: "another-game" }),
    await token({ nbf: Math.floor(systemClock.nowMs() / 1_000) + 600 }),
    await token({ sub: "" }),
    await token({ sub: "guest-7" }),
    await token({ claims: "none" }),
    await token({ exp: undefined } as unknown as JWTPayload), // left out
    await token({ x: "x".repeat(8_192) }),
    "garbage",
  ];
  for (const each of bad) expect(await logins.verify(each)).toMatchObject({ code: "TOKEN_REFUSED" });
  expect(await logins.verify(await token({ exp: 1_000 }))).toMatchObject({ code: "TOKEN_EXPIRED" });
  expect(await logins.verify(undefined)).toMatchObject({ code: "TOKEN_REFUSED" });
});

test("[AUTH5] a secret among a provider's keys signs nobody in", async () => {
  const secret = Buffer.from("a secret that somebody has published, by mistake");
  const keys = [{ kty: "oct", k: secret.toString("base64url"), kid: "k2", alg: "HS256" }];
  answer = (response) => response.end(JSON.stringify({ keys }));
  const signed = await token({}, { alg: "HS256", kid: "k2" }, secret);
  expect(await outside().verify(signed)).toMatchObject({ code: "TOKEN_REFUSED" });
});

test.each<[string, (response: http.ServerResponse) => void]>([
  ["fails", (response) => response.writeHead(500).end()],
  ["sends no keys", (response) => response.end("<html>")],
  ["sends what is no set of keys", (response) => response.end('{"keys":7}')],
  ["hangs up", (response) => response.destroy()],
  ["sends too much", (response) => response.end(JSON.stringify({ keys: [], x: "x".repeat(300_000) }))],
  ["says nothing", () => {}],
])("[AUTH5] where the provider %s, that is said, and not that the token is bad", async (_what, does) => {
  answer = does;
  const startedMs = performance.now();
  await expect(outside().verify(await token())).rejects.toMatchObject({ code: "PROVIDER_UNREACHABLE" });
  expect(performance.now() - startedMs).toBeLessThan(10_000);
});

test("[AUTH5] where the provider is away, that is said", async () => {
  await expect(outside(1).verify(await token())).rejects.toMatchObject({ code: "PROVIDER_UNREACHABLE" });
});

test("[AUTH5] of the backend's assertions only those count that are for this cluster, young and named", async () => {
  const keys = [{ ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256" }];
  const logins = outside(undefined, JSON.stringify({ keys }));
  await logins.reload();
  const nowS = Math.floor(systemClock.nowMs() / 1_000);
  const assertion = (
    change: JWTPayload,
    header: object = {},
    key?: CryptoKey | Uint8Array,
  ): Promise<string> => {
    const good = { iss: "https://game.example", aud: "us", sub: "ada", jti: "once", exp: nowS + 60 };
    return token({ ...good, ...change }, header, key);
  };
  // One that is good is asked of Postgres whether it is the first, and of nothing else.
  await expect(logins.verify(await assertion({}))).rejects.toThrow("not asked for this");
  const secret = new TextEncoder().encode(JSON.stringify(keys));
  const without = (name: string): Promise<string> => assertion({ [name]: undefined });
  for (const [what, bad] of Object.entries({
    "for another cluster": await assertion({ aud: "them" }),
    "for nobody": await without("aud"),
    "too old, though it says that it is good for longer": await assertion({
      iat: nowS - 310,
      exp: nowS + 3_600,
    }),
    "of no age": await without("iat"),
    "of the future": await assertion({ iat: nowS + 60, exp: nowS + 120 }),
    "not valid yet": await assertion({ nbf: nowS + 60 }),
    "without an end": await without("exp"),
    "without a name of its own": await without("jti"),
    "with an endless one": await assertion({ jti: "x".repeat(257) }),
    "with one that is none": await assertion({ jti: 7 as unknown as string }),
    "of nobody": await without("sub"),
    "of a guest": await assertion({ sub: "guest-1" }),
    "by a public secret": await assertion({}, { alg: "HS256" }, secret),
    "by the provider's key in its own name": await assertion({ iss: ISSUER }),
  })) {
    expect(await logins.verify(bad), what).toMatchObject({
      code: expect.stringMatching(/^TOKEN_/) as unknown,
    });
  }
});
