// What the commit benchmark and its node say to each other, over the channel the node was spawned with.

/** Who writes, and how; see commit-node.ts. */
export type Form = "commit" | "commit with query" | "one connection" | "a connection each";

/** One form, for the length of a window. */
export interface Measured {
  readonly count: number;
  readonly wallMs: number;
  /** Of one, from the call until it is durable. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the node's process, user and system. */
  readonly cpuMs: number;
}

export type ToNode =
  | { readonly kind: "open"; readonly rooms: number; readonly kb: number; readonly seed: number }
  | { readonly kind: "measure"; readonly form: Form; readonly rooms: number; readonly ms: number }
  /** How many bytes a row must have to weigh what a commit writes. */
  | { readonly kind: "weigh"; readonly bytes: number }
  /** From now on, or until now and then written to `path`. */
  | { readonly kind: "profile"; readonly path: string | undefined };

export type FromNode =
  | { readonly kind: "ready" }
  | { readonly kind: "opened" }
  | { readonly kind: "measured"; readonly measured: Measured }
  | { readonly kind: "done" }
  | { readonly kind: "profiled"; readonly lines: readonly string[] }
  | { readonly kind: "failed"; readonly error: string };
