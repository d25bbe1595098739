import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { inspect } from "../../src/front-door/request-rules.ts";
import { parseSeatRequest } from "../../src/gateway/seat-request.ts";

const request = (over: Partial<IncomingMessage>) =>
  ({
    method: "GET",
    url: "/",
    headers: { host: "play.example:2567" },
    rawHeaders: ["Host", "play.example:2567"],
    ...over,
  }) as IncomingMessage;
const SIZES = { matchmakeBytesMax: 1_000, httpBodyBytesMax: 100_000 };

test.each([
  ["an ordinary request", {}, undefined],
  ["an IPv6 host", { headers: { host: "[::1]:2567" } }, undefined],
  ["a method that Colyseus does not know", { method: "TRACE" }, "NOT_ALLOWED"],
  ["no host", { headers: {} }, "BAD_REQUEST"],
  ["a host that is no host", { headers: { host: "a b" } }, "BAD_REQUEST"],
  ["a host with a port beyond all ports", { headers: { host: "a:99999" } }, "BAD_REQUEST"],
  ["an absolute target", { url: "http://other/" }, "BAD_REQUEST"],
  ["an endless target", { url: `/${"x".repeat(9_000)}` }, "BAD_REQUEST"],
  ["a backslash that URLs take for a slash", { url: "/\\monitor" }, "BAD_REQUEST"],
  ["dots that lead back", { url: "/x/../matchmake/create/a" }, "BAD_REQUEST"],
  ["dots that lead back, encoded", { url: "/x/.%2E/matchmake/create/a" }, "BAD_REQUEST"],
  ["dots that lead nowhere", { url: "/./matchmake/create/a" }, "BAD_REQUEST"],
  ["dots at the end", { url: "/x/%2e%2e" }, "BAD_REQUEST"],
  ["dots that are part of a name", { url: "/.well-known/a..b/v1.2/...?from=/../" }, undefined],
  ["more headers than anybody sends", { rawHeaders: Array<string>(202).fill("x") }, "HEADERS_TOO_LARGE"],
  [
    "a body within the bound",
    { method: "POST", headers: { host: "a", "content-length": "99999" } },
    undefined,
  ],
  [
    "a body beyond the bound",
    { method: "POST", headers: { host: "a", "content-length": "100001" } },
    "BODY_TOO_LARGE",
  ],
  [
    "options of a join beyond theirs",
    { method: "POST", url: "/matchmake/join/a", headers: { host: "a", "content-length": "1001" } },
    "BODY_TOO_LARGE",
  ],
] as const)("[GATE3] [DOOR1] %s", (_what, over, code) => {
  expect(inspect(request(over as Partial<IncomingMessage>), SIZES)).toBe(code);
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
