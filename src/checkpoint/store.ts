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

/**
 * Those of a batch that were saved. One that is in neither set was made by an activation that is not the newest any more, and
 * nothing of it was written.
 */
export class SavedCheckpoints extends Set<Checkpoint> {
  /** Not saved, though the writer owns their rooms: Postgres does not have what they stand on. Whole ones will do. */
  readonly baseless = new Set<Checkpoint>();
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
   * Saves many rooms in one statement. Two activations of one room may both be among `checkpoints`.
   *
   * @returns those that were saved
   * @throws when Postgres refused or could not be reached; whether it was written is then unknown
   */
  async save(checkpoints: readonly Checkpoint[]): Promise<SavedCheckpoints> {
    type Owned = { room_id: RoomId; epoch: Epoch; baseless: boolean };
    const rows = await this.#database.run<Owned>("save-checkpoints", [
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
    const owned = new Map(rows.map((row) => [row.room_id, row]));
    const saved = new SavedCheckpoints();
    for (const checkpoint of checkpoints) {
      const row = owned.get(checkpoint.roomId);
      if (row?.epoch === checkpoint.epoch) (row.baseless ? saved.baseless : saved).add(checkpoint);
    }
    return saved;
  }
}
