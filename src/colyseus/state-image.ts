// A room's Schema state as plain data: what a checkpoint holds of it, and what restores it.
//
// Types and fields go by name, never by index, so that a room class that has since gained, lost or reordered
// fields still reads it. Every instance carries the refId that clients know it by. Wire indexes are kept where
// the protocol addresses entries by them. The data is structured-cloneable as long as the values of the
// author's custom types are; those are not copied here, so encode the image in the turn that captured it.

/** The refId of another instance, or the null or undefined that a field held in its place. */
export type Link = number | null | undefined;

/** All instances of one class. A row is that instance's values, then its links, in the order of the names. */
export interface ShapeImage {
  readonly type: string;
  /** Which of several classes of the same name this is, in the order Colyseus discovers them. */
  readonly twin: number | undefined;
  readonly values: readonly string[];
  readonly links: readonly string[];
  readonly refIds: number[];
  readonly rows: unknown[][];
  /** Those of `refIds` that some field declares as a base class: here the class's own name decides. */
  readonly exact: Set<number>;
}

/** What a collection holds: plain values, or the refIds of Schema instances. */
type Entries = { readonly values: unknown[] } | { readonly links: number[] };

export type CollectionImage = { readonly refId: number } & Entries &
  (
    | { readonly kind: "array" }
    | {
        readonly kind: "map";
        readonly keys: string[];
        readonly indexes: number[];
        readonly nextIndex: number;
        readonly perTick: number | undefined;
      }
    | {
        readonly kind: "set" | "collection" | "stream";
        readonly indexes: number[];
        readonly nextIndex: number;
        readonly perTick: number | undefined;
      }
  );

export interface StateImage {
  readonly rootRefId: number;
  /** The encoder's next refId when this was captured: all ids in here are below it. */
  readonly nextRefId: number;
  readonly shapes: ShapeImage[];
  readonly collections: CollectionImage[];
}
