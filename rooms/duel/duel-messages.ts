// What a client may ask of a duel, parsed once, here, and the answers it can get.

import { COLUMNS, ROWS } from "./duel-state.ts";

/** `move` is the number of marks the client sees on the board: it makes a repeated request recognizable. */
export interface DropRequest {
  readonly column: number;
  readonly move: number;
}

/** Why a request was refused. Part of the protocol: a released word keeps its meaning. */
export type Refusal =
  "unreadable" | "not-playing" | "not-your-turn" | "out-of-date" | "column-full" | "no-opponent";

export type DropAnswer =
  { readonly ok: true; readonly row: number } | { readonly ok: false; readonly why: Refusal };

export function parseDrop(message: unknown): DropRequest | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  // An object that is not null can be asked for any key; what comes back is checked below.
  const { column, move } = message as Readonly<Record<string, unknown>>;
  if (!isWholeBelow(column, COLUMNS) || !isWholeBelow(move, COLUMNS * ROWS)) return undefined;
  return { column, move };
}

function isWholeBelow(value: unknown, limit: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < limit;
}
