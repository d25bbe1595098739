// When a connection may be closed without losing its player to the room.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SdkUptime } from "../../src/gateway/sdk-uptime.ts";
import { fakeClock } from "../kit/fake-clock.ts";

test("a page that has just joined is waited for, from when it says so; one that has come back by itself is not", () => {
  const clock = fakeClock();
  const uptime = new SdkUptime(clock, false);
  expect([uptime.shortByMs, uptime.hasAcknowledged]).toEqual([5_000, false]);
  clock.advance(700);
  expect(uptime.shortByMs).toBe(5_000);
  uptime.acknowledged();
  clock.advance(2_000);
  uptime.acknowledged(); // of another owner's word
  expect([uptime.shortByMs, uptime.hasAcknowledged]).toEqual([3_000, true]);
  const closed: string[] = [];
  uptime.whenLong(() => closed.push("the newcomer"));
  new SdkUptime(clock, true).whenLong(() => closed.push("who has come back"));
  clock.advance(2_999);
  expect(closed).toEqual(["who has come back"]);
  clock.advance(1);
  expect([uptime.shortByMs, ...closed]).toEqual([0, "who has come back", "the newcomer"]);
});

test("the stock SDK waits for as long as is believed here", () => {
  const url = new URL("../../node_modules/@colyseus/sdk/src/Reconnection.ts", import.meta.url);
  expect(/minUptime: (\d+)/.exec(readFileSync(url, "utf8"))?.[1]).toBe("5000");
});
