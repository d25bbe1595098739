import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { addressOf, networkOf, settleAddress, TrustedProxies } from "../../src/front-door/address.ts";
import { keysOf } from "../../src/front-door/caller.ts";

const request = (remoteAddress: string, headers: IncomingHttpHeaders): IncomingMessage =>
  ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage;

describe("[DOOR2] the client's address", () => {
  const proxies = new TrustedProxies("10.0.0.0/8, 127.0.0.1, fd00::/8");

  test.each([
    ["comes from the connection", "203.0.113.9", {}, "203.0.113.9"],
    ["is IPv4 on a socket that takes both", "::ffff:203.0.113.9", {}, "203.0.113.9"],
    [
      "is not what a client claims",
      "203.0.113.9",
      { "x-forwarded-for": "1.2.3.4", "x-real-ip": "1.2.3.4" },
      "203.0.113.9",
    ],
    ["is what a proxy that is trusted says", "10.1.2.3", { "x-forwarded-for": "203.0.113.9" }, "203.0.113.9"],
    [
      "is what it says at the right end",
      "10.1.2.3",
      { "x-forwarded-for": "1.2.3.4, 203.0.113.9" },
      "203.0.113.9",
    ],
    [
      "is before all proxies that are trusted",
      "10.1.2.3",
      { "x-forwarded-for": "1.2.3.4, 203.0.113.9, 10.9.9.9, fd00::1" },
      "203.0.113.9",
    ],
    [
      "is the last proxy's where what it says is no address",
      "10.1.2.3",
      { "x-forwarded-for": "1.2.3.4, unknown" },
      "10.1.2.3",
    ],
    ["may be told with a port", "10.1.2.3", { "x-forwarded-for": "203.0.113.9:4711" }, "203.0.113.9"],
    ["may be IPv6 with a port", "10.1.2.3", { "x-forwarded-for": "[2001:DB8::1]:4711" }, "2001:db8::1"],
    ["may be told by the other name", "10.1.2.3", { "x-real-ip": "203.0.113.9" }, "203.0.113.9"],
    ["is the proxy's own when it says nothing", "10.1.2.3", {}, "10.1.2.3"],
    [
      "is found behind no more than so many hops",
      "10.1.2.3",
      { "x-forwarded-for": `1.2.3.4${", 10.0.0.1".repeat(40)}` },
      "10.0.0.1",
    ],
  ])("%s", (_what, remoteAddress, headers, address) => {
    const given = request(remoteAddress, headers);
    settleAddress(given, proxies);
    expect(addressOf(given)).toBe(address);
    expect(given.headers["x-real-ip"], "what Colyseus looks at").toBe(address);
  });

  test("a proxy that was forgotten is noticed, and a stranger who claims to be one is not", () => {
    const forwarded = { "x-forwarded-for": "203.0.113.9" };
    expect(settleAddress(request("192.168.0.7", { ...forwarded }), proxies)).toBe("192.168.0.7");
    expect(settleAddress(request("172.20.0.7", { ...forwarded }), proxies)).toBe("172.20.0.7");
    expect(settleAddress(request("172.40.0.7", { ...forwarded }), proxies)).toBeUndefined();
    expect(settleAddress(request("203.0.113.1", { ...forwarded }), proxies)).toBeUndefined();
    expect(settleAddress(request("10.1.2.3", { ...forwarded }), proxies)).toBeUndefined();
    expect(settleAddress(request("192.168.0.7", {}), proxies)).toBeUndefined();
  });

  test("forwarded headers of anybody else are taken out, however they are called", () => {
    const given = request("203.0.113.9", {
      "x-forwarded-for": "1.2.3.4",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "evil.example",
      "x-forwarded-prefix": "/x",
      "x-client-ip": "1.2.3.4",
      "cf-connecting-ip": "1.2.3.4",
      forwarded: "for=1.2.3.4",
      accept: "*/*",
    });
    settleAddress(given, proxies);
    expect(given.headers).toEqual({ accept: "*/*", "x-real-ip": "203.0.113.9" });
  });

  test("[GATE3] of those that are believed only what can be read is left", () => {
    const said = (headers: IncomingHttpHeaders): IncomingHttpHeaders => {
      const given = request("127.0.0.1", { "x-forwarded-for": "203.0.113.9", ...headers });
      settleAddress(given, proxies);
      return given.headers;
    };
    const plain = { "x-forwarded-for": "203.0.113.9", "x-real-ip": "203.0.113.9" };
    expect(said({ "x-forwarded-proto": "https", "x-forwarded-host": "play.example:443" })).toEqual({
      ...plain,
      "x-forwarded-proto": "https",
      "x-forwarded-host": "play.example:443",
    });
    expect(said({ "x-forwarded-proto": "\\", "x-forwarded-host": "a b" })).toEqual(plain);
  });

  test.each(["10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/8/8", "10.0.0.0/x", "::1/129"])(
    "%j is no proxy",
    (entry) => expect(() => new TrustedProxies(entry)).toThrow(entry),
  );
});

test("[DOOR2] limits count an IPv6 subscriber as one, and this machine as nobody", () => {
  expect(networkOf("203.0.113.9")).toBe("203.0.113.9");
  expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8:1:2::9")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8::9")).toBe("2001:db8:0:0::/64");
  expect(networkOf("::1:0:0:0:9")).toBe("0:0:0:1::/64");
  expect(keysOf({ address: "127.0.0.1", userId: "u" })).toEqual({ byAddress: undefined, byUser: "u" });
  expect(keysOf({ address: "::1", userId: undefined })).toEqual({ byAddress: undefined, byUser: undefined });
  expect(keysOf({ address: "203.0.113.9", userId: undefined }).byAddress).toBe("203.0.113.9");
});
