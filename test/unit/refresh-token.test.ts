// What refresh tokens are made of, and what is no token of ours.

import { randomBytes, randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hashOf, RefreshTokens, SALT_BYTES } from "../../src/auth/refresh-token.ts";

const tokens = new RefreshTokens(randomBytes(32));

test("[AUTH2] a refresh token is read as it was written, by whoever has the secret", () => {
  const first = tokens.first(randomUUID());
  const next = tokens.next(first, randomBytes(SALT_BYTES));
  for (const token of [first, next]) expect(tokens.read(tokens.write(token))).toEqual(token);
  expect(next.generation).toBe(1);
  expect(hashOf(next)).not.toEqual(hashOf(first));
  expect(new RefreshTokens(randomBytes(32)).read(tokens.write(first))).toBeUndefined();
});

test("[AUTH2] the next token follows from the one before and its salt: another of either gives another", () => {
  const first = tokens.first(randomUUID());
  const [salt, other] = [randomBytes(SALT_BYTES), randomBytes(SALT_BYTES)];
  expect(tokens.next(first, salt)).toEqual(tokens.next(first, salt));
  expect(hashOf(tokens.next(first, salt))).not.toEqual(hashOf(tokens.next(first, other)));
  const same = { ...tokens.first(first.loginId), generation: 0 };
  expect(hashOf(tokens.next(same, salt))).not.toEqual(hashOf(tokens.next(first, salt)));
});

test("[AUTH2] what was not handed out is none: any change of a byte, any other text", () => {
  const text = tokens.write(tokens.first(randomUUID()));
  fc.assert(
    fc.property(fc.nat({ max: 52 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const bytes = Buffer.from(text, "base64url");
      bytes[at] = (bytes[at] ?? 0) ^ by;
      expect(tokens.read(bytes.toString("base64url"))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.string(), (other) => {
      expect(tokens.read(other)).toBeUndefined();
    }),
  );
  expect(tokens.read(undefined)).toBeUndefined();
  expect(tokens.read(`${text}A`)).toBeUndefined();
});
