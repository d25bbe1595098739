import { Protocol, ProtocolModifier } from "@colyseus/core";
import { expect, test } from "vitest";
import { declaresTooMuch } from "../../src/colyseus/input-frame.ts";

const TIMED_INPUT = Protocol.ROOM_INPUT_UNRELIABLE | ProtocolModifier.TIMED;

test.each([
  ["a series of two in a frame of nine bytes", [TIMED_INPUT, 2, 0, 0, 0, 0, 1, 0, 0], false],
  ["an input without a series", [Protocol.ROOM_INPUT_UNRELIABLE, 200], false],
  ["an ordinary message", [Protocol.ROOM_DATA, 0xce, 0xff, 0xff, 0xff, 0x7f], false],
  ["an empty frame", [], false],
  ["a series longer than its frame", [TIMED_INPUT, 100, 0, 0, 0, 0], true],
  ["an absurd series", [TIMED_INPUT, 0xce, 0xff, 0xff, 0xff, 0x0f], true],
  ["no series at all", [TIMED_INPUT, 0], true],
])("[GATE3] %s", (_what, bytes, isTooMuch) => {
  expect(declaresTooMuch(Buffer.from(bytes))).toBe(isTooMuch);
});
