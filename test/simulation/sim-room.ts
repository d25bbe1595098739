// A room of the simulation: a list of numbers that only grows, each of which is given out once in a whole run, so that
// whatever is lost, doubled or brought back can be told. To checkpoints and commits it is an activation like any other.

import type { Saveable } from "../../src/checkpoint/checkpointer.ts";
import type { Committable } from "../../src/commit/committer.ts";
import { mayAct, type Phase } from "../../src/actor/phase.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";

const LISTING = { metadata: null, locked: false, private: false, unlisted: false, maxClients: 4 };

export class SimRoom implements Committable {
  readonly roomId: RoomId;
  readonly name = "sim";
  readonly epoch: Epoch;
  readonly players: number;
  readonly turn: number;
  phase: Phase = { name: "opening" };
  isCommitting = false;
  nextSeq = 1;
  nextDueMs = 0;
  nextLookMs = 0;
  unsavedSinceMs: number | undefined;
  savingSinceMs: number | undefined;
  saved: Saveable["saved"];
  base: Saveable["base"];
  isLarge = false;
  numbers: number[];
  /** What each checkpoint held, by its number. */
  readonly captured = new Map<number, readonly number[]>();

  constructor(roomId: RoomId, epoch: Epoch, numbers: number[], turn: number) {
    this.roomId = roomId;
    this.epoch = epoch;
    this.numbers = numbers;
    this.turn = turn;
    this.players = Math.floor(turn * 5);
  }

  get isActive(): boolean {
    return this.phase.name === "active";
  }

  get isOver(): boolean {
    return this.phase.name === "ended";
  }

  get mayAct(): boolean {
    return mayAct(this.phase);
  }

  get mayCommit(): boolean {
    return this.isActive;
  }

  get isGone(): boolean {
    return this.phase.name === "ended" && this.phase.why !== "disposed";
  }

  findChanges(): void {}

  capture(): ReturnType<Saveable["capture"]> {
    const numbers = [...this.numbers];
    this.captured.set(this.nextSeq, numbers); // it is the next one's
    return {
      classVersion: 0,
      layout: undefined,
      state: undefined,
      cached: numbers,
      room: LISTING,
      elapsedMs: 0,
      players: {},
      timers: undefined,
      answers: undefined,
    };
  }
}
