// A player with the stock SDK, and what a test asks of one: what they see, what the room says, how often they were cut off.

import { isDeepStrictEqual } from "node:util";
import type { Client, Room } from "@colyseus/sdk";
import { expect } from "vitest";
import { until } from "./until.ts";
import type { Facts } from "./probe-room.ts";

/** What `ProbeState.toJSON()` gives. */
export interface Seen {
  readonly tick: number;
  readonly creates: number;
  readonly players: Readonly<
    Record<
      string,
      {
        readonly score: number;
        readonly joinedAs: string;
        readonly medals: readonly { name: string; worth: number }[];
        readonly best: { name: string; worth: number };
      }
    >
  >;
  readonly calls: Readonly<
    Record<string, { readonly joins: number; readonly reconnects: number; readonly leaves: number }>
  >;
  readonly trail: readonly string[];
  readonly tags: readonly string[];
}

const info = console.info.bind(console);
// The SDK tells of each retry on the console; a test that fails has better to tell.
console.info = (...words: unknown[]) => {
  if (!String(words[0]).startsWith("[Colyseus reconnection]")) info(...words);
};

export class Player {
  readonly room: Room;
  readonly sessionId: string;
  readonly roomId: string;
  /** The codes and reasons with which connections ended that the SDK tried to get back. */
  readonly dropped: string[] = [];
  returns = 0;
  /** The code with which the session ended for good, if it did. */
  leftWith: number | undefined;
  /** Every counter value seen, with the time at which it was. */
  readonly ticks: { readonly tick: number; readonly at: number }[] = [];

  constructor(room: Room) {
    this.room = room;
    this.sessionId = room.sessionId;
    this.roomId = room.roomId;
    room.reconnection.minUptime = 0;
    // The stock SDK waits up to 5 s between tries; a test cannot.
    room.reconnection.maxDelay = 400;
    room.reconnection.maxRetries = 200;
    room.onDrop((code, reason) => void this.dropped.push(`${code} ${reason ?? ""}`));
    room.onReconnect(() => void (this.returns += 1));
    room.onLeave((code) => (this.leftWith = code));
    room.onError(() => {}); // follows a close; the close is what counts
    room.onStateChange((state) => {
      const { tick } = state as { tick: number };
      if (this.ticks.at(-1)?.tick !== tick) this.ticks.push({ tick, at: Date.now() });
    });
  }

  static async create(client: Client, name: string, options: object = {}): Promise<Player> {
    return new Player(await client.create(name, options));
  }

  static async join(client: Client, roomId: string, options: object = {}): Promise<Player> {
    return new Player(await client.joinById(roomId, options));
  }

  get drops(): number {
    return this.dropped.length;
  }

  ask<Answer>(type: string, message?: unknown): Promise<Answer> {
    // The probe rooms' messages are untyped here: a test speaks to them by name.
    return this.room.request(type as never, message as never, {
      timeout: 5_000,
    }) as unknown as Promise<Answer>;
  }

  send(type: string, message?: unknown): void {
    this.room.send(type as never, message as never);
  }

  facts(): Promise<Facts> {
    return this.ask<Facts>("facts");
  }

  /** The mirror that the SDK keeps. */
  get mirror(): Seen {
    return plain((this.room.state as { toJSON(): unknown }).toJSON());
  }

  get tick(): number {
    return (this.room.state as { tick: number }).tick;
  }

  /** Waits until this player is connected and what they see is, in every part, what the room holds. Returns it. */
  async inSync(): Promise<Seen> {
    let server: Seen | undefined;
    return until(
      `${this.sessionId} sees what the room holds`,
      async () => {
        server = plain<Seen>(await this.ask("state"));
        return isDeepStrictEqual(this.mirror, server) && server;
      },
      {
        seen: () => ({
          mirror: this.mirror,
          server,
          dropped: this.dropped,
          returns: this.returns,
          leftWith: this.leftWith,
        }),
      },
    );
  }

  /** Waits until the world has gone on since now. */
  async untilTicking(): Promise<void> {
    const from = this.ticks.length;
    await until(`${this.sessionId} sees the world go on`, () => this.ticks.length > from + 1, {
      seen: () => ({
        last: this.ticks.at(-1),
        dropped: this.dropped,
        returns: this.returns,
        leftWith: this.leftWith,
      }),
    });
  }

  /** That this player has noticed nothing at all. */
  expectUndisturbed(): void {
    const { dropped, leftWith } = this;
    expect({ dropped, leftWith }).toEqual({ dropped: [], leftWith: undefined });
  }
}

/** As it is after a journey through JSON: what is compared must not differ by prototypes. */
function plain<Value>(value: unknown): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}
