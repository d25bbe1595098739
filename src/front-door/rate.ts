// How often something may happen in ten seconds, for each of those who do it: counted for the whole cluster in Redis, or on this
// node alone.
//
// The count is a courtesy, not a truth: while Redis is away, or too slow to answer within its deadline (redis/link.ts), each
// node counts for itself, up to the same number, and nobody waits for it twice. (Not up to its share of it: a load balancer may
// keep an address at one node.) Whoever is beyond a limit is not asked of Redis any more until their time is over, so that a
// flood is no flood there.

import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterAbstract,
} from "rate-limiter-flexible";
import type { RedisLink } from "../redis/link.ts";

/** Long enough for a burst, as people make; short enough to be over soon. */
export const WINDOW_S = 10;

export interface RateOptions {
  /** Of Redis's keys, among others. */
  readonly name: string;
  /** How often in WINDOW_S; 0 is any number. */
  readonly max: number;
  /** The cluster's Redis; not given, this node counts alone. */
  readonly link?: Pick<RedisLink, "commands">;
}

export class Rate {
  readonly #limiter: RateLimiterAbstract | undefined;

  constructor({ name, max, link }: RateOptions) {
    if (max === 0) return;
    const options = { keyPrefix: `door:${name}`, points: max, duration: WINDOW_S };
    const alone = new RateLimiterMemory(options);
    this.#limiter =
      link === undefined
        ? alone
        : new RateLimiterRedis({
            ...options,
            storeClient: clientOf(link),
            insuranceLimiter: alone,
            inMemoryBlockOnConsumed: max + 1,
          });
  }

  /**
   * Counts one more.
   *
   * @param key whose; undefined is nobody's, and not counted
   * @returns undefined when it is within the limit; otherwise how many ms until it makes sense to come again
   */
  async take(key: string | undefined): Promise<number | undefined> {
    if (this.#limiter === undefined || key === undefined) return undefined;
    try {
      await this.#limiter.consume(key);
      return undefined;
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return refusal.msBeforeNext;
      throw refusal; // the library's promise: it has its insurance for everything else
    }
  }
}

type Counting = (args: readonly string[]) => Promise<unknown>;

/** What the library calls, on whatever connection the link has at that moment. */
function clientOf(link: Pick<RedisLink, "commands">): object {
  const defined: [string, { numberOfKeys: number; lua: string }][] = [];
  return {
    defineCommand: (name: string, script: { numberOfKeys: number; lua: string }) =>
      defined.push([name, script]),
    rlflxIncr: (args: readonly string[]) => {
      const { commands } = link;
      const client = commands as unknown as Record<string, Counting>; // a command that is defined is a method
      for (const [name, script] of defined)
        if (client[name] === undefined) commands.defineCommand(name, script);
      return client["rlflxIncr"]?.(args);
    },
  };
}
