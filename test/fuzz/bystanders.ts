// Players with the stock SDK who do nothing wrong, in the very rooms and at the very gateways that are attacked.

import type { Client, Room } from "@colyseus/sdk";
import { systemClock } from "../../src/runtime/clock.ts";

export interface Gaps {
  readonly patches: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class Bystander {
  readonly room: Room;
  readonly where: string;
  readonly troubles: string[] = [];
  #gaps: number[] = [];
  #lastMs = systemClock.monotonicMs();

  constructor(room: Room, where: string) {
    this.room = room;
    this.where = where;
    room.onStateChange(() => {
      const nowMs = systemClock.monotonicMs();
      this.#gaps.push(nowMs - this.#lastMs);
      this.#lastMs = nowMs;
    });
    room.onMessage("*", () => {});
    room.onDrop((code) => void this.troubles.push(`dropped with ${code}`));
    room.onLeave((code) => void this.troubles.push(`left with ${code}`));
    room.onError((code, message) => void this.troubles.push(`error ${code} ${message ?? ""}`));
  }

  static async join(client: Client, roomId: string, where: string): Promise<Bystander> {
    return new Bystander(await client.joinById(roomId, { name: "by" }), where);
  }

  /** The gaps between patches since the last call. */
  takeGaps(): number[] {
    const gaps = this.#gaps;
    this.#gaps = [];
    return gaps;
  }
}

export function gapsOf(all: readonly number[]): Gaps {
  const sorted = [...all].sort((one, other) => one - other);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN);
  return {
    patches: sorted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: Math.round(sorted.at(-1) ?? Number.NaN),
  };
}
