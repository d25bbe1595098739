// A stock SDK room with its comings and goings in the record. A player who is refused for good joins again as somebody
// new, because that is what people do.

import type { Client, Room } from "@colyseus/sdk";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Recorder } from "./recorder.ts";

/** Between two attempts to join. */
const AGAIN_MS = 500;

export class Connection<State = unknown> {
  readonly name: string;
  readonly roomId: string;
  readonly room: Room<unknown, State>;
  drops = 0;
  /** Since when it is cut off. */
  #awaySince: number | undefined;
  /** When the room was heard last. */
  #heardAt = systemClock.nowMs();
  #isLeaving = false;
  hasEnded = false;
  readonly #recorder: Recorder;

  constructor(name: string, room: Room<unknown, State>, recorder: Recorder) {
    this.name = name;
    this.room = room;
    this.roomId = room.roomId;
    this.#recorder = recorder;
    // The stock SDK counts a player who was there for less than 5 s as never there, and gives up after 56 s: a run has
    // players who are cut off again and again, and asks whether their seats are there, not whether they wait for them.
    room.reconnection.minUptime = 0;
    room.reconnection.maxDelay = 1_000;
    room.reconnection.maxRetries = 1_000;
    room.onError(() => {}); // follows a close; the close is what counts
    const heard = (): void => void (this.#heardAt = systemClock.nowMs());
    room.onMessage("*", heard);
    room.onStateChange(heard);
    room.onDrop(() => {
      this.drops += 1;
      this.#awaySince ??= systemClock.nowMs();
    });
    room.onReconnect(() => this.#back("resumed"));
    room.onLeave((code, reason) => {
      this.hasEnded = true;
      if (!this.#isLeaving) this.#back("refused", code, reason);
    });
  }

  get isOpen(): boolean {
    return !this.hasEnded && this.room.connection.isOpen && this.#awaySince === undefined;
  }

  /** Cuts the connection from the player's side, as a network does. @returns whether there was one */
  cut(): boolean {
    const { isOpen } = this;
    if (isOpen) this.room.connection.close();
    return isOpen;
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    if (this.isOpen) await this.room.leave();
  }

  /** The run is over: who is away now has not come back, and nobody tries any more. */
  close(): void {
    this.room.reconnection.enabled = false;
    if (this.#awaySince !== undefined && !this.hasEnded) this.#record("still-away");
    this.#isLeaving = true;
    this.room.connection.close();
  }

  #back(end: "resumed" | "refused", code?: number, reason?: string): void {
    this.#awaySince ??= systemClock.nowMs(); // refused without having been cut off
    this.#record(end, code, reason);
    this.#awaySince = undefined;
  }

  #record(end: "resumed" | "refused" | "still-away", code?: number, reason?: string): void {
    const { name: client, roomId } = this;
    const to = systemClock.nowMs();
    const how = { ...(code === undefined ? {} : { code }), ...(reason === undefined ? {} : { reason }) };
    const from = this.#awaySince ?? to;
    const heardAt = Math.min(this.#heardAt, from);
    this.#recorder.absences.push({ client, roomId, from, heardAt, to, end, ...how });
  }
}

/** Joins until it works or the run is over. */
export async function joinUntil<State>(
  recorder: Recorder,
  signal: AbortSignal,
  join: () => Promise<Room<unknown, State>>,
): Promise<Room<unknown, State> | undefined> {
  while (!signal.aborted) {
    try {
      return await join();
    } catch (error) {
      const { code } = error as { code?: unknown };
      recorder.refusedJoin(`${String(code)} ${messageOf(error)}`.slice(0, 100));
      await systemClock.sleep(AGAIN_MS, signal).catch(() => {});
    }
  }
  return undefined;
}

export type Door = () => Promise<Client>;
