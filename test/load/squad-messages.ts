// What the drill and its players' processes say to each other, over the channel they were spawned with.
// All times are wall time, ms since 1970: every process of a drill runs on one machine, and so by one clock.

export interface Order {
  /** A number that is the player's for the whole drill. */
  readonly player: number;
  /** The room to join; null creates one. */
  readonly roomId: string | null;
}

export type ToSquad =
  | { readonly kind: "join"; readonly orders: readonly Order[] }
  | { readonly kind: "count"; readonly id: number };

export interface Joined {
  readonly kind: "joined";
  readonly player: number;
  readonly roomId: string;
  readonly sessionId: string;
}

/** The SDK's onDrop: the first one of an absence, not those of its failed attempts. */
export interface Dropped {
  readonly kind: "dropped";
  readonly player: number;
  readonly at: number;
  readonly code: number;
}

/** The SDK's onReconnect. */
export interface Back {
  readonly kind: "back";
  readonly player: number;
  readonly at: number;
  /** How many attempts the SDK needed. */
  readonly tries: number;
  readonly sessionId: string;
}

/** The SDK's onLeave: it has given up, and the session is lost. */
export interface Left {
  readonly kind: "left";
  readonly player: number;
  readonly code: number;
  readonly reason: string;
}

export interface Counted {
  readonly kind: "counted";
  readonly id: number;
  /** Players who have seen their room's clock go on within the last second, and themselves in its state. */
  readonly playing: number;
}

export interface Failed {
  readonly kind: "failed";
  readonly error: string;
}

export type FromSquad = Joined | Dropped | Back | Left | Counted | Failed;
