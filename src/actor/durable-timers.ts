// Durable timers: a room's timers by name, saved with the room, so that they go on wherever the room goes on.
//
// They run on the room's own clock, `room.clock`, in Ringside and on a plain Colyseus server alike: there they are clock
// timers with names. So they stand still while the room does, `room.clock.clear()` ends them like all others, and what a
// handler throws goes where a clock timer's throw goes. Several that are due at once fire in the order in which they fell
// due, and a repeated one that is late fires once and keeps its phase.
//
// A timer is disarmed, or a repeated one moved on, before its handler runs, and no checkpoint is taken in between: what a
// handler does at once is saved together with the fact that it ran. What it does after an `await` is not. A firing that no
// checkpoint knows of happens again after a crash, like all that was lost.

import type { Delayed, Room } from "@colyseus/core";
import { copyAsSaved } from "../checkpoint/lossless.ts";
import type { SavedTimer, Snapshot } from "../checkpoint/snapshot.ts";
import { RingsideError } from "../errors.ts";

/** How many timers a room may have armed. */
const TIMERS_MAX = 1_000;
/** While a timer is armed, time that passes is a change too: after a crash a timer of a quiet room is so late at most. */
const CLOCK_SAVED_EVERY_MS = 10_000;

/** `key` is what follows the colon in the name that was set; empty when nothing does. */
export type TimerHandler = (payload: never, key: string) => unknown;

type PayloadOf<Handler> = Handler extends (payload: infer Payload, key: string) => unknown ? Payload : never;
/** What set() takes: what the handler says it takes, anything where it says nothing. */
type GivenTo<Handler> = [PayloadOf<Handler>] extends [never]
  ? [payload?: unknown]
  : undefined extends PayloadOf<Handler>
    ? [payload?: PayloadOf<Handler>]
    : [payload: PayloadOf<Handler>];

/**
 * A room's timers. A name is that of a handler, or, for several timers of one handler, `name:key` with any key; setting a
 * name again replaces its timer. At most 1,000 may be armed in a room.
 */
export interface DurableTimers<Handlers> {
  /**
   * Calls the handler once, after `delayMs` of room time.
   *
   * @param payload what the handler gets: a copy, as a checkpoint brings it back
   * @throws RingsideError INTERNAL, and nothing is armed, for a name without a handler, a delay that is not finite or below
   * 0, a payload that a checkpoint cannot hold, or one timer too many
   */
  set<Name extends keyof Handlers & string>(
    name: Name | `${Name}:${string}`,
    delayMs: number,
    ...payload: GivenTo<Handlers[Name]>
  ): void;
  /**
   * Calls the handler each `everyMs` of room time, first after `everyMs`. Each firing is a change of the room.
   *
   * @throws RingsideError INTERNAL as set() does, and for an `everyMs` below 1
   */
  every<Name extends keyof Handlers & string>(
    name: Name | `${Name}:${string}`,
    everyMs: number,
    ...payload: GivenTo<Handlers[Name]>
  ): void;
  clear<Name extends keyof Handlers & string>(name: Name | `${Name}:${string}`): void;
  /** The room time until it fires, 0 when it is due; undefined when it is not armed. */
  leftMs<Name extends keyof Handlers & string>(name: Name | `${Name}:${string}`): number | undefined;
}

/**
 * Declares a room's durable timers; to be called in `onCreate`, which runs again on every node that the room comes to. A
 * timer that `onCreate` sets stays in a new room; in a restored one the saved timers take the place of all. A saved timer
 * whose handler is not declared any more is dropped with a warning. May be called again with other names.
 *
 * @throws RingsideError INTERNAL for a name that is declared already, or that has a colon
 */
export function durableTimers<Handlers extends Readonly<Record<string, TimerHandler>>>(
  room: Room,
  handlers: Handlers,
): DurableTimers<Handlers> {
  const timers = declared.get(room) ?? new RoomTimers(room);
  timers.declare(handlers);
  declared.set(room, timers);
  return timers;
}

/** What a checkpoint holds of a room's timers; undefined for a room that declared none. */
export function captureTimers(room: Room): readonly SavedTimer[] | undefined {
  return declared.get(room)?.saved;
}

/** Differs from what it was when captureTimers would give something new, or the clock is to be saved for their sake. */
export function timersPrint(room: Room): string | undefined {
  return declared.get(room)?.print;
}

/**
 * Arms what was saved instead of what onCreate did. To be called before the room's clock is set.
 *
 * @returns the names of those that were dropped, because nobody declares a handler for them
 */
export function restoreTimers(room: Room, { timers, elapsedMs }: Snapshot): string[] {
  const own = declared.get(room);
  if (timers !== undefined) return own?.restore(timers) ?? timers.map(({ name }) => name);
  // Saved by a class that had no durable timers: those of onCreate stay, by the clock that the room is about to get.
  own?.postpone(elapsedMs - room.clock.elapsedTime);
  return [];
}

const declared = new WeakMap<Room, RoomTimers>();

class RoomTimers implements DurableTimers<Readonly<Record<string, TimerHandler>>> {
  readonly #room: Room;
  readonly #handlers = new Map<string, TimerHandler>();
  readonly #armed = new Map<string, SavedTimer>();
  /** Looks at each tick for what is due: by the clock itself, as clock timers fall behind it when one of them throws. */
  #look: Delayed | undefined;
  #changes = 0;

  constructor(room: Room) {
    this.#room = room;
  }

  declare(handlers: Readonly<Record<string, TimerHandler>>): void {
    for (const timer of Object.keys(handlers)) {
      if (timer.includes(":")) throw refusal(timer, "the name of a timer's handler has no colon");
      if (this.#handlers.has(timer))
        throw refusal(timer, "this room has declared a timer of this name already");
    }
    for (const [name, handler] of Object.entries(handlers)) this.#handlers.set(name, handler);
  }

  set(name: string, delayMs: number, payload?: unknown): void {
    if (!Number.isFinite(delayMs) || delayMs < 0) {
      throw refusal(name, `its delay must be finite and not below 0, in ms, and is ${delayMs}`);
    }
    this.#arm(name, delayMs, payload);
  }

  every(name: string, everyMs: number, payload?: unknown): void {
    if (!Number.isFinite(everyMs) || everyMs < 1) {
      throw refusal(name, `its interval must be finite and not below 1, in ms, and is ${everyMs}`);
    }
    this.#arm(name, everyMs, payload, everyMs);
  }

  clear(name: string): void {
    this.#obeyClock();
    if (this.#armed.delete(name)) this.#changes += 1;
  }

  leftMs(name: string): number | undefined {
    this.#obeyClock();
    const timer = this.#armed.get(name);
    return timer && Math.max(0, timer.dueAtMs - this.#room.clock.elapsedTime);
  }

  get saved(): SavedTimer[] {
    this.#obeyClock();
    return [...this.#armed.values()];
  }

  get print(): string {
    this.#obeyClock();
    const { elapsedTime } = this.#room.clock;
    return `${this.#changes} ${this.#armed.size > 0 ? Math.floor(elapsedTime / CLOCK_SAVED_EVERY_MS) : ""}`;
  }

  restore(timers: readonly SavedTimer[]): string[] {
    const known = timers.filter(({ name }) => this.#handlerOf(name) !== undefined);
    this.#replaceAll(known);
    return timers.filter((timer) => !known.includes(timer)).map(({ name }) => name);
  }

  postpone(ms: number): void {
    this.#replaceAll(this.saved.map((timer) => ({ ...timer, dueAtMs: timer.dueAtMs + ms })));
  }

  #replaceAll(timers: readonly SavedTimer[]): void {
    this.#armed.clear();
    for (const timer of timers) this.#armed.set(timer.name, timer);
    this.#changes += 1;
    if (timers.length > 0) this.#keepLooking();
  }

  #arm(name: string, delayMs: number, payload: unknown, everyMs?: number): void {
    this.#obeyClock();
    if (this.#handlerOf(name) === undefined) throw refusal(name, "this room declares no timer of this name");
    if (this.#armed.size >= TIMERS_MAX && !this.#armed.has(name)) {
      throw refusal(name, `a room has at most ${TIMERS_MAX} timers armed`);
    }
    const dueAtMs = this.#room.clock.elapsedTime + delayMs;
    const timer = { name, dueAtMs, payload: copyOf(name, payload) };
    this.#armed.set(name, everyMs === undefined ? timer : { ...timer, everyMs });
    this.#changes += 1;
    this.#keepLooking();
  }

  #keepLooking(): void {
    if (this.#look?.active === true) return;
    this.#look = this.#room.clock.setInterval(() => this.#fireDue(), 0);
  }

  /** After `clock.clear()` nothing is armed. */
  #obeyClock(): void {
    if (this.#look?.active !== false) return;
    this.#look = undefined;
    if (this.#armed.size > 0) this.#changes += 1;
    this.#armed.clear();
  }

  /** One that throws leaves those after it to the next tick. */
  #fireDue(): unknown {
    const { elapsedTime } = this.#room.clock;
    const due: SavedTimer[] = [];
    for (const timer of this.#armed.values()) if (timer.dueAtMs <= elapsedTime) due.push(timer);
    const running: unknown[] = [];
    for (const timer of due.sort((a, b) => a.dueAtMs - b.dueAtMs)) {
      this.#obeyClock();
      if (this.#armed.get(timer.name) !== timer) continue; // a handler before it has cleared it, or set it anew
      running.push(this.#fire(timer, elapsedTime));
    }
    // Colyseus, where it has an onUncaughtException to tell, takes a timer's promise.
    return running.some((result) => result instanceof Promise) ? Promise.all(running) : undefined;
  }

  #fire(timer: SavedTimer, elapsedMs: number): unknown {
    const { name, dueAtMs, everyMs, payload } = timer;
    this.#changes += 1;
    if (everyMs === undefined) {
      this.#armed.delete(name);
    } else {
      const missed = Math.floor((elapsedMs - dueAtMs) / everyMs);
      this.#armed.set(name, { ...timer, dueAtMs: dueAtMs + (missed + 1) * everyMs });
    }
    // What set() takes for this name is what its handler takes; of a saved one the author's own release said the same.
    const handler = this.#handlerOf(name) as ((payload: unknown, key: string) => unknown) | undefined;
    return handler?.(everyMs === undefined ? payload : copyOf(name, payload), keyOf(name));
  }

  #handlerOf(name: string): TimerHandler | undefined {
    return this.#handlers.get(name.split(":", 1)[0] ?? "");
  }
}

function keyOf(name: string): string {
  const colon = name.indexOf(":");
  return colon === -1 ? "" : name.slice(colon + 1);
}

function copyOf(name: string, payload: unknown): unknown {
  return copyAsSaved(payload, `payload of timer ${name}`);
}

function refusal(timer: string, why: string): RingsideError {
  return new RingsideError("INTERNAL", { timer, why });
}
