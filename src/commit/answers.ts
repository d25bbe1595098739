// What a room has answered to commands, by key, so that one who asks again is given the same answer and nothing is done
// twice. The answers are part of the room's checkpoint: a command's answer becomes durable with its effects, in one commit.

import type { Room } from "@colyseus/core";
import type { SavedAnswer } from "../checkpoint/snapshot.ts";

/** How long an answer is kept, in ms of the room's own clock; the SDK tries to come back for 56 s. */
export const ANSWER_KEPT_MS = 2 * 60_000;
/**
 * Answers that a room keeps at most; past that those of whoever has the most go first. They are part of every checkpoint:
 * some 100 bytes each, and 3 us of each commit.
 */
export const ANSWERS_MAX = 500;

export class Answers {
  /** In the order they were given. */
  readonly #byKey = new Map<string, SavedAnswer>();
  /** How many of them each player has. */
  readonly #countOf = new Map<string, number>();
  /** Those of commits that may yet fail: part of the room's next checkpoint, but not to be given to anybody. */
  readonly #unsure = new Set<string>();
  /** Commands that are being carried out. */
  readonly underWay = new Map<string, Promise<unknown>>();

  /** An answer that cannot be lost any more. */
  get(key: string): SavedAnswer | undefined {
    return this.#unsure.has(key) ? undefined : this.#byKey.get(key);
  }

  /** To be followed by `confirm` or `forget`. */
  propose(answer: SavedAnswer): void {
    this.put(answer);
    this.#unsure.add(answer.key);
  }

  confirm(key: string): void {
    this.#unsure.delete(key);
  }

  put(answer: SavedAnswer): void {
    this.forget(answer.key);
    this.#byKey.set(answer.key, answer);
    this.#count(answer.key, 1);
    for (const { key, atMs } of this.#byKey.values()) {
      if (answer.atMs - atMs <= ANSWER_KEPT_MS) break;
      this.forget(key);
    }
    if (this.#byKey.size > ANSWERS_MAX) this.#forgetOne();
  }

  forget(key: string): void {
    this.#unsure.delete(key);
    if (this.#byKey.delete(key)) this.#count(key, -1);
  }

  /** The oldest of whoever has the most: nobody can push out the answers of others. */
  #forgetOne(): void {
    const most = Math.max(...this.#countOf.values());
    for (const key of this.#byKey.keys()) {
      if (this.#countOf.get(ownerOf(key)) !== most) continue;
      this.forget(key);
      return;
    }
  }

  #count(key: string, change: number): void {
    const owner = ownerOf(key);
    const count = (this.#countOf.get(owner) ?? 0) + change;
    if (count === 0) this.#countOf.delete(owner);
    else this.#countOf.set(owner, count);
  }

  all(): SavedAnswer[] {
    return [...this.#byKey.values()];
  }
}

/** Under which an answer is kept: whose it is, and the key that they chose. */
export function answerKey(owner: string, key: string): string {
  return JSON.stringify([owner, key]);
}

function ownerOf(key: string): string {
  const [owner] = JSON.parse(key) as [string, string]; // all keys are made above
  return owner;
}

const byRoom = new WeakMap<Room, Answers>();

/** A room's answers; made when first asked for. */
export function answersOf(room: Room): Answers {
  let answers = byRoom.get(room);
  if (answers === undefined) byRoom.set(room, (answers = new Answers()));
  return answers;
}

/** What a checkpoint keeps of them; undefined for a room that has given none. */
export function captureAnswers(room: Room): readonly SavedAnswer[] | undefined {
  const answers = byRoom.get(room)?.all();
  return answers === undefined || answers.length === 0 ? undefined : answers;
}

export function restoreAnswers(room: Room, saved: readonly SavedAnswer[] | undefined): void {
  for (const answer of saved ?? []) answersOf(room).put(answer);
}
