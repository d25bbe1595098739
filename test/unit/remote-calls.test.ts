import { Room } from "@colyseus/core";
import { expect, test } from "vitest";
import {
  parseRequest,
  refusedByProcess,
  refusedByRoom,
  ROOM_FIELDS,
} from "../../src/colyseus/remote-calls.ts";

class BaseGame extends Room {
  scores = [1, 2];
  add = (a: number, b: number): number => a + b;
  protected secretly(): string {
    return "protected is a word of the compiler's";
  }
  inherited(): string {
    return "of a class between";
  }
}

class Game extends BaseGame {
  override onJoin(): void {}
  override onUncaughtException = (): void => {};
  get worth(): number {
    throw new Error("a getter may do anything");
  }
  whereAmI(): number {
    return 1;
  }
  _internal(): void {}
}

const room = new Game();
Object.defineProperty(room, "_reserveSeat", { value: () => true, enumerable: false });
const refused = (method: string | undefined, args?: readonly unknown[]): string | undefined =>
  refusedByRoom(room, { to: "$room", method, args });

test.each([
  ["whereAmI", ["there"]],
  ["inherited", []],
  ["secretly", []],
  ["add", [1, 2]],
  ["scores", undefined],
  ["metadata", undefined],
  ["disconnect", [4000]],
  ["lock", []],
  ["getInspectorView", []],
  ["_reserveSeat", ["session", { name: "a" }, null]],
  [
    "_reserveMultipleSeats",
    [
      ["a", "b"],
      [{}, {}],
      [null, null],
    ],
  ],
  ["checkReconnectionToken", ["token"]],
])("[IPC1] a room does %s", (method, args) => {
  expect(refused(method, args as unknown[] | undefined)).toBeUndefined();
});

test.each([
  ["constructor", ["return process"]],
  ["__proto__", undefined],
  ["__defineGetter__", ["x", null]],
  ["hasOwnProperty", ["x"]],
  ["toString", []],
  ["worth", undefined],
  ["worth", []],
  ["_internal", []],
  ["_onMessage", [{}, {}]],
  ["_onLeave", [{}]],
  ["_events", undefined],
  ["onJoin", [{}]],
  ["onAuth", []],
  ["onUncaughtException", []],
  ["setState", [{}]],
  ["setSerializer", [{}]],
  ["onMessage", ["x", null]],
  ["presence", undefined],
  ["clock", undefined],
  ["clients", ["x"]],
  ["scores", []],
  ["nothing", []],
  ["", []],
  [undefined, []],
  ["_reserveSeat", []],
  ["_reserveSeat", ["session", {}, null, 1e9, true]],
  ["_reserveSeat", [{ toString: 1 }, {}]],
  ["_reserveSeat", ["no name", {}]],
  ["_reserveSeat", undefined],
  ["_reserveMultipleSeats", [["a", "b"], [{}], [null, null]]],
  ["_reserveMultipleSeats", ["ab", [], []]],
  ["checkReconnectionToken", [{}]],
])("[IPC1] a room does not do %s(%j)", (method, args) => {
  expect(refused(method, args as unknown[] | undefined)).toEqual(expect.any(String));
});

test("what is said to be a field of every room is one, and no other is left out", () => {
  const plain = Object.keys(new Room()).filter((name) => !name.startsWith("_"));
  expect(plain.filter((name) => !ROOM_FIELDS.has(name) && !(name in Room.prototype))).toEqual([]);
});

test("[IPC1] a process creates rooms and says that it lives, and nothing else", () => {
  const ask = (method: string | undefined, args: unknown[]): string | undefined =>
    refusedByProcess({ to: "p:x", method, args });
  expect(ask("healthcheck", [])).toBeUndefined();
  expect(ask(undefined, ["arena", { any: 1 }, null, "room-id"])).toBeUndefined();
  expect(ask(undefined, ["arena", null])).toBeUndefined();
  for (const [method, args] of [
    ["exit", []],
    ["constructor", []],
    [undefined, []],
    [undefined, [7]],
    [undefined, ["arena", "options"]],
    [undefined, ["arena", {}, "restored", "id"]],
    [undefined, ["arena", {}, null, "../id"]],
    [undefined, ["arena", {}, null, "id", 1]],
  ] as const) {
    expect(ask(method, [...args]), JSON.stringify(args)).toEqual(expect.any(String));
  }
});

test("[IPC1] what is no request is none", () => {
  const good = { to: "$room", method: "add", args: [1] };
  expect(parseRequest(good)).toEqual(good);
  expect(parseRequest({ to: "p:process", args: ["arena"] })).toMatchObject({ method: undefined });
  expect(parseRequest({ ...good, args: null, method: null })).toMatchObject({
    args: undefined,
    method: undefined,
  });
  for (const bad of [
    undefined,
    null,
    7,
    "text",
    [],
    [good],
    {},
    { ...good, to: 7 },
    { ...good, to: "room" },
    { ...good, to: "ipc:room" },
    { ...good, to: "$room\r\nx" },
    { ...good, to: "$" },
    { ...good, method: 7 },
    { ...good, method: ["add"] },
    { ...good, method: "x".repeat(1_000) },
    { ...good, args: "x" },
    { ...good, args: { length: 1 } },
    { ...good, args: Array.from({ length: 100 }) },
  ]) {
    expect(parseRequest(bad), JSON.stringify(bad)).toBeUndefined();
  }
});
