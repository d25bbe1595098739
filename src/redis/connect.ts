// The two connections to Redis: one for commands, one that listens. Both reconnect by themselves for ever; who decides
// whether they can be relied on at a moment is link.ts.

import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import { backoffMs } from "../runtime/backoff.ts";
import { describeAddress, parseRedisUrl, type RedisAddress } from "./address.ts";

export type Connection = Redis | Cluster;

/** How long a connection may take to end in order: a server that hangs never answers the end. */
const DISCONNECT_MS = 50;

export interface Connections {
  readonly commands: Connection;
  readonly subscriber: Connection;
}

/** Makes both, unconnected. */
export function makeConnections(config: Config): Connections {
  const address = parseRedisUrl(config.redisUrl);
  const name = `ringside-${config.nodeId}`;
  return {
    commands: make(address, config, {
      connectionName: name,
      keyPrefix: keyPrefixFor(address, config.keyPrefix),
    }),
    // What is listened to is told anew by link.ts, which knows what is wanted; the library only knows what once succeeded.
    // Unlike in stock Colyseus its readiness is checked, which is possible because nothing is listened to before: a
    // connection that breaks before it is ready is otherwise taken for ready ever after (ioredis 5.9.2), as happens
    // behind a proxy that accepts before it knows whether anybody is there.
    subscriber: make(address, config, { connectionName: `${name}-listening`, autoResubscribe: false }),
  };
}

/** In a Redis Cluster all keys of a cluster of ours lie in one slot, as commands on several keys ask for. */
export function keyPrefixFor({ kind }: Pick<RedisAddress, "kind">, keyPrefix: string): string {
  return kind === "cluster" && !/\{[^}]+\}/u.test(keyPrefix) ? `{${keyPrefix}}` : keyPrefix;
}

function make(address: RedisAddress, config: Config, own: Partial<RedisOptions>): Connection {
  const { redisMs } = config;
  const retryStrategy = (attempts: number): number => backoffMs(attempts, 50, 500);
  const options: RedisOptions = {
    ...own,
    lazyConnect: true,
    connectTimeout: redisMs,
    disconnectTimeout: DISCONNECT_MS,
    // Fail at once instead of queueing while away: whoever asks has a player waiting.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // What was under way when a connection broke has failed, and been told so: it must not happen later all the same.
    autoResendUnfulfilledCommands: false,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.isEncrypted ? { tls: {} } : {}),
  };
  switch (address.kind) {
    case "single": {
      const [{ host, port }] = address.endpoints;
      return new Redis({ ...options, host, port, db: address.db, retryStrategy });
    }
    case "sentinel":
      return new Redis({
        ...options,
        sentinels: address.endpoints.map((endpoint) => ({ ...endpoint })),
        name: address.primary,
        db: address.db,
        retryStrategy,
        // Never to give up: a connector that does ends the connection for good.
        sentinelRetryStrategy: retryStrategy,
        sentinelReconnectStrategy: retryStrategy,
        sentinelCommandTimeout: redisMs,
        // A Sentinel tells of a new primary at once; the old one may hang, and never close.
        failoverDetector: true,
        ...(address.sentinelPassword === undefined ? {} : { sentinelPassword: address.sentinelPassword }),
        ...(address.isEncrypted ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
      });
    case "cluster": {
      const { keyPrefix, enableOfflineQueue: _, ...redisOptions } = options;
      return new Cluster(
        address.endpoints.map((endpoint) => ({ ...endpoint })),
        {
          lazyConnect: true,
          ...(keyPrefix === undefined ? {} : { keyPrefix }),
          enableOfflineQueue: false,
          clusterRetryStrategy: retryStrategy,
          slotsRefreshTimeout: redisMs,
          slotsRefreshInterval: 2_000,
          // A master that is gone is told by its failure, not hidden by trying again for longer than a player waits.
          retryDelayOnFailover: 50,
          retryDelayOnClusterDown: 50,
          redisOptions: { ...redisOptions, commandTimeout: redisMs },
        },
      );
    }
  }
}

/**
 * What is wrong with REDIS_URL, in words that tell what to do; `isAway` says that nothing is, and nobody answers. Never
 * repeats the URL: it may hold a password.
 */
export function explainConnectFailure(error: unknown, redisUrl: string): RingsideError {
  const address = parseRedisUrl(redisUrl);
  const { lastNodeError } = error as { lastNodeError?: unknown }; // what the library has to say of a Redis Cluster
  const text = messageOf(lastNodeError ?? error);
  const hint = hintFor(text, describeAddress(address), address);
  const isAway = hint === undefined;
  return new RingsideError(
    "REDIS_UNREACHABLE",
    {
      hint:
        hint ?? `no Redis answers at ${describeAddress(address)} (${text}): start it, or correct REDIS_URL`,
      isAway,
    },
    error,
  );
}

function hintFor(text: string, where: string, { kind }: RedisAddress): string | undefined {
  if (/NOAUTH|WRONGPASS|invalid password|AUTH/u.test(text)) {
    return `Redis at ${where} refuses the password: check REDIS_URL`;
  }
  if (/READONLY/u.test(text)) {
    return `Redis at ${where} is a replica and takes no writes: name its primary in REDIS_URL, or its Sentinels (redis+sentinel://)`;
  }
  if (/MOVED|cluster support disabled/u.test(text)) {
    return kind === "cluster"
      ? `Redis at ${where} is no Redis Cluster: begin REDIS_URL with redis://`
      : `Redis at ${where} is part of a Redis Cluster: begin REDIS_URL with redis+cluster://`;
  }
  if (/OOM|MISCONF|NOREPLICAS/u.test(text)) {
    return `Redis at ${where} takes no writes (${text}): make room there, or correct REDIS_URL`;
  }
  return undefined;
}
