import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { inspect } from "../../src/gateway/front-door.ts";
import { parseSeatRequest } from "../../src/gateway/seat-request.ts";

const request = (over: Partial<IncomingMessage>) =>
  ({ method: "GET", url: "/", headers: { host: "play.example:2567" }, ...over }) as IncomingMessage;

test.each([
  ["an ordinary request", {}, undefined],
  ["an IPv6 host", { headers: { host: "[::1]:2567" } }, undefined],
  ["a method that Colyseus does not know", { method: "TRACE" }, "NOT_ALLOWED"],
  ["no host", { headers: {} }, "BAD_REQUEST"],
  ["a host that is no host", { headers: { host: "a b" } }, "BAD_REQUEST"],
  ["a host with a port beyond all ports", { headers: { host: "a:99999" } }, "BAD_REQUEST"],
  ["an absolute target", { url: "http://other/" }, "BAD_REQUEST"],
  ["an endless target", { url: `/${"x".repeat(9_000)}` }, "BAD_REQUEST"],
  [
    "a body that does not tell its size",
    { headers: { host: "a", "transfer-encoding": "chunked" } },
    "BAD_REQUEST",
  ],
  ["a body beyond the bound", { headers: { host: "a", "content-length": "9999999" } }, "BAD_REQUEST"],
] as const)("[GATE3] %s", (_what, over, code) => {
  expect(inspect(request(over as Partial<IncomingMessage>))).toBe(code);
});

test("[GATE3] a forwarded protocol that is none does not reach Colyseus", () => {
  const given = request({ headers: { host: "a", "x-forwarded-proto": "\\" } });
  expect(inspect(given)).toBeUndefined();
  expect(given.headers["x-forwarded-proto"]).toBeUndefined();
});

test("[GATE1] the room is read from where the stock SDK puts it, behind any path, and the process id is not looked at", () => {
  const expected = {
    roomId: "room-1",
    sessionId: "s1",
    reconnectionToken: "tok",
    skipHandshake: true,
    authToken: null,
    isConnected: false,
  };
  expect(parseSeatRequest("/proc/room-1?sessionId=s1&reconnectionToken=tok&skipHandshake=1")).toEqual(
    expected,
  );
  expect(parseSeatRequest("/game/eu/proc/room-1?sessionId=s1&reconnectionToken=tok&skipHandshake=1")).toEqual(
    expected,
  );
});

test.each([
  "",
  "/",
  "/room?sessionId=a",
  "/p/r",
  "/p/r?sessionId=",
  "/p/r?sessionId=a b",
  "/p/%zz?sessionId=a",
  "//[?sessionId=a",
  "*",
])("[GATE3] %j is no seat's target", (target) => {
  expect(parseSeatRequest(target)).toBeUndefined();
});
