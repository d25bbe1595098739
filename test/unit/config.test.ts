import { expect, test } from "vitest";
import { NUMBERS, readConfig, TEXTS } from "../../src/config.ts";
import { RingsideError } from "../../src/errors.ts";

const enough = {
  NODE_ID: "n",
  DATABASE_URL: "postgres://u:secret@h/d",
  ADVERTISE_HOST: "10.0.0.1",
  REDIS_URL: "redis://h",
  CLUSTER_KEY: "0123456789abcdef",
};

function faults(env: Record<string, string>): string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof RingsideError)) throw error;
    return error.facts["wrong"] as string[];
  }
}

test("what is not set has its default, and the management port follows the public one", () => {
  expect(readConfig(enough)).toMatchObject({
    publicPort: 2567,
    managementPort: 3567,
    leaseMs: 3_000,
    schemaName: "ringside",
  });
  expect(readConfig({ ...enough, REDIS_URL: "", REDIS_URI: "redis://alias" }).redisUrl).toBe("redis://alias");
});

test("every fault is told at once, with what to do, and never with a password", () => {
  const wrong = faults({
    ...enough,
    NODE_ID: "a b",
    PORT: "x",
    LEASE_RENEW_MS: "2000",
    DATABASE_URL: "mysql://u:secret@h/d",
  });
  expect(wrong).toHaveLength(4);
  expect(wrong.join("\n")).not.toContain("secret");
  expect(wrong.join("\n")).toMatch(/LEASE_RENEW_MS \* 3 must not exceed LEASE_MS/);
});

test("nothing set: each missing one is named with what it is for", () => {
  expect(faults({}).join("\n")).toMatch(
    /NODE_ID is not set[\s\S]*CLUSTER_KEY is not set[\s\S]*DATABASE_URL is not set[\s\S]*REDIS_URL or REDIS_URI is not set/,
  );
});

test("every row has bounds that hold its default, and says why it is there", () => {
  for (const row of Object.values(NUMBERS)) {
    expect(row.fallback).toBeGreaterThanOrEqual(row.min);
    expect(row.fallback).toBeLessThanOrEqual(row.max);
  }
  for (const row of [...Object.values(NUMBERS), ...Object.values(TEXTS)])
    expect(row.why.length).toBeGreaterThan(10);
});

test("a node that others on other machines could not reach is not started", () => {
  const { ADVERTISE_HOST: _, ...lost } = enough;
  expect(faults(lost).join()).toMatch(/ADVERTISE_HOST must be set/);
  expect(faults({ ...lost, BIND_HOST: "127.0.0.1" })).toEqual([]);
  expect(faults({ ...lost, DATABASE_URL: "postgres://u@localhost/d" })).toEqual([]);
});

test("PUBLIC_ADDRESS is what the SDK puts between ws:// and the room, of this very node", () => {
  const read = (PUBLIC_ADDRESS: string): string => readConfig({ ...enough, PUBLIC_ADDRESS }).publicAddress;
  expect(readConfig(enough).publicAddress).toBe("");
  expect(read("play.example.com/{NODE_ID}")).toBe("play.example.com/n");
  expect(read("n.play.example.com")).toBe("n.play.example.com");
  expect(read("{NODE_ID}.play.example.com:8443/a/b/")).toBe("n.play.example.com:8443/a/b");
  expect(read("[2001:db8::1]:2567/node-a")).toBe("[2001:db8::1]:2567/node-a");
});

test("what cannot be a PUBLIC_ADDRESS is told in one line, with what it must be", () => {
  for (const address of [
    "wss://play.example.com/node-a",
    "https://play.example.com",
    "/node-a",
    "/",
    "play.example.com/{nodeId}",
    "play.example.com//node-a",
    "play.example.com/node-a?x=1",
    "play.example.com/node-a#x",
    "play.example.com:99999/node-a",
    "play.example.com:/node-a",
    "user@play.example.com",
    "play example.com",
    `play.example.com/${"a".repeat(255)}`,
  ]) {
    expect(faults({ ...enough, PUBLIC_ADDRESS: address }), address).toEqual([
      `PUBLIC_ADDRESS=${address} must be host[:port][/path], such as play.example.com/{NODE_ID}, without ws:// or https:// before it`,
    ]);
  }
});
