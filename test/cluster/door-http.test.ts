// The front door's HTTP side, on real nodes: what is too large, too slow, too many, or not for everybody.

import net from "node:net";
import { Client } from "@colyseus/sdk";
import { WebSocket } from "ws";
import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { head, say, upgrade } from "../kit/raw-http.ts";
import { until } from "../kit/until.ts";

const JOIN = "/matchmake/joinOrCreate/door";
const JSON_TYPE = "Content-Type: application/json";

const urlOf = (node: TestNode, path: string): string => `http://127.0.0.1:${node.publicPort}${path}`;

const post = (node: TestNode, path: string, body: BodyInit, headers: Record<string, string> = {}) =>
  fetch(urlOf(node, path), { method: "POST", body, headers, duplex: "half" } as RequestInit);

/** A body in chunks, of so many bytes. */
function chunked(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const size = Math.min(left, 16_384);
      if (size > 0) controller.enqueue(new Uint8Array(size).fill(0x20));
      else controller.close();
      left -= size;
    },
  });
}

async function refusals(node: TestNode, why: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${node.managementPort}/metrics`)).text();
  return Number(new RegExp(`ringside_door_refused_total\\{why="${why}"\\} (\\d+)`).exec(text)?.[1] ?? "-1");
}

/** That nothing went wrong inside: what nobody handles is logged. */
function expectUnharmed(cluster: TestCluster): void {
  expect(cluster.everyOutput.filter((line) => /unhandled|uncaught/i.test(line))).toEqual([]);
}

test("[DOOR1] a body beyond its bound is refused, told or in chunks; one within it arrives, also in chunks", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 1,
    env: { MATCHMAKE_BYTES_MAX: "1000", HTTP_BODY_BYTES_MAX: "100000" },
  });
  const node = cluster.node("node-a");
  const json = { "content-type": "application/json" };
  const padded = (bytes: number): string => `{"pad":"${"x".repeat(bytes - 10)}"}`;

  for (const [path, fits] of [
    ["/echo", 100_000],
    ["/router-echo", 100_000],
    [JOIN, 1_000],
  ] as const) {
    const whole = await post(node, path, padded(fits), json);
    expect(whole.status, `${path} of ${fits} bytes`).toBe(200);
    const one = await post(node, path, padded(fits + 1), json);
    expect([one.status, await one.json()], `${path} of one more`).toEqual([
      413,
      { code: "BODY_TOO_LARGE", error: "this request is larger than is taken here" },
    ]);
    const parts = await post(node, path, new Blob([padded(fits)]).stream(), json);
    expect(parts.status, `${path} in chunks`).toBe(200);
    const more = await post(node, path, chunked(fits + 1), json);
    expect(more.status, `${path} of one more, in chunks`).toBe(413);
  }
  // All of it in one packet with its headers.
  const start = head("POST /echo HTTP/1.1", "Host: x", JSON_TYPE, "Transfer-Encoding: chunked");
  const packet = `${start}${(60_000).toString(16)}\r\n${" ".repeat(60_000)}\r\n`;
  const rest = `${(60_000).toString(16)}\r\n${" ".repeat(60_000)}\r\n0\r\n\r\n`;
  expect(await say(node.publicPort, packet + rest)).toMatch(/^HTTP\/1\.1 413/);
  // Larger than what the kernel would hold: it is refused by what it says of itself, before it has come.
  const huge = await say(
    node.publicPort,
    head(`POST ${JOIN} HTTP/1.1`, "Host: x", JSON_TYPE, "Content-Length: 67108864"),
  );
  expect(huge).toMatch(/^HTTP\/1\.1 413/);
  const endless = await post(node, JOIN, chunked(64 * 1024 * 1024), json).then(
    ({ status }) => status,
    () => "cut",
  );
  expect([413, "cut"]).toContain(endless);
  expect(await refusals(node, "body")).toBe(9);
  expectUnharmed(cluster);
});

test("[DOOR1] options that are no JSON object, or not said to be one, reach nobody; whoever goes away in mid-body ends nothing", async () => {
  await using cluster = await startCluster({ game: "kit/door-game.ts", nodes: 1 });
  const node = cluster.node("node-a");
  const answers = await Promise.all(
    (
      [
        ["[1]", "application/json"],
        ["5", "application/json"],
        ["null", "application/json"],
        ["{", "application/json"],
        [`{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`, "application/json"],
        ["{}", "text/plain"], // which a foreign page may send without being asked
        ["a=1", "application/x-www-form-urlencoded"],
      ] as const
    ).map(async ([body, type]) => {
      const response = await post(node, JOIN, body, { "content-type": type });
      return [response.status, ((await response.json()) as { code: string }).code];
    }),
  );
  expect(answers).toEqual(answers.map(() => [400, "BAD_OPTIONS"]));
  const empty = await fetch(urlOf(node, JOIN), { method: "POST" });
  expect(empty.status, "no options at all are none").toBe(200);
  expect((await post(node, JOIN, chunked(0))).status, "also in no chunks").toBe(200);

  for (const path of [JOIN, "/echo", "/router-echo", "/nowhere"]) {
    await new Promise<void>((resolve) => {
      const socket = net.connect(node.publicPort, "127.0.0.1", () => {
        const start = head(`POST ${path} HTTP/1.1`, "Host: x", JSON_TYPE, "Content-Length: 500");
        socket.write(`${start}{"a":`, () => socket.resetAndDestroy());
      });
      socket.on("close", () => resolve());
    });
  }
  const room = await cluster.client(node).joinOrCreate("door");
  expectUnharmed(cluster);
  await room.leave();
});

test("[DOOR1] who sends slowly, or not at all, is told so in time and cut, wherever they dawdle", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 1,
    env: { HTTP_HEADERS_MS: "400", HTTP_REQUEST_MS: "800", HTTP_IDLE_MS: "1200" },
  });
  const node = cluster.node("node-a");
  const player = await cluster.client(node).joinOrCreate("door");
  const fromMs = performance.now();
  const body = (path: string): string =>
    head(`POST ${path} HTTP/1.1`, "Host: x", JSON_TYPE, "Content-Length: 5000");
  const heard = await Promise.all([
    say(node.publicPort, "GET / HTTP/1.1\r\nHost: x\r\n", { more: "X-A: b\r\n", everyMs: 100 }),
    say(node.publicPort, body(JOIN), { more: " ", everyMs: 100 }),
    say(node.publicPort, body("/echo"), { more: " ", everyMs: 100 }),
    say(node.publicPort, "", { silenceMs: 20_000 }),
    say(node.publicPort, `${head("GET /whoami HTTP/1.1", "Host: x").replace("Connection: close", "A: b")}`, {
      silenceMs: 20_000,
    }),
  ]);
  expect(performance.now() - fromMs).toBeLessThan(15_000);
  expect(heard.slice(0, 3).map((text) => text.slice(0, 12))).toEqual(Array(3).fill("HTTP/1.1 408"));
  expect(heard[3], "nothing said, nothing answered, or that it is late").toMatch(/^$|^HTTP\/1\.1 408/);
  expect(heard[4], "answered, and then closed when idle").toMatch(/^HTTP\/1\.1 200/);
  expect(await refusals(node, "slow")).toBeGreaterThanOrEqual(3);
  // A WebSocket may be silent for as long as it likes.
  expect(player.connection.isOpen).toBe(true);
  expectUnharmed(cluster);
  await player.leave();
});

test("[DOOR2] a room is told where its player comes from: by the connection, or by a proxy that is trusted, never by a claim", async () => {
  for (const [trusted, expected] of [
    ["", "127.0.0.1"],
    ["127.0.0.0/8", "203.0.113.9"],
  ] as const) {
    await using cluster = await startCluster({
      game: "kit/door-game.ts",
      nodes: 2,
      env: { TRUSTED_PROXIES: trusted },
    });
    const claims = {
      "x-forwarded-for": "198.51.100.1, 203.0.113.9",
      "x-real-ip": "198.51.100.1",
      "x-forwarded-proto": "https",
    };
    for (const node of cluster.nodes) {
      const said = (await (await fetch(urlOf(node, "/whoami"), { headers: claims })).json()) as {
        ip: string;
      };
      expect(said.ip).toBe(expected);
      const client = new Client(`ws://127.0.0.1:${node.publicPort}`, { headers: claims });
      const room = await client.create("door");
      const auth = await new Promise<object>((resolve) => room.onMessage("auth", resolve));
      expect(auth).toMatchObject({ ip: expected, proto: trusted === "" ? null : "https" });
      await room.leave();
    }
  }
});

test("[DOOR3] a page from elsewhere gets neither a seat nor a WebSocket, and no answer that a browser would show it", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 1,
    env: { ALLOWED_ORIGINS: "same-host,localhost,https://play.example" },
  });
  const node = cluster.node("node-a");
  const asPage = async (origin: string, path = JOIN, method = "POST") => {
    const response = await fetch(urlOf(node, path), { method, headers: { origin } });
    const { headers, status } = response;
    const shown = headers.get("access-control-allow-origin");
    const withCredentials = headers.get("access-control-allow-credentials");
    return { status, shown, withCredentials };
  };
  const upgradeAs = (origin: string): Promise<string> =>
    say(
      node.publicPort,
      upgrade("/p/some-room?sessionId=abc", `Host: 127.0.0.1:${node.publicPort}`, `Origin: ${origin}`),
    );

  for (const origin of ["https://evil.example", "null", "https://play.example.evil.example"]) {
    for (const [path, method] of [
      [JOIN, "POST"],
      [JOIN, "OPTIONS"],
      ["/whoami", "GET"],
      ["/nowhere", "GET"],
    ] as const) {
      expect(await asPage(origin, path, method), `${method} ${path} by ${origin}`).toEqual({
        status: 403,
        shown: null,
        withCredentials: null,
      });
    }
    expect(await upgradeAs(origin)).toMatch(/^HTTP\/1\.1 403/);
  }
  for (const origin of [
    `http://127.0.0.1:${node.publicPort}`,
    "http://localhost:5173",
    "https://play.example",
  ]) {
    const own = { shown: origin, withCredentials: "true" };
    expect(await asPage(origin)).toEqual({ status: 200, ...own });
    expect(await asPage(origin, JOIN, "OPTIONS")).toEqual({ status: 204, ...own });
    expect(await asPage(origin, "/nowhere", "GET")).toEqual({ status: 404, ...own });
    expect(await asPage(origin, "/monitor", "GET"), "a refusal, too").toEqual({ status: 404, ...own });
    expect(await upgradeAs(origin)).toMatch(/^HTTP\/1\.1 101/); // to be told that there is no such room
  }
  expect(await refusals(node, "origin")).toBe(15);
});

test("[DOOR3] where any page may come, a foreign one comes in nobody's name", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 1,
    env: { ALLOWED_ORIGINS: "*" },
  });
  const node = cluster.node("node-a");
  const headers = { origin: "https://elsewhere.example", cookie: "login=ada" };
  const response = await fetch(urlOf(node, "/whoami"), { headers });
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("access-control-allow-credentials")).toBeNull();
  expect(await response.json()).toMatchObject({ cookie: null });
  const room = await new Client(`ws://127.0.0.1:${node.publicPort}`, { headers }).create("door");
  const auth = await new Promise<object>((resolve) => room.onMessage("auth", resolve));
  expect(auth).toMatchObject({ cookie: null });
  await room.leave();
});

test("[DOOR4] beyond its connections a node cuts new ones, in all and of one address, and those within play on", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 1,
    env: { CONNECTIONS_MAX: "40", CONNECTIONS_PER_ADDRESS_MAX: "5", TRUSTED_PROXIES: "127.0.0.0/8" },
  });
  const node = cluster.node("node-a");
  const from = (address: string) =>
    new Client(`ws://127.0.0.1:${node.publicPort}`, { headers: { "x-forwarded-for": address } });
  const { roomId } = await from("203.0.113.1").create("door");
  const rooms = [];
  for (let count = 1; count < 5; count++) rooms.push(await from("203.0.113.1").joinById(roomId));
  await expect(from("203.0.113.1").joinById(roomId)).rejects.toThrow();
  expect(await refusals(node, "address-connections")).toBe(1);
  const other = await from("203.0.113.2").joinById(roomId);
  expect(other.connection.isOpen, "another address is not concerned").toBe(true);
  await rooms[0]?.leave();
  const again = await until("one has left, one may come", () => from("203.0.113.1").joinById(roomId));
  expect(again.connection.isOpen).toBe(true);

  const idle = Array.from({ length: 60 }, () => net.connect(node.publicPort, "127.0.0.1"));
  const cut = new Set<net.Socket>();
  for (const socket of idle) socket.on("error", () => {}).on("close", () => cut.add(socket));
  await until("those beyond the bound are cut", () => cut.size >= 25);
  expect(cut.size).toBeLessThan(60);
  expect(await refusals(node, "all-connections")).toBe(cut.size);
  expect(other.connection.isOpen).toBe(true);
  for (const socket of idle) socket.destroy();
  const late = await until("there is room again", () => from("203.0.113.3").joinById(roomId));
  expect(late.connection.isOpen).toBe(true);
});

test("[DOOR7] Colyseus's panels are not on the public port, wherever they are mounted; they are for operators with the token, and on the management port", async () => {
  for (const token of ["", "token-of-the-operators"]) {
    await using cluster = await startCluster({
      game: "kit/door-game.ts",
      nodes: 1,
      env: { PANEL_TOKEN: token },
    });
    const node = cluster.node("node-a");
    const statusOf = async (path: string, authorization?: string): Promise<number> => {
      const headers = authorization === undefined ? {} : { authorization };
      return (await fetch(urlOf(node, path), { headers })).status;
    };
    const paths = ["/monitor/rooms", "/hidden/ops/rooms", "/everywhere/rooms"];
    const basic = (text: string): string => `Basic ${Buffer.from(`ops:${text}`).toString("base64")}`;
    const shut = token === "" ? [404, 404, 404] : [401, 404, 404];
    expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual(shut);
    expect(await Promise.all(paths.map((path) => statusOf(path, basic("wrong"))))).toEqual(shut);
    const shown = token === "" ? [404, 404, 404] : [200, 200, 200];
    expect(await Promise.all(paths.map((path) => statusOf(path, basic(token))))).toEqual(shown);
    const managed = await fetch(`http://127.0.0.1:${node.managementPort}/monitor/rooms`);
    expect(await managed.json()).toEqual({ panel: "open" });
    expect((await fetch(`http://127.0.0.1:${node.managementPort}/livez`)).status).toBe(200);
    // An operator's browser that is told to by somebody else's page: it knows the password, and names no Origin for an image.
    for (const site of ["cross-site", "same-site", "same-origin", "none"]) {
      const asked = { authorization: basic(token), "sec-fetch-site": site };
      const statuses = paths.map(async (path) => (await fetch(urlOf(node, path), { headers: asked })).status);
      const isOwn = site === "same-origin" || site === "none";
      expect(await Promise.all(statuses), site).toEqual(isOwn || token === "" ? shown : [403, 404, 404]);
      const monitor = await fetch(`http://127.0.0.1:${node.managementPort}/monitor/rooms`, {
        headers: asked,
      });
      expect(monitor.status, site).toBe(isOwn ? 200 : 403);
    }
    expect(await statusOf("/whoami"), "the game's own routes").toBe(200);
  }
});

test("[DOOR2] an upgrade is looked at as a request is", async () => {
  await using cluster = await startCluster({ game: "kit/door-game.ts", nodes: 1 });
  const node = cluster.node("node-a");
  const target = "/p/some-room?sessionId=abc";
  const many = Array.from({ length: 120 }, (_, index) => `X-${index}: a`);
  expect(await say(node.publicPort, upgrade(target, "Host: x", ...many))).toMatch(/^HTTP\/1\.1 431/);
  expect(await say(node.publicPort, upgrade(target, "Host: x", `X: ${"y".repeat(20_000)}`))).toMatch(
    /^HTTP\/1\.1 431/,
  );
  expect(await say(node.publicPort, upgrade(target, "Host: x", "Content-Length: 5"))).toMatch(
    /^HTTP\/1\.1 400/,
  );
  const socket = new WebSocket(`ws://127.0.0.1:${node.publicPort}${target}`, { headers: { host: "a b" } });
  const refused = await new Promise((resolve) => socket.once("error", resolve));
  expect(String(refused)).toContain("400");
});
