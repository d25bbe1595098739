// The gate of a gateway: a room's newest activation speaks, and no other.

import { expect, test } from "vitest";
import { EpochGate } from "../../src/gateway/epoch-gate.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";

const [A, B] = ["a" as RoomId, "b" as RoomId];
const epoch = (value: number): Epoch => value as Epoch;

test("[OWN4] [GATE2] an activation may speak until a newer one has, and never after", () => {
  const gate = new EpochGate();
  expect(gate.newest(A)).toBeUndefined();
  expect([3, 3, 5, 4, 3, 5, 6].map((value) => gate.admits(A, epoch(value)))).toEqual([
    true,
    true,
    true,
    false,
    false,
    true,
    true,
  ]);
  expect(gate.newest(A)).toBe(6);
  expect(gate.admits(B, epoch(1)), "another room").toBe(true);
});

test("what nobody here is in any more is forgotten, and may begin anew", () => {
  const gate = new EpochGate();
  gate.admits(A, epoch(9));
  gate.forget(A);
  expect(gate.newest(A)).toBeUndefined();
  expect(gate.admits(A, epoch(1))).toBe(true);
});
