// One state of the arena as plain values, copied from the room's live state when a patch has come in.
//
// The live state changes under one's hands and goes away with the room; a picture stays, which is what lets the page
// keep showing the arena while the connection is lost.

import type { EffectName } from "../rooms/arena/arena-field.ts";
import type { ArenaState } from "../rooms/arena/arena-state.ts";

export interface PlayerPicture {
  readonly key: string;
  readonly name: string;
  readonly isBot: boolean;
  readonly isAway: boolean;
  readonly look: number;
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
  readonly facing: number;
  readonly score: number;
  readonly wins: number;
  readonly isDashing: boolean;
  readonly isStunned: boolean;
  /** From 0, just dashed, to 1, ready. */
  readonly dashReady: number;
  readonly effects: readonly EffectName[];
}

export interface Spot {
  readonly key: string;
  readonly x: number;
  readonly y: number;
}

export interface Picture {
  readonly tick: number;
  readonly resumedTick: number;
  readonly phase: "play" | "podium";
  readonly leftTicks: number;
  readonly round: number;
  readonly winnerName: string;
  readonly winnerKey: string;
  readonly players: ReadonlyMap<string, PlayerPicture>;
  readonly gems: readonly Spot[];
  readonly boons: readonly (Spot & { readonly kind: EffectName })[];
  readonly crown: { readonly x: number; readonly y: number; readonly holder: string };
}

export function takePicture(state: ArenaState, dashWaitTicks: number): Picture {
  const { tick } = state;
  const players = new Map<string, PlayerPicture>();
  for (const [key, player] of state.players) {
    const { name, isBot, isAway, look, x, y, vx, vy, facing, score, wins } = player;
    const effects: EffectName[] = [];
    if (player.swiftUntilTick > tick) effects.push("swift");
    if (player.magnetUntilTick > tick) effects.push("magnet");
    if (player.shieldUntilTick > tick) effects.push("shield");
    const waitTicks = Math.max(0, player.dashReadyTick - tick);
    players.set(key, {
      key,
      name,
      isBot,
      isAway,
      look,
      x,
      y,
      vx,
      vy,
      facing,
      score,
      wins,
      effects,
      isDashing: player.dashUntilTick > tick,
      isStunned: player.stunUntilTick > tick,
      dashReady: 1 - Math.min(1, waitTicks / dashWaitTicks),
    });
  }
  return {
    tick,
    resumedTick: state.resumedTick,
    phase: state.phase,
    leftTicks: Math.max(0, state.phaseEndsTick - tick),
    round: state.round,
    winnerName: state.winnerName,
    winnerKey: state.winnerKey,
    players,
    gems: [...state.gems].map(([key, { x, y }]) => ({ key, x, y })),
    boons: [...state.boons].map(([key, { x, y, kind }]) => ({ key, x, y, kind })),
    crown: { x: state.crown.x, y: state.crown.y, holder: state.crown.holder },
  };
}

/** Players from best to least, you before others of the same score. */
export function ranking(picture: Picture, ownKey: string): PlayerPicture[] {
  return [...picture.players.values()].sort(
    (a, b) =>
      b.score - a.score || Number(b.key === ownKey) - Number(a.key === ownKey) || (a.key < b.key ? -1 : 1),
  );
}
