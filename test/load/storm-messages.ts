// What the drill of the storm and its players' processes say to each other, over the channel they were spawned with.

export type ToPlayers =
  /** Take so many seats in rooms of so many players each, at this port; come back to the others, in turn, when the socket breaks. */
  | {
      readonly kind: "join";
      readonly port: number;
      readonly backTo: readonly number[];
      readonly players: number;
      readonly perRoom: number;
      readonly everyMs: number;
    }
  /** From now on times count. */
  | { readonly kind: "arm" }
  | { readonly kind: "tell" };

export interface PlayerFacts {
  /** From the break to the first state after it; undefined while there is none. */
  readonly backMs: number | undefined;
  readonly isConnected: boolean;
  readonly tries: number;
  /** The longest time between two messages. */
  readonly longestGapMs: number;
}

export type FromPlayers =
  | { readonly kind: "joined"; readonly tookMs: number; readonly refused: number }
  | { readonly kind: "armed" }
  | { readonly kind: "facts"; readonly players: readonly PlayerFacts[] }
  | { readonly kind: "failed"; readonly error: string };
