// What a setting is: one row, of which its reading, its check and its line in the README are made.

export interface NumberRow {
  readonly env: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
}

export interface TextRow {
  /** The variables that are looked at, in this order. */
  readonly env: readonly string[];
  /** Undefined where one of them must be set. */
  readonly fallback: string | undefined;
  readonly secret?: true;
  readonly why: string;
}
