// The rows of the model, with the columns that the statements read or write. Rows and tables are never changed: a commit puts
// new ones in their place, so that what a statement saw when it began stays as it was. Times are ms since 1970.

export interface NodeRow {
  readonly incarnation: string;
  readonly node_id: string;
  readonly process_id: string;
  readonly host: string;
  readonly pid: number;
  readonly public_port: number;
  readonly internal_port: number;
  readonly management_port: number;
  readonly state: "up" | "draining" | "down";
  readonly lease_until: number;
  readonly renewed_at: number;
  readonly started_at: number;
  readonly down_at: number | null;
  readonly down_reason: string | null;
}

export interface RoomRow {
  readonly room_id: string;
  readonly name: string;
  readonly options: string | null;
  readonly owner: string | null;
  readonly owner_node: string | null;
  readonly epoch: number;
  readonly players: number;
  readonly class_version: number;
  readonly failed_opens: number;
  readonly retry_at: number | null;
  readonly disposed_at: number | null;
  readonly quarantined_at: number | null;
  readonly quarantine_reason: string | null;
}

export interface CheckpointRow {
  readonly seq: number;
  readonly epoch: number;
  readonly saved_at: number;
  readonly bytes: number;
  readonly snapshot: Buffer;
  readonly base_seq: number | null;
  readonly kept: boolean;
  readonly unreadable_reason: string | null;
}

/** What the rooms' author writes in a commit. */
export interface EffectRow {
  readonly room_id: string;
  readonly number: number;
}

export interface Tables {
  readonly nodes: ReadonlyMap<string, NodeRow>;
  readonly rooms: ReadonlyMap<string, RoomRow>;
  /** By room, in the order of `seq`. Whoever changes them holds the room's row. */
  readonly checkpoints: ReadonlyMap<string, readonly CheckpointRow[]>;
  readonly effects: readonly EffectRow[];
}

export const NO_ROWS: Tables = { nodes: new Map(), rooms: new Map(), checkpoints: new Map(), effects: [] };
