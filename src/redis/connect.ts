// The connection to Redis. It may vanish, restart empty or lie at any time: every command has a deadline, and nothing
// waits for it in an unbounded queue.

import { Redis } from "ioredis";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Clock } from "../runtime/clock.ts";

/**
 * Connects, once, so that a wrong address is found at the start. Afterwards it reconnects by itself for ever.
 *
 * @throws RingsideError REDIS_UNREACHABLE with what to do
 */
export async function connectRedis(config: Config, clock: Clock, events: EventBus): Promise<Redis> {
  const redis = new Redis(config.redisUrl, {
    keyPrefix: config.keyPrefix,
    connectionName: `ringside-${config.nodeId}`,
    lazyConnect: true,
    connectTimeout: config.storeMs,
    commandTimeout: config.storeMs,
    // Fail at once instead of queueing while away: whoever asks has a player waiting.
    maxRetriesPerRequest: 0,
    retryStrategy: (attempts) => Math.min(50 * attempts, 500),
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  });
  let failure: unknown;
  redis.on("error", (error) => (failure = error));
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw explainConnectFailure(failure ?? error, config.redisUrl);
  }
  let lostAtMs: number | undefined;
  redis.on("close", () => {
    if (lostAtMs !== undefined) return;
    lostAtMs = clock.monotonicMs();
    events.emit("redis:lost", { error: messageOf(failure ?? "connection closed") });
  });
  redis.on("ready", () => {
    if (lostAtMs === undefined) return;
    events.emit("redis:regained", { awayMs: Math.round(clock.monotonicMs() - lostAtMs) });
    lostAtMs = undefined;
    failure = undefined;
  });
  return redis;
}

/** What is wrong with REDIS_URL, in words that tell what to do. Never repeats the URL: it may hold a password. */
function explainConnectFailure(error: unknown, redisUrl: string): RingsideError {
  const { hostname, port } = new URL(redisUrl);
  const where = `${hostname}:${port === "" ? "6379" : port}`;
  const text = messageOf(error);
  const hint = /NOAUTH|WRONGPASS|invalid password|AUTH/.test(text)
    ? `Redis at ${where} refuses the password: check REDIS_URL`
    : `no Redis answers at ${where} (${text}): start it, or correct REDIS_URL`;
  return new RingsideError("REDIS_UNREACHABLE", { hint }, error);
}
