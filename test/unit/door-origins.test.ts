import { describe, expect, test } from "vitest";
import { AllowedOrigins, corsHeaders } from "../../src/front-door/origins.ts";

describe("[DOOR3] a page", () => {
  const usual = new AllowedOrigins("same-host,localhost");
  const listed = new AllowedOrigins("https://play.example, https://*.games.example, null");
  const any = new AllowedOrigins("*, https://play.example");

  test.each([
    ["that is none is not looked at", usual, undefined, "play.example", "none"],
    ["that was served from here may", usual, "https://play.example", "play.example", "allowed"],
    [
      "that was served from here may, whatever the case",
      usual,
      "https://Play.Example",
      "play.EXAMPLE",
      "allowed",
    ],
    ["on the standard port is from here, too", usual, "https://play.example", "play.example:443", "allowed"],
    ["from another port is not from here", usual, "https://play.example:8443", "play.example", "refused"],
    ["from another port of this machine may", usual, "http://localhost:5173", "127.0.0.1:2567", "allowed"],
    [
      "of somebody's own machine may not, to a cluster elsewhere",
      usual,
      "http://localhost:5173",
      "play.example",
      "refused",
    ],
    ["from elsewhere may not", usual, "https://evil.example", "play.example", "refused"],
    ["without an origin of its own may not", usual, "null", "play.example", "refused"],
    ["whose origin is none may not", usual, "https://play.example/x", "play.example", "refused"],
    ["with an endless origin may not", listed, `https://${"a".repeat(600)}.games.example`, "x", "refused"],
    ["that is listed may", listed, "https://play.example", "x", "allowed"],
    ["that is listed as null may", listed, "null", "x", "allowed"],
    ["of a listed domain may", listed, "https://a.b.games.example", "x", "allowed"],
    ["of a domain with a listed ending may not", listed, "https://evilgames.example", "x", "refused"],
    ["of the listed domain itself may not", listed, "https://games.example", "x", "refused"],
    ["that is not listed may not, though it was served from here", listed, "https://x", "x", "refused"],
    ["is a stranger where any may", any, "https://evil.example", "x", "stranger"],
    ["that is listed is none, where any may", any, "https://play.example", "x", "allowed"],
  ] as const)("%s", (_what, origins, origin, host, verdict) => {
    expect(origins.judge(origin, host)).toBe(verdict);
  });

  test.each([
    "play.example",
    "https://play.example/",
    "ftp://*.x",
    "https://*",
    "https://a*.example",
    "https://*.a.*",
  ])("cannot be listed as %j", (entry) => expect(() => new AllowedOrigins(entry)).toThrow(entry));

  test("is told only what it may see, and that credentials are for those who are allowed", () => {
    expect(corsHeaders("https://a.example", "allowed")).toMatchObject({
      "access-control-allow-origin": "https://a.example",
      "access-control-allow-credentials": "true",
      vary: "Origin",
    });
    expect(corsHeaders("https://a.example", "stranger")).toEqual({
      "access-control-allow-origin": "*",
      vary: "Origin",
    });
    expect(corsHeaders("https://a.example", "refused")).toEqual({ vary: "Origin" });
  });
});
