// A Redis of one test's own, to be taken away and brought back: a real server where there is one (real-redis.ts), else the
// JavaScript one of the local cluster. That one lives in the test's own process, and cannot be stopped in the middle of what
// it does.

import { Redis } from "ioredis";
import { startRedis, type LocalRedis } from "../../src/local/redis.ts";
import { RealRedis, whyNoRedisServer } from "./real-redis.ts";

export interface OwnRedis extends AsyncDisposable {
  readonly url: string;
  readonly isReal: boolean;
  /** Ends it at once. What it held is gone. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** SIGSTOP. @throws when it is not real */
  hang(): void;
  wake(): void;
  /** Whether it answers a connection made now, within `ms`. */
  answers(ms: number): Promise<boolean>;
  ask(command: string, ...values: string[]): Promise<unknown>;
}

export async function startOwnRedis(): Promise<OwnRedis> {
  return whyNoRedisServer() === undefined ? real(await RealRedis.start()) : ours(await startRedis());
}

function real(redis: RealRedis): OwnRedis {
  const { url } = redis;
  return {
    url,
    isReal: true,
    kill: () => redis.kill(),
    restart: () => redis.restart(),
    hang: () => redis.hang(),
    wake: () => redis.wake(),
    answers: (ms) => answers(url, ms),
    ask: (command, ...values) => redis.ask(command, ...values),
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}

function ours(first: LocalRedis): OwnRedis {
  let redis = first;
  const { url, port } = redis;
  const password = decodeURIComponent(new URL(url).password);
  const cannot = (): never => {
    throw new Error("this Redis cannot be stopped: there is no redis-server here");
  };
  return {
    url,
    isReal: false,
    kill: () => redis.stop(),
    restart: async () => {
      redis = await startRedis({ port, password });
    },
    hang: cannot,
    wake: cannot,
    answers: (ms) => answers(url, ms),
    ask: (command, ...values) => once(url, 5_000, (client) => client.call(command, ...values)),
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

async function answers(url: string, ms: number): Promise<boolean> {
  return once(url, ms, (client) => client.ping()).then(
    () => true,
    () => false,
  );
}

/** On a connection of its own: it may be there to find out that nobody answers. */
async function once<Result>(
  url: string,
  ms: number,
  work: (client: Redis) => Promise<Result>,
): Promise<Result> {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null, commandTimeout: ms });
  client.on("error", () => {}); // told by the command
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
