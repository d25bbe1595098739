// One transaction of the model, at READ COMMITTED: each statement sees what was committed when it began and what its own
// transaction has written; rows that it changes it locks first, and then finds them as they are by then.

import type { Locks } from "./locks.ts";
import type { CheckpointRow, EffectRow, NodeRow, RoomRow, Tables } from "./tables.ts";

/** What the model has committed; replaced as a whole. */
export interface Committed {
  tables: Tables;
}

export class Transaction {
  readonly #committed: Committed;
  readonly #locks: Locks;
  readonly #held = new Set<string>();
  readonly #nodes = new Map<string, NodeRow>();
  readonly #rooms = new Map<string, RoomRow>();
  readonly #checkpoints = new Map<string, readonly CheckpointRow[]>();
  readonly #effects: EffectRow[] = [];
  readonly notifications: string[] = [];
  /** How long one of its statements waits for a row at most, in ms. */
  lockWaitMs: number;

  constructor(committed: Committed, locks: Locks, lockWaitMs: number) {
    this.#committed = committed;
    this.#locks = locks;
    this.lockWaitMs = lockWaitMs;
  }

  get hasWritten(): boolean {
    return this.#held.size > 0 || this.#effects.length > 0;
  }

  /** Everything as this transaction has it now. */
  get tables(): Tables {
    const { nodes, rooms, checkpoints, effects } = this.#committed.tables;
    return {
      nodes: over(nodes, this.#nodes),
      rooms: over(rooms, this.#rooms),
      checkpoints: over(checkpoints, this.#checkpoints),
      effects: this.#effects.length === 0 ? effects : [...effects, ...this.#effects],
    };
  }

  /** @throws 55P03 when the row is not to be had in time */
  async lock(table: "node" | "room", key: string): Promise<void> {
    const name = `${table} ${key}`;
    if (this.#held.has(name)) return;
    await this.#locks.take(name, this, this.lockWaitMs);
    this.#held.add(name);
  }

  putNode(row: NodeRow): void {
    this.#nodes.set(row.incarnation, row);
  }

  putRoom(row: RoomRow): void {
    this.#rooms.set(row.room_id, row);
  }

  putCheckpoints(roomId: string, rows: readonly CheckpointRow[]): void {
    this.#checkpoints.set(roomId, rows);
  }

  addEffect(row: EffectRow): void {
    this.#effects.push(row);
  }

  /** @returns what its notifications say */
  commit(): readonly string[] {
    if (this.hasWritten) this.#committed.tables = this.tables;
    this.#end();
    return this.notifications;
  }

  rollBack(): void {
    this.#end();
  }

  #end(): void {
    for (const map of [this.#nodes, this.#rooms, this.#checkpoints]) map.clear();
    this.#effects.length = 0;
    for (const name of this.#held) this.#locks.release(name, this);
    this.#held.clear();
  }
}

function over<Row>(
  below: ReadonlyMap<string, Row>,
  above: ReadonlyMap<string, Row>,
): ReadonlyMap<string, Row> {
  return above.size === 0 ? below : new Map([...below, ...above]);
}
