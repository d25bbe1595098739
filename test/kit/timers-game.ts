// A room that does nothing but by its durable timers, and writes down each firing in its state.

import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { defineCluster, durableTimers } from "../../src/index.ts";

const Firing = schema(
  {
    timer: t.string(),
    payload: t.string(),
    /** The room's clock, and the process. */
    elapsedMs: t.float64(),
    pid: t.uint32(),
  },
  "Firing",
);

const TimedState = schema({ firings: t.array(Firing) }, "TimedState");

/** How a timer stands: the room's clock with what is left is when it fires. */
export interface Standing {
  readonly elapsedMs: number;
  /** null when it is not armed. */
  readonly leftMs: number | null;
}

export interface Fired {
  readonly timer: string;
  readonly payload: string;
  readonly elapsedMs: number;
  readonly pid: number;
}

class TimedRoom extends Room {
  override state = new TimedState();
  readonly #timers = durableTimers(this, {
    ends: (payload: unknown, key) => this.#tell(`ends ${key}`.trim(), payload),
    beat: () => this.#tell("beat"),
    opening: () => this.#tell("opening"),
    bad: () => {
      this.#tell("bad");
      throw new Error("thrown by a durable timer");
    },
  });

  override messages = {
    facts: (): unknown => ({ pid: process.pid }),
    ends: (
      _client: Client,
      { ms, key, payload }: { ms: number; key: string; payload: unknown },
    ): Standing => {
      this.#timers.set(`ends:${key}`, ms, payload);
      return this.#standing(`ends:${key}`);
    },
    beat: (_client: Client, ms: number): Standing => {
      this.#timers.every("beat", ms);
      return this.#standing("beat");
    },
    bad: (): void => this.#timers.set("bad", 0),
    close: (): void => this.#timers.clear("opening"),
    standing: (_client: Client, timer: "beat"): Standing => this.#standing(timer),
    firings: (): unknown => this.state.firings.toJSON(),
  };

  override onCreate(): void {
    this.#timers.set("opening", 5_000);
  }

  #standing(timer: "beat" | "ends" | `ends:${string}`): Standing {
    return { elapsedMs: this.clock.elapsedTime, leftMs: this.#timers.leftMs(timer) ?? null };
  }

  #tell(timer: string, payload: unknown = ""): void {
    const { elapsedTime: elapsedMs } = this.clock;
    this.state.firings.push(new Firing({ timer, payload: String(payload), elapsedMs, pid: process.pid }));
  }
}

export default defineCluster({ rooms: { timed: defineRoom(TimedRoom) } });
