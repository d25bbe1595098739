// The rules of the duel: pure functions of the state, what is asked, and the time that the caller names.
//
// Four in a row wins. A turn has an end; whoever lets it pass loses. Sending the same move again is answered as the
// first time and changes nothing, because a client whose connection broke cannot know whether it had arrived.

import type { DropAnswer, DropRequest } from "./duel-messages.ts";
import { COLUMNS, Duelist, ROWS, type DuelState, type Mark } from "./duel-state.ts";

export const TURN_MS = 30_000;
/** What a turn has left at least when its room comes back: its players need that time to come back themselves. */
export const TURN_LEFT_AFTER_RESTORE_MS = 10_000;

/** Seats a player; the second one starts the game. A known key only comes back. */
export function seat(state: DuelState, key: string, name: string, nowMs: number): void {
  const known = state.duelists.get(key);
  if (known !== undefined) {
    known.isAway = false;
    return;
  }
  const duelist = new Duelist();
  duelist.name = name;
  duelist.mark = [...state.duelists.values()].some((other) => other.mark === 1) ? 2 : 1;
  state.duelists.set(key, duelist);
  if (state.duelists.size === 2) begin(state, nowMs);
}

/** Takes a player out for good. The other wins a game that was under way, and waits. */
export function unseat(state: DuelState, key: string): void {
  const leaving = state.duelists.get(key);
  if (leaving === undefined) return;
  if (state.phase === "playing") end(state, opponentOf(leaving.mark), "left");
  state.duelists.delete(key);
  if (state.phase !== "over") state.phase = "waiting";
}

/** Clears the board. The marks take turns at moving first, from game to game. */
export function begin(state: DuelState, nowMs: number): void {
  state.game += 1;
  state.board.clear();
  for (let cell = 0; cell < COLUMNS * ROWS; cell++) state.board.push(0);
  state.line.clear();
  state.moves = 0;
  state.lastColumn = -1;
  state.winner = 0;
  state.endedBy = "";
  state.phase = "playing";
  state.turn = state.game % 2 === 1 ? 1 : 2;
  state.turnEndsAtMs = nowMs + TURN_MS;
}

/** Drops a mark of player `key` into a column, if it is their turn and the column has room. */
export function drop(state: DuelState, key: string, request: DropRequest, nowMs: number): DropAnswer {
  const mark = state.duelists.get(key)?.mark ?? 0;
  if (mark !== 0 && request.move === state.moves - 1 && request.column === state.lastColumn) {
    const row = topRow(state, request.column);
    if (state.board[cellAt(request.column, row)] === mark) return { ok: true, row };
  }
  if (state.phase !== "playing") return { ok: false, why: "not-playing" };
  if (mark !== state.turn) return { ok: false, why: "not-your-turn" };
  if (request.move !== state.moves) return { ok: false, why: "out-of-date" };
  const row = topRow(state, request.column) - 1;
  if (row < 0) return { ok: false, why: "column-full" };

  state.board[cellAt(request.column, row)] = mark;
  state.moves += 1;
  state.lastColumn = request.column;
  const line = lineThrough(state, request.column, row);
  if (line.length > 0) {
    state.line.push(...line);
    end(state, mark, "four");
  } else if (state.moves === COLUMNS * ROWS) {
    end(state, 0, "full");
  } else {
    state.turn = opponentOf(mark);
    state.turnEndsAtMs = nowMs + TURN_MS;
  }
  return { ok: true, row };
}

/** Ends the game when its turn has run out. Whether it did. */
export function endLateTurn(state: DuelState, nowMs: number): boolean {
  if (state.phase !== "playing" || nowMs < state.turnEndsAtMs) return false;
  end(state, opponentOf(state.turn), "time");
  return true;
}

/** Gives the turn under way its least, after the room was away for nobody knows how long. */
export function extendTurn(state: DuelState, nowMs: number): void {
  if (state.phase !== "playing") return;
  state.turnEndsAtMs = Math.max(state.turnEndsAtMs, nowMs + TURN_LEFT_AFTER_RESTORE_MS);
}

function end(state: DuelState, winner: Mark, by: "four" | "full" | "time" | "left"): void {
  state.phase = "over";
  state.winner = winner;
  state.endedBy = by;
  state.turn = 0;
  state.turnEndsAtMs = 0;
  for (const duelist of state.duelists.values()) if (duelist.mark === winner) duelist.wins += 1;
}

/** The row of the topmost mark in a column; ROWS when it is empty. */
function topRow(state: DuelState, column: number): number {
  let row = 0;
  while (row < ROWS && state.board[cellAt(column, row)] === 0) row += 1;
  return row;
}

/** The cells of a line of at least four through this one, empty when there is none. */
function lineThrough(state: DuelState, column: number, row: number): number[] {
  const mark = state.board[cellAt(column, row)];
  for (const [dx, dy] of [
    [1, 0],
    [0, 1],
    [1, 1],
    [1, -1],
  ] as const) {
    const cells = [cellAt(column, row)];
    for (const way of [1, -1]) {
      for (let far = 1; ; far++) {
        const x = column + dx * far * way;
        const y = row + dy * far * way;
        if (x < 0 || x >= COLUMNS || y < 0 || y >= ROWS || state.board[cellAt(x, y)] !== mark) break;
        cells.push(cellAt(x, y));
      }
    }
    if (cells.length >= 4) return cells.sort((a, b) => a - b);
  }
  return [];
}

export function cellAt(column: number, row: number): number {
  return row * COLUMNS + column;
}

function opponentOf(mark: Mark): Mark {
  return mark === 1 ? 2 : 1;
}
