// HTTP requests and upgrades: most nearly right, wrong in one place or two.

import type { Chance } from "./chance.ts";

const METHODS = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"];
const ODD_METHODS = ["TRACE", "CONNECT", "BREW", "get", "PRI", "G\x00T", "", "M-SEARCH"];
const JOINS = [
  "joinOrCreate",
  "create",
  "join",
  "joinById",
  "reconnect",
  "consumeSeatReservation",
  "__proto__",
];
const ROOMS = ["arena", "target", "inputs", "nothing", "constructor", "__proto__", "%00", ".."];
const PATHS = [
  "/",
  "/index.html",
  "/favicon.ico",
  "/matchmake",
  "/matchmake/",
  "/colyseus",
  "/monitor",
  "/playground",
];
const HOSTS = [
  "localhost",
  "127.0.0.1:2567",
  "[::1]",
  "[::1",
  "a b",
  "x:99999",
  "ex ample.com:",
  "",
  "\xff",
  "a".repeat(300),
];
const PROTOCOLS = ["http", "https", "ht tp:/", "javascript", "https,http", "\x01"];
const ADDRESSES = [
  "10.0.0.1",
  "::1",
  "999.1.1.1",
  "unknown",
  "10.0.0.1, 10.0.0.2",
  "x".repeat(2_000),
  ",,,,",
  "[::",
];
const TYPES = [
  "application/json",
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data",
  'a/b;c="',
];

export interface HttpRequest {
  readonly bytes: Buffer;
  /** Whether whoever reads it can say where it ends. */
  readonly isSound: boolean;
}

/** @param rooms rooms that are there */
export function httpRequest(chance: Chance, rooms: readonly string[], isLast: boolean): HttpRequest {
  if (chance.oneIn(60)) return { bytes: chance.bytes(1, 400), isSound: false };
  const isUpgrade = chance.oneIn(4);
  const body = isUpgrade ? Buffer.alloc(0) : bodyOf(chance);
  const isOdd = chance.oneIn(40);
  const method =
    isUpgrade && !isOdd
      ? "GET"
      : isOdd
        ? chance.pick(ODD_METHODS)
        : body.length > 0
          ? "POST"
          : chance.pick(METHODS);
  const head = [
    `${method} ${target(chance, rooms, isUpgrade)} ${chance.oneIn(60) ? chance.pick(["HTTP/1.0", "HTTP/2.0", "HTTP/9.9", ""]) : "HTTP/1.1"}`,
    ...headers(chance, isUpgrade, isLast),
  ];
  let isSound = !isOdd && !isUpgrade;
  let sent = body;
  if (body.length > 0 || chance.oneIn(6)) {
    const way = chance.int(0, 40);
    if (way === 0) {
      head.push(
        `Content-Length: ${chance.pick(["-1", "x", "99999999999999999999", "5, 6", String(body.length + 50)])}`,
      );
      isSound = false;
    } else if (way === 1) {
      head.push(`Content-Length: ${body.length}`, "Transfer-Encoding: chunked");
      isSound = false;
    } else if (way <= 5) {
      head.push(`Transfer-Encoding: ${chance.oneIn(5) ? chance.text(10) : "chunked"}`);
      sent = chunked(chance, body);
      isSound = false;
    } else head.push(`Content-Length: ${body.length}`);
  }
  const end = chance.oneIn(50) ? "\n\n" : "\r\n\r\n";
  const bytes = Buffer.concat([
    Buffer.from(head.join(chance.oneIn(50) ? "\n" : "\r\n") + end, "latin1"),
    sent,
  ]);
  if (chance.oneIn(40)) bytes[chance.int(0, bytes.length - 1)] = chance.int(0, 255);
  if (chance.oneIn(40)) return { bytes: bytes.subarray(0, chance.int(0, bytes.length)), isSound: false };
  return { bytes, isSound };
}

function target(chance: Chance, rooms: readonly string[], isUpgrade: boolean): string {
  if (chance.oneIn(30))
    return chance.pick([
      "*",
      "//[",
      "http://[",
      "/%E0%A4%A",
      "/\x00",
      "",
      "?",
      "/..%2f..",
      `/${"a".repeat(9_000)}`,
    ]);
  if (isUpgrade) {
    const room = chance.oneIn(2) ? chance.pick(rooms) : chance.text(20).replaceAll(/\s/gu, "_");
    const query = [`sessionId=${chance.oneIn(3) ? "nobody" : encodeURIComponent(chance.text(12))}`];
    if (chance.oneIn(2)) query.push(`reconnectionToken=${encodeURIComponent(chance.text(60))}`);
    if (chance.oneIn(3)) query.push("skipHandshake=1");
    if (chance.oneIn(3)) query.push(`_authToken=${encodeURIComponent(chance.text(200))}`);
    if (chance.oneIn(20)) query.push(`sessionId=${"x".repeat(3_000)}`);
    return `/${chance.oneIn(5) ? chance.text(8).replaceAll(/\s/gu, "") : "x"}/${room}?${query.join("&")}`;
  }
  if (chance.oneIn(3)) return chance.pick(PATHS);
  const name = chance.oneIn(3) ? chance.pick(rooms) : chance.pick(ROOMS);
  return `/matchmake/${chance.pick(JOINS)}/${name}${chance.oneIn(5) ? `?${chance.text(30).replaceAll(/\s/gu, "+")}` : ""}`;
}

function headers(chance: Chance, isUpgrade: boolean, isLast: boolean): string[] {
  const all: string[] = [];
  if (!chance.oneIn(50)) all.push(`Host: ${chance.oneIn(12) ? chance.pick(HOSTS) : "localhost"}`);
  if (chance.oneIn(8)) all.push(`X-Forwarded-Proto: ${chance.pick(PROTOCOLS)}`);
  if (chance.oneIn(8)) all.push(`X-Forwarded-For: ${chance.pick(ADDRESSES)}`);
  if (chance.oneIn(8)) all.push(`X-Forwarded-Host: ${chance.pick(HOSTS)}`);
  if (chance.oneIn(8))
    all.push(`Origin: ${chance.pick(["null", "http://evil.example", "x", "http://[", "file://"])}`);
  if (chance.oneIn(8))
    all.push(
      `Authorization: ${chance.pick(["Bearer", "Bearer x", `Bearer ${chance.text(300)}`, "Basic !"])}`,
    );
  if (chance.oneIn(12)) all.push(`Cookie: ${chance.text(200)}`);
  if (chance.oneIn(12)) all.push(`${chance.text(12)}: ${chance.text(40)}`);
  if (chance.oneIn(300)) all.push(`X-Long: ${"y".repeat(20_000)}`);
  if (chance.oneIn(300)) for (let i = 0; i < 300; i++) all.push(`X-${i}: 1`);
  if (chance.oneIn(20)) all.push(`Expect: ${chance.pick(["100-continue", "200-ok"])}`);
  if (isUpgrade) {
    all.push(`Connection: ${chance.oneIn(20) ? chance.text(10) : "Upgrade"}`);
    all.push(`Upgrade: ${chance.oneIn(15) ? chance.pick(["h2c", "websocket, h2c", ""]) : "websocket"}`);
    all.push(`Sec-WebSocket-Version: ${chance.oneIn(15) ? chance.pick(["8", "0", "x", "13, 8"]) : "13"}`);
    if (!chance.oneIn(15))
      all.push(`Sec-WebSocket-Key: ${chance.oneIn(10) ? chance.text(30) : "AAAAAAAAAAAAAAAAAAAAAA=="}`);
    if (chance.oneIn(8))
      all.push(
        `Sec-WebSocket-Extensions: ${chance.pick(["permessage-deflate", ";;;", `${chance.text(50)}`])}`,
      );
    if (chance.oneIn(8))
      all.push(`Sec-WebSocket-Protocol: ${chance.pick(["a, b", ",", "", chance.text(20)])}`);
  } else {
    all.push(`Content-Type: ${chance.oneIn(6) ? chance.pick(TYPES) : "application/json"}`);
    if (isLast) all.push("Connection: close");
  }
  return all;
}

function bodyOf(chance: Chance): Buffer {
  return chance.weighted<Buffer>([
    [6, () => Buffer.alloc(0)],
    [6, () => Buffer.from(JSON.stringify(jsonValue(chance, 0)))],
    [2, () => Buffer.from(`{"a"${chance.text(20)}`)],
    [1, () => Buffer.from("[".repeat(chance.int(1, 5_000)))],
    [1, () => chance.bytes(1, 300)],
    [0.1, () => Buffer.alloc(100_000, "x")],
  ]);
}

const KEYS = [
  "name",
  "sessionId",
  "reconnectionToken",
  "roomId",
  "__proto__",
  "constructor",
  "toString",
  "auth",
  "ringside:roomId",
  "x",
];

export function jsonValue(chance: Chance, depth: number): unknown {
  return chance.weighted<unknown>([
    [2, () => chance.text(20)],
    [2, () => chance.int(-5, 1_000)],
    [1, () => chance.pick([null, true, false, 1e308, -1, 0.5, ""])],
    [
      depth > 3 ? 0 : 3,
      () =>
        Object.fromEntries(
          Array.from({ length: chance.int(0, 4) }, () => [chance.pick(KEYS), jsonValue(chance, depth + 1)]),
        ),
    ],
    [depth > 3 ? 0 : 1, () => Array.from({ length: chance.int(0, 4) }, () => jsonValue(chance, depth + 1))],
  ]);
}

function chunked(chance: Chance, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const part = body.subarray(at, at + chance.int(1, 60));
    at += part.length;
    const size = chance.oneIn(20)
      ? chance.pick(["-1", "zz", "ffffffffffffffff", "0x10"])
      : part.length.toString(16);
    parts.push(Buffer.from(`${size}${chance.oneIn(20) ? ";ext=1" : ""}\r\n`), part, Buffer.from("\r\n"));
  }
  if (!chance.oneIn(10)) parts.push(Buffer.from("0\r\n\r\n"));
  return Buffer.concat(parts);
}
