// The gate before everything that is sent to Redis: a deadline for each answer, a bound on how many are waited for, and a
// refusal at once while Redis cannot be relied on, which link.ts finds out.
//
// Promises: a command is answered or refused within REDIS_MS; at most REDIS_PENDING_MAX of them wait for an answer, more
// are refused.

import type { Command } from "ioredis";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connect.ts";

/** The first words of answers that tell of the asker's mistake, and not of Redis's state. */
const ASKERS_MISTAKE = /^(?:ERR|WRONGTYPE|EXECABORT|NOSCRIPT|NOPERM|CROSSSLOT|INVALIDOBJ)\b/u;

/** A command as the library passes it on: `Command` of ioredis, less what its types leave out. */
interface Sent {
  readonly name: string;
  readonly promise: Promise<unknown>;
  reject(error: Error): void;
}
type Send = (command: Command, stream?: unknown, ...rest: unknown[]) => unknown;

export interface GateParts {
  readonly config: Pick<Config, "redisMs" | "redisPendingMax">;
  readonly clock: Clock;
  /** Why the gate is closed; undefined while it is open. */
  readonly closedFor: () => unknown;
  /** An answer told, or its lack, that Redis cannot be relied on. */
  readonly onFault: (error: unknown) => void;
}

export class Gate {
  readonly #parts: GateParts;
  #isPassing = false;
  #pending = 0;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** How many commands wait for an answer. */
  get pending(): number {
    return this.#pending;
  }

  /** Puts a deadline before everything that is sent on a connection, and before that of commands the gate and the bound. */
  guard(connection: Connection, isForCommands: boolean): void {
    const inside = connection as unknown as { sendCommand: Send };
    const send = inside.sendCommand.bind(connection) as Send;
    inside.sendCommand = (command, stream, ...rest) => {
      const sent = command as unknown as Sent;
      // Before it is ready, what is sent is the greeting: anything else is refused by the library itself.
      const isGreeting = connection.status !== "ready";
      const hasGate = isForCommands && !isGreeting && !this.#isPassing;
      const refusal = hasGate ? this.#refusal(stream) : undefined;
      if (refusal !== undefined) {
        sent.reject(refusal);
        return sent.promise;
      }
      this.#pending++;
      const inTime = this.#deadline(() => sent.reject(tooLate(sent.name, this.#parts.config.redisMs)));
      sent.promise.then(
        () => this.#settled(inTime),
        (error: unknown) => {
          this.#settled(inTime);
          if (faultOf(error) !== undefined) this.#parts.onFault(error);
        },
      );
      return send(command, stream, ...rest);
    };
  }

  /** Sends what is to pass the closed gate: at once, so that nothing else can come between. */
  letPass<Result>(send: () => Result): Result {
    this.#isPassing = true;
    try {
      return send();
    } finally {
      this.#isPassing = false;
    }
  }

  /** @throws when `work` has not ended within REDIS_MS, or `ms` */
  async within<Result>(
    what: string,
    work: Promise<Result>,
    ms = this.#parts.config.redisMs,
  ): Promise<Result> {
    const { promise, reject } = Promise.withResolvers<never>();
    const cancel = this.#deadline(() => reject(tooLate(what, ms)), ms);
    try {
      return await Promise.race([work, promise]);
    } finally {
      cancel();
    }
  }

  #refusal(stream: unknown): Error | undefined {
    const why = this.#parts.closedFor();
    if (why !== undefined) return new RingsideError("REDIS_UNREACHABLE", { why: messageOf(why) });
    // The parts of a transaction are let through together, or none of them.
    if (stream === undefined && this.#pending >= this.#parts.config.redisPendingMax) {
      return new RingsideError("TOO_MANY", { waitingForRedis: this.#pending });
    }
    return undefined;
  }

  #settled(cancelDeadline: () => void): void {
    cancelDeadline();
    this.#pending--;
  }

  /**
   * Calls `late` when REDIS_MS, or `ms`, are over; not, when they only seem so because this process stood still: what has come
   * meanwhile is read first.
   */
  #deadline(late: () => void, ms = this.#parts.config.redisMs): () => void {
    let isOver = false;
    const cancel = this.#parts.clock.after(ms, () => setImmediate(() => !isOver && late()));
    return () => {
      isOver = true;
      cancel();
    };
  }
}

class TooLate extends Error {}

function tooLate(what: string, ms: number): TooLate {
  return new TooLate(`no answer to ${what} within ${ms} ms`);
}

/** What an error says of Redis: that it is silent, or refuses; nothing, when it is the asker's mistake or our own bound. */
export function faultOf(error: unknown): "silent" | "refused" | undefined {
  if (error instanceof TooLate) return "silent";
  if (error instanceof RingsideError) return undefined;
  if (error instanceof Error && error.name === "ReplyError") {
    return ASKERS_MISTAKE.test(error.message) ? undefined : "refused";
  }
  return "silent";
}
