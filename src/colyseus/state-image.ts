// A room's Schema state as plain data: what a checkpoint holds of it, and what restores it.
//
// Types and fields go by name, never by index, so that a room class that has since gained, lost or reordered
// fields still reads it. Every instance carries the refId that clients know it by. Wire indexes are kept where
// the protocol addresses entries by them. Names stand once a class, not once an instance: it is a checkpoint's size. The data is structured-cloneable as long as the values of the
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

export type CollectionKind = "array" | "map" | "set" | "collection" | "stream";

/** All collections of one kind, the same position in each list being the same collection. */
export interface CollectionsImage {
  readonly kind: CollectionKind;
  /** Whether entries are plain values, or the refIds of Schema instances. */
  readonly holds: "values" | "links";
  readonly refIds: number[];
  readonly entries: unknown[][];
  /** Of maps only: the entries' keys. */
  readonly keys: string[][];
  /** Of all but arrays: the wire indexes of the entries, and the next one to be given. */
  readonly indexes: number[][];
  readonly nextIndexes: number[];
  /** By refId, where the collection is streamed: `maxPerTick`. */
  readonly perTick: Map<number, number>;
}

export interface StateImage {
  readonly rootRefId: number;
  /** The encoder's next refId when this was captured: all ids in here are below it. */
  readonly nextRefId: number;
  readonly shapes: ShapeImage[];
  readonly collections: CollectionsImage[];
}
