// What the seat benchmark and its node say to each other, over the channel the node was spawned with.

export type ToNode =
  | { readonly kind: "open"; readonly rooms: number }
  /** From now on seats are durable before players are told, or are not written at all; and counting begins anew. */
  | { readonly kind: "durable"; readonly isOn: boolean }
  /** When everything is written. */
  | { readonly kind: "count" };

/** Statements that wrote seats, and the rows in them, since it was last said whether they are durable. */
export interface Written {
  readonly joins: Writes;
  readonly tokens: Writes;
  readonly leaves: Writes;
}

export interface Writes {
  statements: number;
  rows: number;
}

export type FromNode =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "opened"; readonly roomIds: readonly string[] }
  | { readonly kind: "done" }
  /** `saveMs`: how long each join waited for its seat to be durable, at the node. */
  | { readonly kind: "counted"; readonly written: Written; readonly saveMs: readonly number[] }
  | { readonly kind: "failed"; readonly error: string };
