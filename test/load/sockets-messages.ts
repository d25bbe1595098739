// What the drill of the sockets and its players' processes say to each other, over the channel they were spawned with.

export type ToPlayers =
  /** Take a seat: of a new room, or of one that is there. `ports`: the gateways, taken in turn. */
  | {
      readonly kind: "join";
      readonly ports: readonly number[];
      readonly rooms: readonly (string | null)[];
      readonly game: string;
      readonly isLight: boolean;
    }
  /** Leave these rooms. */
  | { readonly kind: "leave"; readonly roomIds: readonly string[] }
  /** From now on the longest gap counts. */
  | { readonly kind: "arm" }
  | { readonly kind: "tell" };

/** One player since the arming. */
export interface PlayerFacts {
  readonly roomId: string;
  readonly isLight: boolean;
  readonly drops: number;
  readonly returns: number;
  /** The code with which the session ended for good; undefined when it goes on. */
  readonly leftWith: number | undefined;
  /** The longest time between two states that this player saw, or since the last one. */
  readonly longestGapMs: number;
  readonly patches: number;
}

export type FromPlayers =
  | { readonly kind: "joined"; readonly roomIds: readonly string[] }
  | { readonly kind: "left" }
  | { readonly kind: "armed" }
  | { readonly kind: "facts"; readonly players: readonly PlayerFacts[] }
  | { readonly kind: "failed"; readonly error: string };
