// How bodies move: by their velocity, around pillars, off the walls and off each other.

import { FIELD, PILLARS, PLAYER, TICK_MS } from "./arena-field.ts";
import type { ArenaState, Player } from "./arena-state.ts";

const TICK_SECONDS = TICK_MS / 1_000;

/** A body at rest is at rest: a speed that only fades would be sent with every patch, for ever. */
export function settle(speed: number): number {
  return Math.abs(speed) < 1 ? 0 : speed;
}

/** One tick of a body's way. */
export function move(player: Player): void {
  const { radius } = PLAYER;
  let x = player.x + player.vx * TICK_SECONDS;
  let y = player.y + player.vy * TICK_SECONDS;
  for (const pillar of PILLARS) {
    const reach = pillar.radius + radius;
    const away = Math.hypot(x - pillar.x, y - pillar.y);
    if (away >= reach) continue;
    const [nx, ny] = away === 0 ? [1, 0] : [(x - pillar.x) / away, (y - pillar.y) / away];
    x = pillar.x + nx * reach;
    y = pillar.y + ny * reach;
  }
  player.x = clamp(x, radius, FIELD.width - radius);
  player.y = clamp(y, radius, FIELD.height - radius);
}

/** Bodies that overlap push each other apart, each by half of the overlap. */
export function jostle(state: ArenaState): void {
  const players = [...state.players.values()];
  for (const [index, one] of players.entries()) {
    for (const other of players.slice(index + 1)) {
      const away = Math.hypot(other.x - one.x, other.y - one.y);
      const overlap = PLAYER.radius * 2 - away;
      if (overlap <= 0) continue;
      const [nx, ny] = away === 0 ? [1, 0] : [(other.x - one.x) / away, (other.y - one.y) / away];
      const push = overlap / 2;
      one.x = clamp(one.x - nx * push, PLAYER.radius, FIELD.width - PLAYER.radius);
      one.y = clamp(one.y - ny * push, PLAYER.radius, FIELD.height - PLAYER.radius);
      other.x = clamp(other.x + nx * push, PLAYER.radius, FIELD.width - PLAYER.radius);
      other.y = clamp(other.y + ny * push, PLAYER.radius, FIELD.height - PLAYER.radius);
    }
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
