import { expect, test } from "vitest";
import { firstToken, heard, notTurned, opens, turned } from "../../src/actor/seat-token.ts";

test("[SEAT3] the newest token opens the seat, and the one that it replaced until the player has heard of the new one", () => {
  const first = firstToken("a", undefined);
  expect([opens(first, "a"), opens(first, "b")]).toEqual([true, false]);
  const second = turned(heard(first), "a", "b");
  expect([opens(second, "a"), opens(second, "b")]).toEqual([true, true]);
  expect([opens(heard(second), "a"), opens(heard(second), "b")]).toEqual([false, true]);
});

test("[SEAT3] what was used stays good, and what was sent and not heard of; all else is worth nothing", () => {
  const unheard = turned(heard(firstToken("a", undefined)), "a", "b");
  const byOld = turned(unheard, "a", "c");
  expect(["a", "b", "c"].map((hash) => opens(byOld, hash))).toEqual([true, true, true]);
  const byNew = turned(unheard, "b", "c");
  expect(["a", "b", "c"].map((hash) => opens(byNew, hash))).toEqual([false, true, true]);
  for (const token of [byOld, byNew]) {
    expect(["a", "b", "c"].map((hash) => opens(heard(token), hash))).toEqual([false, false, true]);
  }
});

test("[SEAT3] of tokens that nobody has heard of, the newest few are good", () => {
  let token = heard(firstToken("first", undefined));
  for (let count = 1; count <= 50; count++) token = turned(token, "first", `sent-${count}`);
  expect(opens(token, "first")).toBe(true);
  const good = Array.from({ length: 50 }, (_, index) => `sent-${index + 1}`).filter((hash) =>
    opens(token, hash),
  );
  expect(good).toEqual(Array.from({ length: 9 }, (_, index) => `sent-${42 + index}`));
});

test("[SEAT3] a token that could not be changed is good alone, and every change has a higher number than those before", () => {
  const first = heard(firstToken("a", "login"));
  const tried = turned(first, "a", "b");
  const kept = notTurned(tried, "a");
  expect(["a", "b"].map((hash) => opens(kept, hash))).toEqual([true, false]);
  const numbers = [firstToken("a", undefined), first, tried, heard(kept)].map(({ number }) => number);
  expect(numbers).toEqual([0, 1, 2, 3]);
  expect(heard(kept).loginHash).toBe("login");
});
