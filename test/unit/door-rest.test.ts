// The small decisions of the front door.

import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { EventBus } from "../../src/events.ts";
import { readOptions } from "../../src/front-door/body.ts";
import { Connections } from "../../src/front-door/connections.ts";
import { DoorCounts } from "../../src/front-door/counts.ts";
import { FrontDoor, type FrontDoorParts } from "../../src/front-door/front-door.ts";
import { isPanel, Panels } from "../../src/front-door/panels.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

test.each([
  ["an object", bytes('{"name":"ada"}'), '{"name":"ada"}'],
  ["nothing", bytes(""), "{}"],
  ["objects in objects", bytes(nested(32)), nested(32)],
  ["too many of them", bytes(nested(33)), undefined],
  ["a stack that would overflow", bytes(`{"a":${"[".repeat(20_000)}${"]".repeat(20_000)}}`), undefined],
  ["a list", bytes("[1]"), undefined],
  ["null", bytes("null"), undefined],
  ["a number", bytes("5"), undefined],
  ["half of one", bytes('{"a"'), undefined],
  ["what is not UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), undefined],
])("[DOOR1] options of a join: %s", (_what, body, options) => {
  expect(readOptions(body)).toBe(options);
});

test("[DOOR4] connections are counted in all and by address, up to their bounds, and each only once", () => {
  const connections = new Connections({ connectionsMax: 3, connectionsPerAddressMax: 2 });
  const first = connections.enter("a");
  const second = connections.enter("a");
  expect(connections.enter("a")).toBe("address");
  const third = connections.enter(undefined);
  expect(connections.enter("b")).toBe("all");
  for (const leave of [first, first, first]) if (typeof leave === "function") leave();
  expect(connections.size).toBe(2);
  const again = connections.enter("a");
  expect(typeof again).toBe("function");
  for (const leave of [second, third, again]) if (typeof leave === "function") leave();
  expect(connections.size).toBe(0);
  const unbounded = new Connections({ connectionsMax: 100, connectionsPerAddressMax: 0 });
  for (let count = 0; count < 100; count++) expect(typeof unbounded.enter("a")).toBe("function");
});

test("[DOOR4] on a socket that takes IPv4 and IPv6, IPv4 addresses are counted each for itself, and loopback is not", () => {
  const config = { connectionsMax: 100, connectionsPerAddressMax: 2, trustedProxies: "10.0.0.0/8" };
  const parts = { config: { ...config, allowedOrigins: "" }, counts: { refused: () => {} } };
  const door = new FrontDoor(parts as unknown as FrontDoorParts); // as much of them as it needs for this
  const isCut = (remoteAddress: string): boolean => {
    let cut = false;
    door.connected(
      Object.assign(new EventEmitter(), { remoteAddress, destroy: () => (cut = true) }) as unknown as Socket,
    );
    return cut;
  };
  const two = (address: string): boolean[] => [isCut(address), isCut(address)];
  for (const address of [
    "203.0.113.1",
    "203.0.113.2",
    "::ffff:203.0.113.3",
    "::ffff:203.0.113.4",
    "2001:db8::1",
  ]) {
    expect(two(address), address).toEqual([false, false]);
  }
  for (const address of ["203.0.113.1", "::ffff:203.0.113.1", "203.0.113.3", "2001:db8::2"]) {
    expect(isCut(address), address).toBe(true);
  }
  for (const address of ["::ffff:127.0.0.1", "::ffff:10.1.2.3"]) {
    expect([...two(address), ...two(address)], address).toEqual([false, false, false, false]);
  }
});

describe("[DOOR7] Colyseus's panels", () => {
  test.each([
    ["/monitor", true],
    ["/monitor/", true],
    ["/monitor?x", true],
    ["/Monitor/api/room", true],
    ["//monitor", true],
    ["/%6donitor", true],
    ["/%256donitor", true],
    ["/./monitor", true],
    ["/x/../monitor", true],
    ["/x/%2e%2e/monitor", true],
    ["/playground", true],
    ["/colyseus/x", true],
    ["/__apidocs", true],
    ["/%zz/monitor", false],
    ["/", false],
    ["/shop/monitor", false],
    ["/monitors", false],
    ["/matchmake/joinOrCreate/monitor", false],
  ])("%s: %s", (target, is) => {
    expect(isPanel(target)).toBe(is);
  });

  test("open to who shows the token, and to nobody where there is none", () => {
    const request = (authorization?: string): IncomingMessage =>
      ({ headers: { authorization } }) as IncomingMessage;
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
    const token = "a secret of operators";
    const panels = new Panels(token);
    expect(panels.isOperator(request(`Bearer ${token.replaceAll(" ", "-")}`))).toBe(false);
    expect(panels.isOperator(request(basic(`anybody:${token}`)))).toBe(true);
    expect(panels.isOperator(request(basic("anybody:wrong")))).toBe(false);
    expect(panels.isOperator(request(token))).toBe(false);
    expect(panels.isOperator(request())).toBe(false);
    expect(new Panels("abcdefghijklmnop").isOperator(request("bearer abcdefghijklmnop"))).toBe(true);
    expect(new Panels("").isOperator(request(basic("anybody:")))).toBe(false);
    expect(new Panels("").canOpen).toBe(false);
  });
});

test("[DOOR4] who is refused is counted each time, and told of once a minute", () => {
  const clock = fakeClock();
  const events = new EventBus();
  const told: unknown[] = [];
  events.listen((_name, facts) => void told.push(facts));
  const counts = new DoorCounts(clock, events);
  for (let time = 0; time < 1_000; time++) counts.refused("origin");
  counts.refused("slow");
  expect(counts.totals).toEqual(
    new Map([
      ["origin", 1_000],
      ["slow", 1],
    ]),
  );
  expect(told).toEqual([
    { why: "origin", times: 1 },
    { why: "slow", times: 1 },
  ]);
  clock.advance(60_000);
  counts.refused("origin");
  expect(told.slice(2)).toEqual([{ why: "origin", times: 1_000 }]);
});
