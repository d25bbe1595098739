import { Protocol } from "@colyseus/core";
import { encode } from "@colyseus/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hasReadableType } from "../../src/colyseus/message-type.ts";

const { ROOM_DATA, ROOM_DATA_BYTES, ROOM_REQUEST, PING } = Protocol;

test("[GATE7] whatever the SDK can write is readable", () => {
  const type = fc.oneof(fc.string({ unit: "grapheme", maxLength: 400 }), fc.integer());
  fc.assert(
    fc.property(
      fc.constantFrom(ROOM_DATA, ROOM_DATA_BYTES, ROOM_REQUEST),
      type,
      fc.nat(),
      (code, name, id) => {
        const bytes = Buffer.alloc(3_000);
        bytes[0] = code;
        const it = { offset: 1 };
        if (code === ROOM_REQUEST) encode.number(bytes, id, it);
        if (typeof name === "string") encode.string(bytes, name, it);
        else encode.number(bytes, name, it);
        expect(hasReadableType(bytes.subarray(0, it.offset))).toBe(true);
        expect(hasReadableType(bytes.subarray(0, it.offset + 20)), "with something after it").toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});

test.each([
  ["a text that is none", [ROOM_DATA, 0xa2, 0xff, 0xfe]],
  ["a text that begins in the middle of a letter", [ROOM_DATA_BYTES, 0xa1, 0x80]],
  ["a text that ends in the middle of a letter", [ROOM_DATA, 0xa1, 0xc3]],
  ["a text longer than its frame", [ROOM_DATA, 0xbf, 97]],
  ["a text of an absurd length", [ROOM_DATA, 0xdb, 255, 255, 255, 255, 97]],
  ["nothing at all", [ROOM_DATA]],
  ["a request's text that is none", [ROOM_REQUEST, 0xcd, 1, 1, 0xa1, 0xff]],
])("[GATE7] %s is not", (_what, bytes) => {
  expect(hasReadableType(Buffer.from(bytes))).toBe(false);
});

test("what has no type is none of its business", () => {
  for (const bytes of [[], [PING], [31, 0xa1, 0xff]]) {
    expect(hasReadableType(Buffer.from(bytes))).toBe(true);
  }
});
