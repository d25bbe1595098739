import { expect, test } from "vitest";
import { agePrint, planSeats, waitOf } from "../../src/actor/seat-plan.ts";
import type { SavedView } from "../../src/colyseus/state-views.ts";
import type { SessionId } from "../../src/ids.ts";

const seat = (sessionId: string) => ({
  sessionId: sessionId as SessionId,
  tokenHash: `hash-${sessionId}`,
  previousHash: undefined,
  isHeard: true,
  tokenNo: 1,
  loginHash: undefined,
  options: { o: 1 },
  auth: null,
});
const player = (userData?: unknown) => ({ userData });

test("[SEAT2] a player whom the saved state knows keeps the seat as it was", () => {
  const { kept, gone } = planSeats([seat("a")], { a: player({ gold: 3 }) });
  expect(kept).toEqual([{ ...seat("a"), userData: { gold: 3 }, mustRejoin: false }]);
  expect(gone).toEqual([]);
});

test("[SEAT2] a player who joined after the state was saved joins again", () => {
  const { kept, gone } = planSeats([seat("late")], {});
  expect(kept).toMatchObject([{ sessionId: "late", mustRejoin: true }]);
  expect(gone).toEqual([]);
});

test("[SEAT4] a player who left after the state was saved is taken out of it", () => {
  const { kept, gone } = planSeats([], { left: player("x") });
  expect(kept).toEqual([]);
  expect(gone).toEqual([{ sessionId: "left", userData: "x" }]);
});

test("[SEAT2] a join that the save cut in half is undone and, if it was acknowledged, done again", () => {
  const half = { half: { userData: undefined, joining: true as const } };
  expect(planSeats([], half).gone).toMatchObject([{ sessionId: "half" }]);
  const { kept, gone } = planSeats([seat("half")], half);
  expect(kept).toMatchObject([{ sessionId: "half", mustRejoin: true }]);
  expect(gone).toMatchObject([{ sessionId: "half" }]);
});

test("[CKP1] a player's view goes with the seat, and with one who is gone; onJoin makes that of one who joins again", () => {
  const view = { isIterable: true } as SavedView; // handed on as it is
  const saved = {
    a: { userData: 1, view },
    half: { userData: 2, view, joining: true as const },
    left: { userData: 3, view },
  };
  const { kept, gone } = planSeats([seat("a"), seat("half"), seat("late")], saved);
  expect(kept.map((each) => [each.sessionId, each.view, each.mustRejoin])).toEqual([
    ["a", view, false],
    ["half", undefined, true],
    ["late", undefined, true],
  ]);
  expect(gone).toEqual([
    { sessionId: "half", userData: 2, view },
    { sessionId: "left", userData: 3, view },
  ]);
});

const KNOWN = { mustRejoin: false, isHeard: true };
const AT = { hasOwnRule: true, elapsedMs: 100_000, holdMs: 60_000 };

test("[SEAT4] who was there when the node died may come back as if nothing had happened; then the room decides", () => {
  expect(waitOf(KNOWN, undefined, AT)).toEqual({ ms: 10_000, next: "tell of the drop" });
  expect(waitOf(KNOWN, undefined, { ...AT, holdMs: 2_000 })).toEqual({ ms: 2_000, next: "tell of the drop" });
  expect(waitOf(KNOWN, undefined, { ...AT, hasOwnRule: false })).toEqual({ ms: 60_000, next: "give up" });
});

test("[SEAT4] who was away has what was left of the time that the room gave them, by its own clock", () => {
  const wait = (sinceMs: number, heldMs: number) => waitOf(KNOWN, { sinceMs, heldMs }, AT);
  expect(wait(95_000, 20_000)).toEqual({ ms: 15_000, next: "give up" });
  expect(wait(95_000, 600_000)).toEqual({ ms: 595_000, next: "give up" }); // longer than SEAT_HOLD_MS
  // Nearly over, or more than over because the state is older than the crash: one more chance, never more than was given.
  expect(wait(81_000, 20_000)).toEqual({ ms: 10_000, next: "give up" });
  expect(wait(50_000, 20_000)).toEqual({ ms: 10_000, next: "give up" });
  expect(wait(99_000, 3_000)).toEqual({ ms: 3_000, next: "give up" });
  // Kept until the author says so, who cannot any more.
  expect(wait(95_000, Number.POSITIVE_INFINITY)).toEqual({ ms: 60_000, next: "give up" });
});

test("[SEAT1] a seat that its player may never have heard of waits only as long as a return takes", () => {
  expect(waitOf({ mustRejoin: true, isHeard: false }, undefined, AT)).toEqual({
    ms: 10_000,
    next: "give up",
  });
  expect(waitOf({ mustRejoin: true, isHeard: true }, undefined, AT)).toEqual({ ms: 60_000, next: "give up" });
});

test("[SEAT4] [CKP3] the clock is due each twentieth of a kept seat's time, each second at most, and never without one", () => {
  const dueAt = (heldMs: number, untilMs: number): number[] => {
    const away = [{ sinceMs: 500, heldMs }];
    const times = Array.from({ length: untilMs / 100 }, (_, index) => 500 + index * 100);
    return times.filter((ms) => agePrint(away, ms) !== agePrint(away, ms - 100) && ms > 500);
  };
  expect(dueAt(6_000, 4_000)).toEqual([1_500, 2_500, 3_500]);
  expect(dueAt(60_000, 10_000)).toEqual([3_500, 6_500, 9_500]);
  expect(dueAt(Number.POSITIVE_INFINITY, 10_000)).toEqual([]);
  expect(agePrint([], 99_999)).toBe(0);
});
