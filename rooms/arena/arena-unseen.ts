// What only the server knows of a player. It is not in the state, so the room saves it by its hooks.

import { STILL, type Move } from "./arena-messages.ts";

export interface Unseen {
  move: Move;
  wantsDash: boolean;
  /** Steals in a row without being stolen from: each pays more than the one before. */
  streak: number;
}
export type UnseenBook = Map<string, Unseen>;

/** The book's entry of one player, made when it is first needed. */
export function unseenOf(unseen: UnseenBook, key: string): Unseen {
  let own = unseen.get(key);
  if (own === undefined) {
    own = { move: STILL, wantsDash: false, streak: 0 };
    unseen.set(key, own);
  }
  return own;
}
