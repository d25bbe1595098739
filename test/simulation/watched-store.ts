// Where a simulated node's checkpoints go: the product's store, with a note of what it has acknowledged.

import { CheckpointStore, type Checkpoint, type SavedCheckpoints } from "../../src/checkpoint/store.ts";
import type { Incarnation } from "../../src/ids.ts";
import type { Database } from "../../src/postgres/query.ts";
import type { SimHost } from "./sim-host.ts";
import type { SimRoom } from "./sim-room.ts";

export interface CheckpointWitness {
  checkpointAcknowledged(room: SimRoom, numbers: readonly number[]): void;
}

export class WatchedStore extends CheckpointStore {
  readonly #host: SimHost;
  readonly #witness: CheckpointWitness;

  constructor(
    database: Database,
    self: Incarnation,
    generations: number,
    host: SimHost,
    witness: CheckpointWitness,
  ) {
    super(database, self, generations);
    this.#host = host;
    this.#witness = witness;
  }

  override async save(checkpoints: readonly Checkpoint[]): Promise<SavedCheckpoints> {
    // Those that make them are here now, and may be gone when the answer comes.
    const rooms = checkpoints.map(({ roomId }) => this.#host.activations.get(roomId));
    const saved = await super.save(checkpoints);
    checkpoints.forEach((checkpoint, index) => {
      const room = rooms[index];
      const numbers = room?.captured.get(checkpoint.seq);
      if (room === undefined || numbers === undefined || !saved.has(checkpoint)) return;
      this.#witness.checkpointAcknowledged(room, numbers);
    });
    return saved;
  }
}
