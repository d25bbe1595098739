// The forms of REDIS_URL, and what is said of those that are none.

import { expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { RingsideError } from "../../src/errors.ts";
import { parseRedisUrl } from "../../src/redis/address.ts";
import { keyPrefixFor } from "../../src/redis/connect.ts";

const nobody = { username: undefined, password: undefined, isEncrypted: false };
const at = (host: string, port: number): { host: string; port: number } => ({ host, port });

test.each([
  ["redis://h", { kind: "single", db: 0, ...nobody, endpoints: [at("h", 6379)] }],
  ["redis://[::1]:7/3", { kind: "single", db: 3, ...nobody, endpoints: [at("::1", 7)] }],
  [
    "rediss://u:p%40%3A%2F%25@h.example:6380/",
    {
      kind: "single",
      db: 0,
      username: "u",
      password: "p@:/%",
      isEncrypted: true,
      endpoints: [at("h.example", 6380)],
    },
  ],
  [
    "redis+sentinel://:pw@a,b:7,c/mymaster/2?sentinel-password=s%2F",
    {
      kind: "sentinel",
      primary: "mymaster",
      db: 2,
      sentinelPassword: "s/",
      ...nobody,
      password: "pw",
      endpoints: [at("a", 26379), at("b", 7), at("c", 26379)],
    },
  ],
  [
    "rediss+cluster://a:1,b:2",
    { kind: "cluster", ...nobody, isEncrypted: true, endpoints: [at("a", 1), at("b", 2)] },
  ],
])("%s is read", (text, expected) => {
  expect(parseRedisUrl(text)).toEqual(expected);
});

test.each([
  ["http://h", /must begin with redis:\/\/ or rediss:\/\//],
  ["redis://u:secret@pw@h", /%40/],
  ["redis://", /host that cannot be read/],
  ["redis://h:0", /host that cannot be read/],
  ["redis://h:99999", /host that cannot be read/],
  ["redis://:secret@a,b", /several servers: say redis\+sentinel/],
  ["redis://h/x", /not a number/],
  ["redis://h/1/2", /more than a database number/],
  ["redis+sentinel://:secret@a:26379", /names no primary/],
  ["redis+sentinel://a/m/x", /not a number/],
  ["redis+sentinel://a,/m", /host that cannot be read/],
  ["redis+cluster://a:1/2", /only one; take it out/],
  ["redis://:secret%@h", /%25/],
  ["sentinel://a/m", /redis\+sentinel:\/\/host/],
])("%s is refused in one line that tells what to write instead, and no password", (text, why) => {
  const env = {
    NODE_ID: "n",
    DATABASE_URL: "postgres://localhost/d",
    CLUSTER_KEY: "0123456789abcdef",
    REDIS_URL: text,
  };
  let wrong: string[] = [];
  try {
    readConfig(env);
  } catch (error) {
    if (!(error instanceof RingsideError)) throw error;
    wrong = error.facts["wrong"] as string[];
  }
  expect(wrong).toHaveLength(1);
  expect(wrong[0]).toMatch(/^REDIS_URL /);
  expect(wrong[0]).toMatch(why);
  expect(wrong[0]).not.toMatch(/secret|\n/);
});

test("in a Redis Cluster all our keys lie in one slot", () => {
  expect(keyPrefixFor({ kind: "single" }, "ours:")).toBe("ours:");
  expect(keyPrefixFor({ kind: "cluster" }, "ours:")).toBe("{ours:}");
  expect(keyPrefixFor({ kind: "cluster" }, "all:{ours}:")).toBe("all:{ours}:");
});
