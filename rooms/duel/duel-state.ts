// What a duel is: a board of seven columns and six rows, two seats, whose turn it is and until when.
//
// Nobody ticks here: the state changes when somebody moves or a turn runs out, and not in between. The end of a turn
// is wall time, because that is the only clock that a page, this node and the next node have in common.

import { schema, t, type SchemaType } from "@colyseus/schema";

export const COLUMNS = 7;
export const ROWS = 6;

/** 0 nobody; 1 moves first in the first game, 2 second. */
export type Mark = 0 | 1 | 2;

export const Duelist = schema(
  {
    name: t.string().default(""),
    mark: t.uint8<Mark>().default(0),
    isAway: t.boolean().default(false),
    wins: t.uint16().default(0),
  },
  "Duelist",
);
export type Duelist = SchemaType<typeof Duelist>;

export const DuelState = schema(
  {
    phase: t.string<"waiting" | "playing" | "over">().default("waiting"),
    game: t.uint16().default(0),
    /** Row by row from the top, COLUMNS * ROWS marks. */
    board: t.array<Mark>("uint8"),
    /** How many marks lie on the board: a move names the number it expects, so a repeated one is known as such. */
    moves: t.uint8().default(0),
    lastColumn: t.int8().default(-1),
    turn: t.uint8<Mark>().default(0),
    /** In ms since 1970; 0 while no turn runs. */
    turnEndsAtMs: t.float64().default(0),
    /** Set when over; 0 is a draw. */
    winner: t.uint8<Mark>().default(0),
    endedBy: t.string<"" | "four" | "full" | "time" | "left">().default(""),
    /** The four (or more) cells that won. */
    line: t.array("uint8"),
    duelists: t.map(Duelist),
  },
  "DuelState",
);
export type DuelState = SchemaType<typeof DuelState>;
