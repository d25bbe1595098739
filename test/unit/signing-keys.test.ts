// The operator's own keys (SIGNING_KEYS), given as they are or in a file.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { givenKeys, makeKey, makeKeySet } from "../../src/auth/keys.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "ringside-keys-"));
});
afterAll(async () => rm(folder, { recursive: true }));

test("[AUTH6] the first private key signs and all are known, from the setting itself or from its file, which is read again", async () => {
  const [one, two] = [await makeKey(), await makeKey()];
  const file = path.join(folder, "keys.json");
  const read = givenKeys(file);
  const put = (...keys: object[]): Promise<void> => writeFile(file, JSON.stringify({ keys }));
  const seen = async (): Promise<unknown> => {
    const { signer, verifiers } = await makeKeySet(await read());
    return { signer: signer?.kid, kids: [...verifiers.keys()] };
  };
  await put(one.privateKey); // without a kid: its thumbprint
  expect(await seen()).toEqual({ signer: one.kid, kids: [one.kid] });
  await put({ ...two.publicKey, kid: "two" }, one.privateKey);
  expect(await seen(), "another place signs by it").toEqual({ signer: one.kid, kids: ["two", one.kid] });
  await put(two.publicKey);
  expect(await seen(), "this one checks tokens and makes none").toEqual({
    signer: undefined,
    kids: [two.kid],
  });
  const { published, signer } = await makeKeySet(
    await givenKeys(JSON.stringify({ keys: [{ ...one.privateKey, kid: "a" }] }))(),
  );
  expect(signer?.kid).toBe("a");
  expect(published.keys).toEqual([{ ...one.publicKey, kid: "a", alg: "EdDSA", use: "sig" }]);
});

test.each<[string, string | undefined, string]>([
  ["is not there", undefined, "its file cannot be read (ENOENT)"],
  ["is half written", '{"keys": [{"d": "a secret"', "it is no JSON"],
  ["is no set of keys", '[{"d": "a secret"}]', "it must be a JSON Web Key Set"],
  ["has none in it", '{"keys": []}', "it must be a JSON Web Key Set"],
  ["has a key of another kind", '{"keys": [{"kty": "oct", "k": "a secret"}]}', "must be an Ed25519 one"],
])("[AUTH6] a file of keys that %s is refused, and nothing of it is shown", async (_what, text, why) => {
  const file = path.join(folder, "bad.json");
  if (text === undefined) await rm(file, { force: true });
  else await writeFile(file, text);
  const error: unknown = await givenKeys(file)().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "BAD_CONFIG", message: expect.stringContaining(why) as unknown });
  expect(JSON.stringify(error) + String(error)).not.toContain("a secret");
});
