// What rooms have been promised about their state, and whether it was kept (S6, S7, S8). A room's state is a list of numbers
// that are never given out twice, so that what is missing, doubled or should not be there can be told.

import type { RoomId } from "../../src/ids.ts";
import type { Fail } from "./invariants.ts";
import type { Tables } from "./postgres/tables.ts";
import type { Witness } from "./sim-host.ts";
import type { SimRoom } from "./sim-room.ts";
import type { CheckpointWitness } from "./watched-store.ts";

type CommitState = "asked" | "acknowledged" | "refused" | "unknown";

interface Commit {
  readonly epoch: number;
  state: CommitState;
}

interface Promised {
  /** What acknowledged checkpoints held, and the epoch at which it was first saved. */
  readonly saved: Map<number, number>;
  readonly commits: Map<number, Commit>;
  /** What commits have written for the author. */
  readonly effects: Set<number>;
}

export class Ledger implements Witness, CheckpointWitness {
  readonly #rooms = new Map<RoomId, Promised>();
  readonly #note: (what: string, facts: unknown) => void;
  readonly #fail: Fail;
  #count = 0;
  acknowledged = 0;
  openings = 0;

  constructor(note: (what: string, facts: unknown) => void, fail: Fail) {
    this.#note = note;
    this.#fail = fail;
  }

  nextNumber(): number {
    return ++this.#count;
  }

  checkpointAcknowledged({ roomId, epoch }: SimRoom, numbers: readonly number[]): void {
    const { saved } = this.#of(roomId);
    for (const number of numbers) if (!saved.has(number)) saved.set(number, epoch);
  }

  commitAsked({ roomId, epoch }: SimRoom, number: number): void {
    this.#of(roomId).commits.set(number, { epoch, state: "asked" });
  }

  commitEnded({ roomId, epoch }: SimRoom, number: number, outcome: Exclude<CommitState, "asked">): void {
    const { commits, effects } = this.#of(roomId);
    commits.set(number, { epoch, state: outcome });
    this.#note(`commit ${outcome}`, { roomId, epoch, number });
    if (outcome === "acknowledged") this.acknowledged += 1;
    if (outcome === "acknowledged" && !effects.has(number)) {
      this.#fail("S7", `commit ${number} of ${roomId} was acknowledged, and is not in Postgres`);
    }
    if (outcome === "refused" && effects.has(number)) {
      this.#fail("S8", `commit ${number} of ${roomId} was refused, and is in Postgres`);
    }
  }

  /** What was promised at later epochs does not count: an operator may have taken the room while it was being opened. */
  opened(room: SimRoom): void {
    const { roomId, epoch, numbers } = room;
    this.openings += 1;
    const { commits, effects, saved } = this.#of(roomId);
    const there = new Set(numbers);
    this.#note("opened", { roomId, epoch, numbers: numbers.length });
    const breach = (id: "S6" | "S7" | "S8", what: string): void =>
      this.#fail(id, `${roomId} at epoch ${epoch} ${what}`);
    if (there.size !== numbers.length) breach("S7", "holds something twice");
    for (const [number, at] of saved) {
      if (at < epoch && !there.has(number)) breach("S6", `lacks ${number}, of an acknowledged checkpoint`);
    }
    for (const [number, { epoch: at, state }] of commits) {
      if (at >= epoch) continue;
      const isThere = there.has(number);
      if (state === "acknowledged" && !isThere) breach("S7", `lacks the acknowledged commit ${number}`);
      if (state === "refused" && isThere) breach("S8", `has the refused commit ${number}`);
      if (isThere && !effects.has(number)) breach("S8", `has commit ${number} without its effect`);
      if (!isThere && effects.has(number)) breach("S8", `lacks commit ${number}, whose effect is there`);
    }
  }

  /** A transaction has taken effect. */
  committed(before: Tables, after: Tables): void {
    if (before.effects === after.effects) return;
    for (const { room_id: roomId, number } of after.effects.slice(before.effects.length)) {
      const { commits, effects } = this.#of(roomId as RoomId);
      if (effects.has(number)) this.#fail("S7", `the effect of commit ${number} of ${roomId} is there twice`);
      if (commits.get(number)?.state === "refused") {
        this.#fail("S8", `commit ${number} of ${roomId} took effect after it was refused`);
      }
      effects.add(number);
    }
  }

  #of(roomId: RoomId): Promised {
    let promised = this.#rooms.get(roomId);
    if (promised === undefined) {
      promised = { saved: new Map(), commits: new Map(), effects: new Set() };
      this.#rooms.set(roomId, promised);
    }
    return promised;
  }
}
