// What comes to the internal port: without the key, with a wrong one, and with the right one, which a mistaken or older node
// would have too.

import { CALL_PATH, LISTING_PATH, CALL_VERSION_HEADER } from "../../src/colyseus/direct-line.ts";
import { headOf, KIND, LinkWriter } from "../../src/gateway/link-frames.ts";
import { VERSION_HEADER, PLAYERS_PATH } from "../../src/gateway/link-door.ts";
import type { RoomId } from "../../src/ids.ts";
import { INCARNATION_HEADER, KEY_HEADER, LINK_PATH, PROMISE_PATH } from "../../src/membership/peer-http.ts";
import type { Chance } from "./chance.ts";
import { jsonValue } from "./http-grammar.ts";

export interface IpcTarget {
  readonly key: string;
  readonly incarnation: string;
  readonly processId: string;
  readonly rooms: readonly string[];
}

/** None that would end a room or its players by right: who has the key may do that. */
const METHODS = [
  "whereAmI",
  "getInspectorView",
  "hasReachedMaxClients",
  "healthcheck",
  "constructor",
  "__proto__",
  "toString",
  "onJoin",
  "onDispose",
  "_onMessage",
  "_onLeave",
  "_events",
  "clients",
  "state",
  "presence",
  "clock",
  "_reserveSeat",
  "_reserveMultipleSeats",
  "checkReconnectionToken",
  "setState",
  "nothing",
  "",
];

export function ipcRequest(chance: Chance, target: IpcTarget): Buffer {
  const path = chance.weighted<string>([
    [8, () => CALL_PATH],
    [3, () => LISTING_PATH],
    [2, () => PROMISE_PATH],
    [1, () => `/${chance.text(20).replaceAll(/\s/gu, "")}`],
    [1, () => "/ringside/word"],
  ]);
  const body = chance.weighted<Buffer>([
    [6, () => Buffer.from(JSON.stringify(call(chance, target)))],
    [2, () => Buffer.from(JSON.stringify(jsonValue(chance, 0)))],
    [1, () => chance.bytes(0, 200)],
    [1, () => Buffer.from("[".repeat(chance.int(1, 20_000)))],
    [1, () => Buffer.from(JSON.stringify(["whereAmI", "$room", []]))],
  ]);
  const head = [
    `${chance.oneIn(10) ? chance.pick(["GET", "PUT", "TRACE"]) : "POST"} ${path} HTTP/1.1`,
    "Host: x",
    ...keyOf(chance, target),
    ...(chance.oneIn(10) ? [] : [`${CALL_VERSION_HEADER}: ${chance.oneIn(10) ? chance.text(5) : "1"}`]),
    `x-ringside-wanted: ${chance.oneIn(3) ? chance.text(20) : "nobody"}`,
    `x-ringside-for-ms: ${chance.pick(["1000", "-1", "NaN", "1e999", ""])}`,
    `Content-Length: ${chance.oneIn(40) ? body.length + 10 : body.length}`,
    ...(chance.oneIn(3) ? ["Connection: close"] : []),
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

/** A call for a link, and what is said on it if it is one. */
export function ipcLink(chance: Chance, target: IpcTarget): Buffer[] {
  const path = chance.oneIn(4) ? chance.pick([LINK_PATH, "/ringside/none"]) : PLAYERS_PATH;
  const head = [
    `GET ${path} HTTP/1.1`,
    "Host: x",
    "Connection: Upgrade",
    `Upgrade: ${chance.pick(["ringside-players", "ringside-link", "websocket"])}`,
    ...keyOf(chance, target),
    `${VERSION_HEADER}: ${chance.oneIn(8) ? chance.text(4) : "1"}`,
    `${INCARNATION_HEADER}: ${chance.oneIn(8) ? chance.text(20) : target.incarnation}`,
  ];
  const frames = Array.from({ length: chance.int(1, 20) }, () => linkFrame(chance, target));
  return [Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), ...frames];
}

function keyOf(chance: Chance, { key }: IpcTarget): string[] {
  return chance.weighted<string[]>([
    [6, () => [`${KEY_HEADER}: ${key}`]],
    [1, () => [`${KEY_HEADER}: ${chance.text(40)}`]],
    [1, () => [`${KEY_HEADER}: ${key.slice(1)}x`]],
    [1, () => []],
  ]);
}

function call(chance: Chance, { processId, rooms }: IpcTarget): unknown {
  const method = chance.pick(METHODS);
  const isForSeat = method.startsWith("_reserve") && chance.oneIn(2);
  return {
    to: chance.weighted<unknown>([
      [6, () => `$${chance.pick(rooms)}`],
      [2, () => `p:${processId}`],
      [1, () => `$${chance.text(10)}`],
      [1, () => jsonValue(chance, 2)],
    ]),
    method: chance.oneIn(10) ? jsonValue(chance, 2) : method,
    args: isForSeat
      ? [chance.text(9), jsonValue(chance, 1)]
      : chance.oneIn(6)
        ? jsonValue(chance, 1)
        : [jsonValue(chance, 2)],
  };
}

function linkFrame(chance: Chance, { rooms }: IpcTarget): Buffer {
  if (chance.oneIn(15)) return chance.bytes(1, 100);
  const writer = new LinkWriter();
  const roomId = (chance.oneIn(3) ? chance.text(10) : chance.pick(rooms)) as RoomId;
  const head = headOf(
    roomId,
    chance.pick([0, 1, 2, 1_000_000_001, -1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER]),
  );
  const kind = chance.oneIn(3)
    ? chance.pick(Object.values(KIND))
    : chance.pick([KIND.open, KIND.up, KIND.gone, KIND.resync]);
  const body = chance.oneIn(2)
    ? Buffer.from(JSON.stringify({ sessionId: chance.text(9), ...(jsonValue(chance, 0) as object) }))
    : chance.bytes(0, 60);
  writer.put(kind, head, chance.int(0, 5), body);
  const bytes = Buffer.from(writer.take());
  if (chance.oneIn(12)) bytes[chance.int(0, bytes.length - 1)] = chance.int(0, 255);
  if (chance.oneIn(20)) bytes.writeUInt32LE(chance.pick([0, 1, 0xffffffff, 40_000_000]), 0);
  return bytes;
}
