// The duel's rules, played without a server and without waiting for a turn to run out.

import { describe, expect, test } from "vitest";
import { parseDrop } from "../../rooms/duel/duel-messages.ts";
import {
  begin,
  drop,
  endLateTurn,
  extendTurn,
  seat,
  TURN_LEFT_AFTER_RESTORE_MS,
  TURN_MS,
  unseat,
} from "../../rooms/duel/duel-rules.ts";
import { DuelState } from "../../rooms/duel/duel-state.ts";

const NOW_MS = 1_000_000;

function twoSeated(): DuelState {
  const state = new DuelState();
  seat(state, "ana", "Ana", NOW_MS);
  seat(state, "ben", "Ben", NOW_MS);
  return state;
}

/** Plays columns in turn, Ana first. */
function play(state: DuelState, columns: readonly number[]): void {
  for (const column of columns) {
    const key = state.turn === 1 ? "ana" : "ben";
    expect(drop(state, key, { column, move: state.moves }, NOW_MS)).toMatchObject({ ok: true });
  }
}

describe("seats", () => {
  test("the second player starts the game, and the first one moves", () => {
    const state = new DuelState();
    seat(state, "ana", "Ana", NOW_MS);
    expect(state.phase).toBe("waiting");
    seat(state, "ben", "Ben", NOW_MS);
    expect(state).toMatchObject({ phase: "playing", turn: 1, moves: 0, turnEndsAtMs: NOW_MS + TURN_MS });
    expect(state.board).toHaveLength(42);
  });

  test("taking a seat twice changes nothing but being there", () => {
    const state = twoSeated();
    play(state, [3]);
    const ana = state.duelists.get("ana");
    if (ana !== undefined) ana.isAway = true;
    seat(state, "ana", "Someone else", NOW_MS);
    expect(state).toMatchObject({ moves: 1, game: 1 });
    expect(ana).toMatchObject({ name: "Ana", isAway: false, mark: 1 });
  });

  test("whoever stays has won, and meets the next opponent on a clear board", () => {
    const state = twoSeated();
    play(state, [3, 3]);
    unseat(state, "ana");
    expect(state).toMatchObject({ phase: "over", winner: 2, endedBy: "left" });
    expect(state.duelists.get("ben")?.wins).toBe(1);
    seat(state, "cem", "Cem", NOW_MS);
    expect(state).toMatchObject({ phase: "playing", game: 2, moves: 0, winner: 0 });
    expect(state.duelists.get("cem")?.mark).toBe(1);
  });
});

describe("winning", () => {
  test.each([
    { what: "a row", columns: [0, 0, 1, 1, 2, 2, 3], winner: 1 },
    { what: "a column", columns: [0, 1, 0, 1, 0, 1, 0], winner: 1 },
    { what: "a rising line", columns: [0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3], winner: 1 },
    { what: "a falling line", columns: [6, 5, 5, 4, 4, 3, 4, 3, 3, 0, 3], winner: 1 },
    { what: "the second player's column", columns: [0, 1, 2, 1, 4, 1, 5, 1], winner: 2 },
  ])("$what of four ends the game", ({ columns, winner }) => {
    const state = twoSeated();
    play(state, columns);
    expect(state).toMatchObject({ phase: "over", winner, endedBy: "four", turn: 0, turnEndsAtMs: 0 });
    expect(state.line).toHaveLength(4);
  });

  test("a full board without a line is a draw", () => {
    const state = twoSeated();
    // Pairs of columns filled so that no four meet.
    const pairs = [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 2, 3, 2, 3, 3, 2, 3, 2, 2, 3, 2, 3];
    play(state, [...pairs, 4, 5, 4, 5, 5, 4, 5, 4, 4, 5, 4, 5, 6, 6, 6, 6, 6, 6]);
    expect(state).toMatchObject({ phase: "over", winner: 0, endedBy: "full", moves: 42 });
  });

  test("the other one moves first in the next game", () => {
    const state = twoSeated();
    play(state, [0, 1, 0, 1, 0, 1, 0]);
    begin(state, NOW_MS);
    expect(state).toMatchObject({ phase: "playing", turn: 2, game: 2, moves: 0 });
    expect([...state.board].every((mark) => mark === 0)).toBe(true);
  });
});

describe("moves", () => {
  test.each([
    { what: "not their turn", key: "ben", column: 0, move: 0, why: "not-your-turn" },
    { what: "a stranger", key: "eve", column: 0, move: 0, why: "not-your-turn" },
    { what: "an old board", key: "ana", column: 0, move: 3, why: "out-of-date" },
  ])("$what is refused and changes nothing", ({ key, column, move, why }) => {
    const state = twoSeated();
    const before = state.toJSON();
    expect(drop(state, key, { column, move }, NOW_MS)).toEqual({ ok: false, why });
    expect(state.toJSON()).toEqual(before);
  });

  test("a full column is refused", () => {
    const state = twoSeated();
    play(state, [3, 3, 3, 3, 3, 3]);
    expect(drop(state, "ana", { column: 3, move: 6 }, NOW_MS)).toEqual({ ok: false, why: "column-full" });
  });

  test("the same move sent again is answered as the first time, and made once", () => {
    const state = twoSeated();
    const request = { column: 4, move: 0 };
    const answer = drop(state, "ana", request, NOW_MS);
    expect(answer).toEqual({ ok: true, row: 5 });
    expect(drop(state, "ana", request, NOW_MS)).toEqual(answer);
    expect(state.moves).toBe(1);
    expect(drop(state, "ben", request, NOW_MS)).toEqual({ ok: false, why: "out-of-date" });
  });

  test("the winning move, too, may be sent again", () => {
    const state = twoSeated();
    play(state, [0, 1, 0, 1, 0, 1, 0]);
    expect(drop(state, "ana", { column: 0, move: 6 }, NOW_MS)).toEqual({ ok: true, row: 2 });
    expect(state.duelists.get("ana")?.wins).toBe(1);
  });

  test.each([
    undefined,
    null,
    "3",
    {},
    { column: 3 },
    { column: 7, move: 0 },
    { column: -1, move: 0 },
    { column: 1.5, move: 0 },
    { column: Number.NaN, move: 0 },
    { column: 3, move: 42 },
  ])("%o cannot be read as a move", (message) => {
    expect(parseDrop(message)).toBeUndefined();
  });
});

describe("the end of a turn", () => {
  test.each([
    { afterMs: TURN_MS - 1, ended: false },
    { afterMs: TURN_MS, ended: true },
    { afterMs: TURN_MS * 100, ended: true },
  ])("$afterMs ms into a turn: over is $ended", ({ afterMs, ended }) => {
    const state = twoSeated();
    expect(endLateTurn(state, NOW_MS + afterMs)).toBe(ended);
    expect(state.phase).toBe(ended ? "over" : "playing");
    if (ended) expect(state).toMatchObject({ winner: 2, endedBy: "time" });
  });

  test("a move gives the other one a whole turn", () => {
    const state = twoSeated();
    drop(state, "ana", { column: 0, move: 0 }, NOW_MS + 5_000);
    expect(state.turnEndsAtMs).toBe(NOW_MS + 5_000 + TURN_MS);
  });

  test.each([
    { awayMs: 1_000, leftMs: TURN_MS - 1_000 },
    { awayMs: TURN_MS - 10, leftMs: TURN_LEFT_AFTER_RESTORE_MS },
    { awayMs: TURN_MS * 9, leftMs: TURN_LEFT_AFTER_RESTORE_MS },
  ])("a room that was away for $awayMs ms leaves $leftMs ms to move", ({ awayMs, leftMs }) => {
    const state = twoSeated();
    extendTurn(state, NOW_MS + awayMs);
    expect(state.turnEndsAtMs).toBe(NOW_MS + awayMs + leftMs);
  });

  test("a game that is over has no turn to give", () => {
    const state = twoSeated();
    play(state, [0, 1, 0, 1, 0, 1, 0]);
    extendTurn(state, NOW_MS);
    expect(state.turnEndsAtMs).toBe(0);
  });
});
