// What the checkpoint benchmark and its helper processes say to each other, over the channel they were spawned with.

import type { BenchOptions } from "./bench-game.ts";
import type { EncodeFigures } from "./checkpoint-encode.ts";
import type { ProfileFigures } from "./checkpoint-profile.ts";

/** What a node did since it was last asked. */
export interface NodeSample {
  readonly wallMs: number;
  /** User and system, of the node's process. */
  readonly cpuMs: number;
  /** The share of the time in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  readonly ticks: number;
  /** How late ticks came. */
  readonly lateP50Us: number;
  readonly lateP99Us: number;
  readonly lateMaxUs: number;
  readonly gcMs: number;
  readonly heapMb: number;
  /** Rooms saved, in how many statements, and how long the slowest of these took. */
  readonly saved: number;
  readonly statements: number;
  readonly saveMsMax: number;
  readonly failed: number;
}

export type ToNode =
  | {
      readonly kind: "open";
      readonly count: number;
      readonly moving: number;
      readonly room: Omit<BenchOptions, "moves">;
    }
  | { readonly kind: "checkpoints"; readonly on: boolean }
  | { readonly kind: "sample" }
  | { readonly kind: "encode"; readonly room: Omit<BenchOptions, "moves">; readonly rounds: number }
  /** From now on, or until now and then written to `path`. */
  | { readonly kind: "profile"; readonly path: string | undefined };

export type FromNode =
  | { readonly kind: "ready"; readonly publicPort: number; readonly internalPort: number }
  | { readonly kind: "opened"; readonly moving: readonly string[] }
  | { readonly kind: "done" }
  | { readonly kind: "sampled"; readonly sample: NodeSample }
  | { readonly kind: "encoded"; readonly figures: EncodeFigures }
  | { readonly kind: "profiled"; readonly figures: ProfileFigures }
  | { readonly kind: "failed"; readonly error: string };

export type ToPlayers =
  | {
      readonly kind: "join";
      readonly port: number;
      readonly roomIds: readonly string[];
      readonly each: number;
    }
  | { readonly kind: "sample" };

export type FromPlayers =
  | { readonly kind: "joined" }
  /** Patches that came in, since last asked; players whose connection is open. */
  | { readonly kind: "heard"; readonly patches: number; readonly open: number }
  | { readonly kind: "failed"; readonly error: string };
