// Where checkpoints go. Every save carries the epoch of the activation that made it, and a stale one changes nothing.

import type { Epoch, Incarnation, RoomId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";

export interface Checkpoint {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly seq: number;
  /** As they are stored. */
  readonly bytes: Uint8Array;
  /** The checkpoint that it stands on; undefined for a whole one. */
  readonly baseSeq: number | undefined;
  /** Whether it outlives the last generations, as a base and in the room's history. */
  readonly isKept: boolean;
  /** How large the room is: the bytes of a snapshot's body. */
  readonly bodyBytes: number;
  readonly players: number;
  readonly classVersion: number;
}

export class CheckpointStore {
  readonly #database: Database;
  readonly #self: Incarnation;
  readonly #generations: number;

  /** @param generations how many checkpoints of a room are kept beside its history */
  constructor(database: Database, self: Incarnation, generations: number) {
    this.#database = database;
    this.#self = self;
    this.#generations = generations;
  }

  /**
   * Saves many rooms in one statement.
   *
   * @returns the rooms that were saved; one that is missing has a newer activation, and nothing of it was written
   * @throws when Postgres refused or could not be reached; whether it was written is then unknown
   */
  async save(checkpoints: readonly Checkpoint[]): Promise<Set<RoomId>> {
    const rows = await this.#database.run<{ room_id: RoomId }>("save-checkpoints", [
      checkpoints.map((checkpoint) => checkpoint.roomId),
      checkpoints.map((checkpoint) => checkpoint.epoch),
      checkpoints.map((checkpoint) => checkpoint.seq),
      checkpoints.map((checkpoint) => checkpoint.bytes),
      checkpoints.map((checkpoint) => checkpoint.baseSeq ?? null),
      checkpoints.map((checkpoint) => checkpoint.isKept),
      checkpoints.map((checkpoint) => checkpoint.bodyBytes),
      checkpoints.map((checkpoint) => checkpoint.players),
      checkpoints.map((checkpoint) => checkpoint.classVersion),
      this.#self,
      this.#generations,
    ]);
    return new Set(rows.map((row) => row.room_id));
  }
}
