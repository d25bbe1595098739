// What clients may send to an arena, and what becomes of what they may not.

import { describe, expect, test } from "vitest";
import { NAME_LENGTH_MAX, parseMove, parseName } from "../../rooms/arena/arena-messages.ts";

describe("parseMove", () => {
  test.each([
    { x: 0, y: 0 },
    { x: 0.5, y: -0.5 },
    { x: -1, y: 0 },
  ])("takes $x, $y as it is", (move) => {
    expect(parseMove(move)).toEqual(move);
  });

  test.each([
    { x: 100, y: 0 },
    { x: 1, y: 1 },
    { x: -1e150, y: 1e150 },
  ])("cuts $x, $y to the length of one", (move) => {
    const cut = parseMove(move);
    expect(Math.hypot(cut?.x ?? 0, cut?.y ?? 0)).toBeCloseTo(1);
  });

  test.each([
    undefined,
    null,
    7,
    "left",
    [],
    {},
    { x: 1 },
    { x: "1", y: 0 },
    { x: Number.NaN, y: 0 },
    { x: 0, y: Infinity },
    { x: Number.MAX_VALUE, y: Number.MAX_VALUE },
    { x: { valueOf: (): number => 1 }, y: 0 },
  ])("ignores %o", (message) => {
    expect(parseMove(message)).toBeUndefined();
  });
});

describe("parseName", () => {
  test.each([
    [{ name: "Ana" }, "Ana"],
    [{ name: "  two   words " }, "two words"],
    [{ name: "<b>x</b>" }, "<b>x</b>"],
    [{ name: "a\u0000b\u202ec\n" }, "abc"],
    [{ name: "" }, "Guest"],
    [{ name: " \u200b " }, "Guest"],
    [{ name: 5 }, "Guest"],
    [undefined, "Guest"],
    [null, "Guest"],
    ["Ana", "Guest"],
  ])("reads %o as %s", (options, name) => {
    expect(parseName(options)).toBe(name);
  });

  test("counts characters, not their halves, and cuts a long name", () => {
    expect(Array.from(parseName({ name: "🦊".repeat(40) }))).toHaveLength(NAME_LENGTH_MAX);
  });
});
