// What players heard of a room, by whom and when it was said, and what that proves: that never two spoke for it at a time.

import { expect } from "vitest";
import type { EventName } from "../../src/events.ts";
import type { TestCluster } from "./cluster.ts";
import type { Player } from "./player.ts";
import type { WitnessState } from "./witness-game.ts";

/** One thing the room said, as a player heard it. */
export interface Heard {
  /** The process that said it. */
  readonly by: number;
  readonly at: number;
  readonly tick: number;
  readonly heardAt: number;
}

/** A player of kit/witness-game.ts who remembers all that was said. */
export class Witness {
  readonly player: Player;
  readonly heard: Heard[] = [];

  constructor(player: Player) {
    this.player = player;
    player.room.onStateChange((state) => {
      const { saidBy: by, saidAt: at, tick } = state as WitnessState;
      if (by !== 0 && this.heard.at(-1)?.at !== at) this.heard.push({ by, at, tick, heardAt: Date.now() });
    });
  }

  /** Who spoke, in the order in which this player heard them. */
  get voices(): number[] {
    return runs(this.heard);
  }

  /** The longest time in which the room said nothing, of what was said from `since` on. */
  silenceMs(since = 0): number {
    const times = this.heard.map(({ at }) => at).filter((at) => at >= since);
    return Math.max(0, ...times.slice(1).map((at, index) => at - (times[index] ?? at)));
  }
}

/**
 * That of any two processes that spoke for a room, one was done before the other began: by when it was said, of all that
 * these players heard together, and by when each of them heard it.
 *
 * @param witnesses all in the same room
 * @returns the processes, in order
 */
export function expectOneVoice(...witnesses: readonly Witness[]): number[] {
  const all = witnesses.flatMap(({ heard }) => heard).toSorted((one, other) => one.at - other.at);
  const voices = runs(all);
  expect(new Set(voices).size, `who spoke, by the time it was said: ${voices.join()}`).toBe(voices.length);
  for (const witness of witnesses) {
    const order = witness.voices;
    expect(new Set(order).size, `who spoke, as ${witness.player.sessionId} heard it: ${order.join()}`).toBe(
      order.length,
    );
  }
  // While one process has it, the world never steps back; between two, it may go back to what was saved.
  for (const voice of voices) {
    const ticks = all.filter(({ by }) => by === voice).map(({ tick }) => tick);
    expect(
      ticks.every((tick, index) => index === 0 || tick >= (ticks[index - 1] ?? 0)),
      `the ticks of process ${voice} only rise`,
    ).toBe(true);
  }
  return voices;
}

/** What tells that somebody thought that something had died. */
const ALARMS: readonly EventName[] = [
  "node:lost",
  "node:fenced",
  "lease:lapsed",
  "failsafe:entered",
  "room:restored",
  "room:fenced",
  "checkpoint:refused",
];

/** That nobody was thought dead: no node, and none of the rooms of these witnesses. */
export function expectNoAlarm(cluster: TestCluster, ...witnesses: readonly Witness[]): void {
  const rooms = new Set<unknown>(witnesses.map(({ player }) => player.roomId));
  const alarms = cluster.events.all.filter(({ event, facts }) => {
    // A room that has ended may refuse what was on its way to be saved.
    return ALARMS.includes(event) && (!("roomId" in facts) || rooms.has(facts.roomId));
  });
  expect(alarms).toEqual([]);
}

/** The speakers, each named once for as long as nobody else spoke. */
function runs(heard: readonly Heard[]): number[] {
  return heard.map(({ by }) => by).filter((by, index, all) => index === 0 || by !== all[index - 1]);
}
