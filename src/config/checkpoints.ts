// Settings of checkpoints and commits. The rows are read and checked by config.ts.

import type { NumberRow } from "./rows.ts";

export const CHECKPOINT_NUMBERS = {
  checkpointMs: {
    env: "CHECKPOINT_MS",
    fallback: 2_000,
    min: 50,
    max: 600_000,
    why: "how often a changed room is saved; about what a crash costs",
  },
  checkpointBytesMax: {
    env: "CHECKPOINT_BYTES_MAX",
    fallback: 4 * 1024 * 1024,
    min: 1_024,
    max: 256 * 1024 * 1024,
    why: "the largest room that is saved, before compression; a larger one is reported and keeps its last checkpoint, and one of half the size is warned of",
  },
  checkpointGenerations: {
    env: "CHECKPOINT_GENERATIONS",
    fallback: 3,
    min: 1,
    max: 100,
    why: "how many checkpoints of a room are kept, beside its history",
  },
  historyEveryMs: {
    env: "HISTORY_EVERY_MS",
    fallback: 60_000,
    min: 1_000,
    max: 3_600_000,
    why: "how often a whole checkpoint is written, which stays in the room's history; those between hold what differs from it",
  },
  historyMs: {
    env: "HISTORY_MS",
    fallback: 3_600_000,
    min: 0,
    max: 2_592_000_000,
    why: "how long a room's history goes back",
  },
  checkpointBasesBytesMax: {
    env: "CHECKPOINT_BASES_BYTES_MAX",
    fallback: 256 * 1024 * 1024,
    min: 0,
    max: 64 * 1024 * 1024 * 1024,
    why: "how much memory a node spends on remembering what was last saved whole; past it, checkpoints are whole",
  },
  checkpointBatchMax: {
    env: "CHECKPOINT_BATCH_MAX",
    fallback: 256,
    min: 1,
    max: 1_000,
    why: "how many rooms one statement saves",
  },
  encodeSliceMs: {
    env: "ENCODE_SLICE_MS",
    fallback: 4,
    min: 1,
    max: 1_000,
    why: "how long encoding checkpoints, or restoring rooms, may hold the event loop before the rooms get their turn",
  },
  commitMs: {
    env: "COMMIT_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a commit may take in all, its wait for others of the same room included",
  },
  commitConnectionsMax: {
    env: "COMMIT_CONNECTIONS_MAX",
    fallback: 4,
    min: 1,
    max: 100,
    why: "how many connections to Postgres commits open at most, beside the others; opened when first needed",
  },
} as const satisfies Record<string, NumberRow>;
