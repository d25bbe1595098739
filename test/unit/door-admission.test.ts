import { expect, test } from "vitest";
import { Admission, type Admitted, LED_MS, type Rank } from "../../src/front-door/admission.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const WAIT_MS = 10_000;

function setUp({ atOnceMax = 2, waitingMax = 100 } = {}) {
  const clock = fakeClock();
  const admission = new Admission({ clock, atOnceMax, waitingMax, waitMs: WAIT_MS });
  /** Who was let in, in order, or what became of them. */
  const told: string[] = [];
  const done = new Map<string, () => void>();
  const gone = new Map<string, () => void>();
  const come = (name: string, rank: Rank): void => {
    void admission
      .enter(rank, (leave) => gone.set(name, leave))
      .then((outcome: Admitted) => {
        told.push(typeof outcome === "string" ? `${name}: ${outcome}` : name);
        if (typeof outcome === "function") done.set(name, outcome);
      });
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    clock,
    admission,
    told,
    come,
    turn,
    finish: (name: string) => done.get(name)?.(),
    leave: (name: string) => gone.get(name)?.(),
  };
}

test("[DOOR8] while there is room nobody waits; then returning players go before those with a seat, and those before new ones", async () => {
  const { come, finish, told, turn } = setUp();
  for (const [name, rank] of [
    ["a", "new"],
    ["b", "new"],
    ["c", "new"],
    ["d", "seated"],
    ["e", "returning"],
    ["f", "returning"],
  ] as const) {
    come(name, rank);
  }
  await turn();
  expect(told).toEqual(["a", "b"]);
  for (const name of ["a", "b", "e", "f"]) {
    finish(name);
    finish(name); // counts once
    await turn();
  }
  expect(told).toEqual(["a", "b", "e", "f", "d", "c"]);
});

test("[DOOR8] nobody waits in vain: however many return, one in eight is one of the others", async () => {
  const { come, finish, told, turn } = setUp({ atOnceMax: 1, waitingMax: 1_000 });
  come("first", "new");
  come("new", "new");
  for (let index = 0; index < 50; index++) come(`r${index}`, "returning");
  await turn();
  for (let index = 0; index < 12; index++) {
    finish(told.at(-1) ?? "");
    await turn();
  }
  expect(told.indexOf("new")).toBeGreaterThan(0);
  expect(told.indexOf("new")).toBeLessThanOrEqual(9);
});

test("[DOOR8] who is led in for long, because their room is moving, holds up nobody", async () => {
  const { clock, come, told, turn } = setUp();
  for (const name of ["a", "b", "c", "d"]) come(name, "returning");
  await turn();
  expect(told).toEqual(["a", "b"]);
  clock.advance(LED_MS);
  await turn();
  expect(told).toEqual(["a", "b", "c", "d"]);
});

test("[DOOR8] the queue has a bound, waiting an end, and who has gone takes nobody's place", async () => {
  const { admission, clock, come, finish, leave, told, turn } = setUp({ atOnceMax: 1, waitingMax: 2 });
  for (const name of ["a", "b", "c", "d"]) come(name, "returning");
  await turn();
  expect(told).toEqual(["a", "d: queue"]);
  leave("b");
  await turn();
  expect(admission.waiting).toBe(1);
  come("e", "new");
  finish("a");
  await turn();
  expect(told.slice(2)).toEqual(["b: gone", "c"]);
  // Nobody finishes, and yet each is led in, in their time.
  clock.advance(LED_MS);
  await turn();
  expect(told.at(-1)).toBe("e");
});

test("[DOOR8] whose turn does not come in time is told so, and a node that leaves sends all away", async () => {
  const clock = fakeClock();
  const admission = new Admission({ clock, atOnceMax: 1, waitingMax: 1_000, waitMs: LED_MS / 2 });
  const outcomes = Array.from({ length: 3 }, () => admission.enter("returning", () => {}));
  clock.advance(LED_MS / 2);
  expect(await Promise.all(outcomes.slice(1))).toEqual(["not-in-time", "not-in-time"]);
  const last = admission.enter("new", () => {});
  admission.stop();
  expect(await last).toBe("gone");
  expect(await admission.enter("returning", () => {})).toBe("gone");
});

test("[DOOR8] it can be switched off", async () => {
  const { come, told, turn } = setUp({ atOnceMax: 0 });
  for (let index = 0; index < 500; index++) come(String(index), "new");
  await turn();
  expect(told).toHaveLength(500);
});
