// Deletes now and then what is kept for a while only: events, and checkpoints that are neither of the last generations nor of
// the history. Every node does so; one that finds nothing to delete has done no harm.

import type { Config } from "../config.ts";
import type { Clock } from "../runtime/clock.ts";
import { repeat } from "../runtime/repeat.ts";
import type { Database } from "./query.ts";

const PRUNE_EVERY_MS = 60_000;

/** @returns stops it, and resolves when nothing is under way any more */
export function startPruning(
  config: Pick<Config, "eventsKept" | "historyMs" | "checkpointGenerations">,
  clock: Clock,
  database: Database,
): () => Promise<void> {
  const { eventsKept, historyMs, checkpointGenerations } = config;
  const ending = new AbortController();
  const pruning = repeat(
    clock,
    PRUNE_EVERY_MS,
    ending.signal,
    async () => void (await database.run("prune", [eventsKept, historyMs, checkpointGenerations])),
    () => {}, // Postgres is away, which the heartbeat tells
  );
  return () => {
    ending.abort();
    return pruning;
  };
}
