import { expect, test } from "vitest";
import { isSameAuth } from "../../src/colyseus/seat-return.ts";
import { TokenTries } from "../../src/actor/token-tries.ts";

test("[SEAT3] the first wrong tokens for a seat are answered at once, then ever later, and that is news once", () => {
  const tries = new TokenTries();
  const answers = Array.from({ length: 12 }, (_, index) => tries.wrong("room", "seat", `10.0.0.${index}`, 0));
  expect(answers.map(({ waitMs }) => waitMs)).toEqual([
    0, 0, 0, 0, 0, 125, 250, 500, 1_000, 1_000, 1_000, 1_000,
  ]);
  expect(answers.filter(({ isNews }) => isNews)).toHaveLength(1);
  expect(tries.wrong("room", "other", "10.0.0.1", 0).waitMs, "another seat").toBe(0);
  expect(tries.wrong("elsewhere", "seat", "10.0.0.1", 0).waitMs, "another room").toBe(0);
  expect(tries.wrong("room", "seat", "10.0.0.1", 60_000).waitMs, "a minute later").toBe(0);
});

test("[SEAT3] one address that tries many seats of a room is answered late as well", () => {
  const tries = new TokenTries();
  const answers = Array.from({ length: 22 }, (_, index) =>
    tries.wrong("room", `seat-${index}`, "10.0.0.1", 0),
  );
  expect(answers.map(({ waitMs }) => waitMs).slice(18)).toEqual([0, 0, 125, 250]);
  expect(tries.wrong("room", "seat-1", "10.0.0.2", 0).waitMs, "another address").toBe(0);
});

test("[SEAT3] what is counted is bounded, and so is who waits for an answer", () => {
  const tries = new TokenTries();
  for (let time = 0; time < 6; time++) tries.wrong("room", "seat", "10.0.0.1", 0);
  for (let other = 0; other < 20_000; other++) tries.wrong("room", `other-${other}`, `a-${other}`, 0);
  expect(tries.wrong("room", "seat", "10.0.0.1", 0).waitMs, "forgotten").toBe(0);
  const late = new TokenTries();
  const done = Array.from({ length: 500 }, () => late.wait());
  for (let time = 0; time < 6; time++) late.wrong("room", "seat", undefined, 0);
  expect(late.wrong("room", "seat", undefined, 0).waitMs).toBe(0);
  done[0]?.();
  expect(late.wrong("room", "seat", undefined, 0).waitMs).toBe(500);
});

test("[SEAT3] two answers of onAuth are about the same user by their id, or as a whole where there is none", () => {
  expect(isSameAuth({ id: 1, exp: 5 }, { id: 1, exp: 9 })).toBe(true);
  expect(isSameAuth({ id: 1 }, { id: 2 })).toBe(false);
  expect(isSameAuth({ sub: "a", name: "x" }, { sub: "a", name: "y" })).toBe(true);
  expect(isSameAuth({ user: "a" }, { user: "a" })).toBe(true);
  expect(isSameAuth({ user: "a" }, { user: "a", admin: true })).toBe(false);
  expect(isSameAuth({ id: 1 }, { user: "a" })).toBe(false);
  expect(isSameAuth("a", "a")).toBe(true);
  for (const nothing of [undefined, null, false]) expect(isSameAuth(nothing, nothing)).toBe(false);
});
