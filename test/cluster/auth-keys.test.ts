// Whose keys count, on real nodes with the stock SDK: an identity provider's, which it publishes over HTTP; and the operator's own,
// in a file that is changed under the nodes.

import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeKey } from "../../src/auth/keys.ts";
import { ask, refused, stranger, watch, type Given } from "../kit/auth-players.ts";
import { startCluster } from "../kit/cluster.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/auth-game.ts";
const ISSUER = "https://id.example/";
const AUDIENCE = "the-game";

/** An identity provider: it signs tokens for whoever asks, and publishes its keys as long as it is `well`. */
class Provider implements AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  readonly key: CryptoKey;
  asked = 0;
  state: "well" | "silent" | "broken" = "well";
  readonly #server: http.Server;

  private constructor(server: http.Server, key: CryptoKey) {
    this.#server = server;
    this.key = key;
    const { port } = server.address() as AddressInfo;
    this.env = {
      PROVIDER_ISSUER: ISSUER,
      PROVIDER_AUDIENCE: AUDIENCE,
      PROVIDER_JWKS_URL: `http://127.0.0.1:${port}/.well-known/jwks.json`,
    };
  }

  static async start(): Promise<Provider> {
    const pair = await generateKeyPair("RS256", { extractable: true });
    const keys = [{ ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256", use: "sig" }];
    const server = http.createServer((request, response) => {
      provider.asked += 1;
      if (provider.state === "silent") return;
      const isThere = provider.state === "well" && request.url === "/.well-known/jwks.json";
      response.writeHead(isThere ? 200 : 500, { "content-type": "application/json" });
      response.end(isThere ? JSON.stringify({ keys }) : "{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const provider = new Provider(server, pair.privateKey);
    return provider;
  }

  token(sub: string, claims: object = {}, key = this.key): Promise<string> {
    return new SignJWT({ aud: ["another", AUDIENCE], ...claims })
      .setProtectedHeader({ alg: "RS256", kid: "k1", typ: "JWT" })
      .setIssuer(ISSUER)
      .setSubject(sub)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

test("[AUTH5] an identity provider's token signs its user in, on any node, and nobody waits for a provider that is away but those it names", async () => {
  await using provider = await Provider.start();
  await using cluster = await startCluster({ nodes: 2, game: GAME, env: provider.env });
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];

  // The first question is of one who does not answer. Meanwhile guests come in.
  provider.state = "silent";
  const client = stranger(cluster, a);
  await until("a guest is in before the provider was given up", async () => {
    const token = await provider.token("auth0|ada");
    let isOver = false;
    const asked = provider.asked;
    const early = refused(client.auth.signInAnonymously({ token })).finally(() => (isOver = true));
    await until("the provider is asked", () => provider.asked > asked || isOver);
    const guest = (await stranger(cluster, a).auth.signInAnonymously()) as unknown as Given;
    expect(guest.user.isGuest).toBe(true);
    const wasFirst = !isOver;
    expect(await early).toEqual({ code: 503, message: "the identity provider cannot be reached; try again" });
    return wasFirst;
  });
  provider.state = "broken";
  expect(
    await refused(client.auth.signInAnonymously({ token: await provider.token("auth0|ada") })),
  ).toMatchObject({
    code: 503,
  });

  provider.state = "well";
  const token = await provider.token("auth0|ada", { claims: { name: "Ada" }, email: "ada@example.com" });
  const given = (await client.auth.signInAnonymously({ token })) as unknown as Given;
  expect(given.user).toEqual({
    name: "Ada",
    userId: "auth0|ada",
    isGuest: false,
    loginId: expect.any(String) as string,
  });
  const elsewhere = stranger(cluster, b);
  elsewhere.auth.token = given.token;
  const { room } = watch(await elsewhere.create("members"));
  expect(await ask(room, "who")).toEqual(given.user);
  await room.leave();
  // Its tokens are no assertions, which count once: the next page load may bring the same, at the other node.
  const again = (await stranger(cluster, b).auth.signInAnonymously({ token })) as unknown as Given;
  expect(again.user).toMatchObject({ userId: "auth0|ada" });
  expect(again.user.loginId).not.toBe(given.user.loginId);
  // What was found out is remembered, for when it is away again.
  provider.state = "broken";
  await stranger(cluster, a).auth.signInAnonymously({ token: await provider.token("auth0|bob") });

  const asked = provider.asked;
  const other = await generateKeyPair("RS256");
  for (const [what, bad] of Object.entries({
    "another key": await provider.token("auth0|eve", {}, other.privateKey),
    "for others": await provider.token("auth0|eve", { aud: ["another"] }),
    "a guest's name": await provider.token("guest-1"),
    "not valid yet": await provider.token("auth0|eve", { nbf: Math.floor(Date.now() / 1_000) + 600 }),
    "no access token of ours": given.token.split("~")[0] ?? "",
  })) {
    for (const node of [a, b]) {
      expect(await refused(stranger(cluster, node).auth.signInAnonymously({ token: bad })), what).toEqual({
        code: 401,
        message: "this token is not valid: sign in again",
      });
    }
  }
  expect(provider.asked, "bad tokens are no reason to ask it again").toBe(asked);
  // Nor is its token one of ours.
  elsewhere.auth.token = token;
  expect(await refused(elsewhere.create("members"))).toMatchObject({ code: 401 });
  const all = [...cluster.everyOutput, JSON.stringify(cluster.events.all)].join("\n");
  expect(all).not.toContain(token.slice(-40));
  expect(all).not.toContain("ada@example.com");
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "ringside-keys-"));
});
afterAll(async () => rm(folder, { recursive: true }));

const file = (): string => path.join(folder, "keys.json");

/** As an operator's tools do it: a reader finds the old file or the new one. */
async function put(text: string): Promise<void> {
  await writeFile(`${file()}.new`, text, { mode: 0o600 });
  await rename(`${file()}.new`, file());
}

const setOf = (...keys: JWK[]): string => JSON.stringify({ keys });

test("[AUTH6] an operator's own keys are changed in their file under the players: nobody is signed out, and a broken file changes nothing", async () => {
  const makeOwn = async (): Promise<{ kid: string; jwk: JWK }> => {
    const { kid, privateKey } = await makeKey();
    return { kid, jwk: { ...privateKey, kid, alg: "EdDSA", use: "sig" } };
  };
  const [first, second] = [await makeOwn(), await makeOwn()];
  await put(setOf(first.jwk));
  await using cluster = await startCluster({ nodes: 2, game: GAME, env: { SIGNING_KEYS: file() } });
  const [a, b] = [cluster.node("node-a"), cluster.node("node-b")];
  const kidOf = ({ token }: Given): unknown => decodeProtectedHeader(token.split("~")[0] ?? "").kid;
  /** Once every node has read what is put there. */
  const change = async (text: string): Promise<void> => {
    const read = cluster.nodes.map((node) =>
      cluster.events.next("keys:changed", (_facts, from) => from === node.nodeId),
    );
    await put(text);
    await Promise.all(read);
  };

  const client = stranger(cluster, a);
  const given = (await client.auth.signInAnonymously()) as unknown as Given;
  expect(kidOf(given)).toBe(first.kid);
  expect(await cluster.sql("SELECT * FROM signing_key"), "none is in Postgres").toEqual([]);
  const seated = watch(await client.create("plain"));

  await change(setOf(first.jwk, second.jwk));
  expect(kidOf((await stranger(cluster, b).auth.signInAnonymously()) as unknown as Given)).toBe(first.kid);
  await change(setOf(second.jwk, first.jwk));
  const later = (await stranger(cluster, b).auth.signInAnonymously()) as unknown as Given;
  expect(kidOf(later)).toBe(second.kid);
  for (const node of [a, b]) {
    for (const { token, user } of [given, later]) {
      const page = stranger(cluster, node);
      page.auth.token = token;
      expect(await page.auth.getUserData()).toEqual({ user });
    }
  }

  // Half written, or gone: what was read before counts, and it is said what is wrong, without a word of what stands there.
  const told = (): string[] => cluster.everyOutput.filter((line) => line.includes("SIGNING_KEYS"));
  await put(setOf(second.jwk, first.jwk).slice(0, -40));
  await until("both say so", () => told().length >= 2);
  expect(told().join("\n")).toContain("it is no JSON");
  await rm(file());
  await until("both say that it is gone", () => told().filter((line) => line.includes("ENOENT")).length >= 2);
  expect(told(), "each once").toHaveLength(4);
  expect(kidOf((await stranger(cluster, a).auth.signInAnonymously()) as unknown as Given)).toBe(second.kid);

  await change(setOf(second.jwk));
  for (const node of [a, b]) {
    const page = stranger(cluster, node);
    page.auth.token = given.token;
    expect(await refused(page.create("plain"))).toMatchObject({ code: 401 });
  }
  expect(kidOf((await client.http.post("/auth/refresh")).data as Given), "the login goes on").toBe(
    second.kid,
  );
  expect([seated.left, seated.drops]).toEqual([undefined, 0]);
  const published = (await client.http.get("/auth/keys")).data as { keys: JWK[] };
  expect(published.keys.map(({ kid, d }) => [kid, d])).toEqual([[second.kid, undefined]]);
  const all = [...cluster.everyOutput, JSON.stringify(cluster.events.all)].join("\n");
  for (const { jwk } of [first, second]) expect(all).not.toContain(jwk.d);
});

test("[AUTH6] a node does not start on keys that it cannot read, and shows nothing of them", async () => {
  await put('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "a secret"}]}');
  const failed = await startCluster({ nodes: 1, game: GAME, env: { SIGNING_KEYS: file() } }).then(
    () => "it has started",
    (error: unknown) => String(error),
  );
  expect(failed).toMatch(/ended with 78:/);
  expect(failed).toContain("SIGNING_KEYS: a key cannot be read");
  expect(failed).not.toContain("a secret");
});
