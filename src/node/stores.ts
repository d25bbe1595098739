// A node's ways to Postgres and Redis. The lease has a connection of its own, so that no other work can hold up a renewal;
// commits have theirs, because they hold them while the game's own statements run.

import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import { migrate } from "../postgres/migrate.ts";
import { openCommitPool, openPool } from "../postgres/pool.ts";
import { Database, readStatements } from "../postgres/query.ts";
import { whileStarting } from "../postgres/start-failures.ts";
import { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Closing } from "./closing.ts";

export interface Stores {
  readonly statements: ReturnType<typeof readStatements>;
  readonly database: Database;
  readonly leaseDatabase: Database;
  readonly commitPool: ReturnType<typeof openCommitPool>;
  readonly redis: RedisLink;
}

/** @throws RingsideError that says which server cannot be used, and what to do */
export async function openStores(
  config: Config,
  clock: Clock,
  events: EventBus,
  closing: Closing,
): Promise<Stores> {
  await migrate(config);
  const statements = readStatements();
  const pool = openPool(config, config.postgresConnectionsMax, "rooms");
  closing.push(() => pool.end());
  // A renewal that hangs must leave time to try again before the lease is over.
  const renewalMs = Math.min(config.storeMs, Math.floor(config.leaseMs / 2));
  const leasePool = openPool({ ...config, storeMs: renewalMs }, 1, "lease");
  closing.push(() => leasePool.end());
  const commitPool = openCommitPool(config);
  closing.push(() => commitPool.end());
  const database = new Database(pool, statements);
  // A node that starts into a running cluster takes part in it also while Redis is away.
  const redis = await RedisLink.open(config, clock, events, async () => {
    const nodes = await whileStarting(config, () =>
      database.run<{ state: string; lease_left_ms: number }>("cluster-nodes", []),
    );
    return nodes.some((node) => node.state !== "down" && node.lease_left_ms > 0);
  });
  closing.push(() => redis.stop());
  return { statements, database, leaseDatabase: new Database(leasePool, statements), commitPool, redis };
}
