// What the gateway benchmark and its helper processes say to each other, over the channel they were spawned with.

/** What a server process did since it was last asked. */
export interface ServerSample {
  readonly wallMs: number;
  /** User and system. */
  readonly cpuMs: number;
}

export type ToServer = { readonly kind: "sample" } | { readonly kind: "memory" };

export type FromServer =
  | { readonly kind: "ready"; readonly publicPort: number }
  | { readonly kind: "sampled"; readonly sample: ServerSample }
  /** What lives, after a collection; and what the process has of the machine's memory. */
  | { readonly kind: "remembers"; readonly liveBytes: number; readonly rssBytes: number }
  | { readonly kind: "failed"; readonly error: string };

/** Players of one scene, by its name. */
export type ToPlayers =
  | {
      readonly kind: "join";
      readonly scene: string;
      readonly port: number;
      readonly rooms: number;
      readonly each: number;
    }
  /** From now on the players of this scene say where they go, and those of no other. */
  | { readonly kind: "play"; readonly scene: string }
  | { readonly kind: "sample" };

export type FromPlayers =
  | { readonly kind: "joined" }
  | { readonly kind: "playing" }
  /** Since last asked, of the scene that plays. */
  | {
      readonly kind: "heard";
      readonly open: number;
      readonly patches: number;
      readonly said: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
    }
  | { readonly kind: "failed"; readonly error: string };
