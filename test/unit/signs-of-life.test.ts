import { expect, test } from "vitest";
import { SignsOfLife } from "../../src/gateway/signs-of-life.ts";

test("who says something between any two looks is never asked", () => {
  const life = new SignsOfLife();
  for (let look = 0; look < 100; look++) {
    expect(life.look()).toBe("nothing");
    life.heard();
  }
});

test("who is silent and answers is asked at every other look, and stays", () => {
  const life = new SignsOfLife();
  const found: string[] = [];
  for (let look = 0; look < 9; look++) {
    const now = life.look();
    if (now === "ask") life.heard(); // the answer
    found.push(now);
  }
  const round = ["nothing", "ask"];
  expect(found).toEqual([...round, ...round, ...round, ...round, "nothing"]);
});

test("who is gone is asked twice, with two looks for each answer, and then given up", () => {
  const life = new SignsOfLife();
  life.look();
  life.heard(); // the last that was ever heard
  const found = Array.from({ length: 6 }, () => life.look());
  expect(found).toEqual(["nothing", "ask", "nothing", "ask", "nothing", "gone"]);
});
