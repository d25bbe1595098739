import { Protocol, ProtocolModifier, Room } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { InputDecoder, InputEncoder } from "@colyseus/schema/input";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inputShapeOf, isInput, isWellFormed, type InputShape } from "../../src/colyseus/input-frame.ts";

const Move = schema(
  {
    x: t.number().default(0),
    name: t.string().default(""),
    aim: t.quantized({ min: 0, max: 1, bits: 16 }),
    fires: t.boolean().default(false),
    power: t.float32().default(0),
  },
  "Move",
);

class MoveRoom extends Room {
  override inputs = this.defineInput(Move);
}

const RELIABLE = Protocol.ROOM_INPUT_RELIABLE;
const UNRELIABLE = Protocol.ROOM_INPUT_UNRELIABLE;
const { TIMED } = ProtocolModifier;
const SHAPE = inputShapeOf(new MoveRoom()) as InputShape;

test("what is looked for is what Colyseus keeps", () => {
  expect(SHAPE.fields).toEqual(["number", "string", "uint16", "boolean", "float32"]);
  expect(SHAPE.hasTwoStamps).toBe(false);
  expect(inputShapeOf(new Room())).toBeUndefined();
});

test("[GATE7] what is no input is not looked at", () => {
  expect(isInput(Buffer.of())).toBe(false);
  expect(isInput(Buffer.of(Protocol.ROOM_DATA, 0xce, 0xff, 0xff, 0xff, 0x7f))).toBe(false);
  expect(isInput(Buffer.of(RELIABLE | TIMED))).toBe(true);
  expect(isInput(Buffer.of(UNRELIABLE | TIMED))).toBe(true);
});

describe("[GATE7] each of these is refused, in the time it takes to read it", () => {
  test.each([
    ["a series longer than its frame", [UNRELIABLE | TIMED, 65, 0, 0, 0, 0]],
    ["an absurd series", [UNRELIABLE | TIMED, 0xce, 0xff, 0xff, 0xff, 0x0f]],
    ["an endless series", [UNRELIABLE | TIMED, 0xcb, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]],
    ["no series at all", [UNRELIABLE | TIMED, 0]],
    ["a series of none", [UNRELIABLE | TIMED]],
    ["a slot that ends before it begins", [UNRELIABLE, 0, 0xd0, 0xfe]],
    ["a slot of a fraction", [UNRELIABLE, 0, 0xca, 0, 0, 0, 0x3f, 0, 0]],
    ["a slot of no number", [UNRELIABLE, 0, 0xc1]],
    ["a slot longer than its frame", [UNRELIABLE, 0, 5, 0x80, 1]],
    ["more slots than anybody sends", [UNRELIABLE, 0, ...Buffer.alloc(65)]],
    ["a frame cut short", [UNRELIABLE, 0xcd]],
    ["a field that is none", [RELIABLE, 0x85, 1]],
    ["another structure", [RELIABLE, 0xff, 0]],
    ["a text longer than its frame", [RELIABLE, 0x81, 0xdb, 0xff, 0xff, 0xff, 0xff]],
    ["a text that is none", [RELIABLE, 0x81, 0xa1, 0xff]],
    ["a number cut short", [RELIABLE, 0x84, 1, 2]],
  ])("%s", (_what, bytes) => {
    expect(isWellFormed(Buffer.from(bytes), SHAPE)).toBe(false);
  });
});

const moves = fc.array(
  fc.record({
    x: fc.oneof(fc.integer(), fc.double({ noNaN: true })),
    name: fc.string({ unit: "grapheme", maxLength: 300 }),
    aim: fc.double({ min: 0, max: 1, noNaN: true }),
    fires: fc.boolean(),
    power: fc.float({ noNaN: true }),
  }),
  { minLength: 1, maxLength: 8 },
);

test("[GATE7] whatever the SDK's encoder makes is well-formed", () => {
  fc.assert(
    fc.property(moves, fc.constantFrom("reliable" as const, "unreliable" as const), (inputs, mode) => {
      const input = new Move();
      const encoder = new InputEncoder(input, { mode, historySize: 6 });
      for (const each of inputs) {
        Object.assign(input, each);
        const body = encoder.encode();
        const code = mode === "reliable" ? RELIABLE : UNRELIABLE;
        expect(isWellFormed(Buffer.concat([Buffer.of(code), body]), SHAPE)).toBe(true);
        if (mode === "reliable") {
          expect(isWellFormed(Buffer.concat([Buffer.of(code | TIMED, 0xcd, 1, 1), body]), SHAPE)).toBe(true);
          const both = { ...SHAPE, hasTwoStamps: true };
          expect(isWellFormed(Buffer.concat([Buffer.of(code | TIMED, 7, 1, 1), body]), both)).toBe(true);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("[GATE7] whatever passes is read by Colyseus to its end, and in no more slots than are allowed", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.array(fc.constantFrom(0, 1, 2, 0x40, 0x80, 0x81, 0xa1, 0xd0, 0xfe, 0xff, 0xcb), { maxLength: 40 }),
  );
  fc.assert(
    fc.property(bytes, (body) => {
      const frame = Buffer.from([UNRELIABLE, ...body]);
      if (!isWellFormed(frame, SHAPE)) return;
      let slots = 0;
      new InputDecoder(new Move()).decodeAll(frame.subarray(1), () => {
        slots += 1;
        expect(slots).toBeLessThanOrEqual(64);
      });
    }),
    { numRuns: 20_000 },
  );
});
