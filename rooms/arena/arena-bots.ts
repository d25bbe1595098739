// How a bot plays: a look at the state, and a wish out of it. It sees what players see and obeys the same rules.
//
// A third of them hunt the crown, the others pick gems until the crown comes near, so that the arena does not become
// one heap in the middle. Chance decides when a bot dares to dash; the caller owns the dice.

import { DASH, FIELD, PILLARS, PLAYER } from "./arena-field.ts";
import type { Move } from "./arena-messages.ts";
import type { ArenaState, Player } from "./arena-state.ts";

export interface Wish {
  readonly move: Move;
  readonly dash: boolean;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const DASH_RANGE = (DASH.speed * DASH.ticks) / 20 + PLAYER.radius;
/** A bot in range dashes with this chance a tick: every two seconds or so, so that a human can dodge. */
const DARING = 0.028;
/** Bots see at once what takes a human a fifth of a second, so they run a little slower. */
const HASTE = 0.86;
const GATHERER_SIGHT = 150;

export function wishOfBot(state: ArenaState, key: string, bot: Player, random: () => number): Wish {
  if (state.phase !== "play") return { move: { x: 0, y: 0 }, dash: false };
  if (state.crown.holder === key) return flee(state, key, bot, random);

  const crownAway = distance(bot, state.crown);
  const isHunter = bot.look % 3 === 0;
  if (isHunter || crownAway < GATHERER_SIGHT) {
    const holder = state.players.get(state.crown.holder);
    const target = holder === undefined ? state.crown : ahead(holder, crownAway);
    const mayDash = holder !== undefined && crownAway < DASH_RANGE && random() < DARING;
    return { move: around(bot, target), dash: mayDash };
  }
  return {
    move: around(bot, nearest(bot, [...state.boons.values(), ...state.gems.values()]) ?? state.crown),
    dash: false,
  };
}

/** Away from the others, the nearer the more, and away from the walls, where there is no way out. */
function flee(state: ArenaState, key: string, bot: Player, random: () => number): Wish {
  let x = 0;
  let y = 0;
  let nearestAway = Infinity;
  for (const [otherKey, other] of state.players) {
    if (otherKey === key) continue;
    const away = Math.max(distance(bot, other), 1);
    nearestAway = Math.min(nearestAway, away);
    const weight = 1 / (away * away);
    x += (bot.x - other.x) * weight;
    y += (bot.y - other.y) * weight;
  }
  const wall = 0.02;
  x += wall * (inverse(bot.x) - inverse(FIELD.width - bot.x)) * 60;
  y += wall * (inverse(bot.y) - inverse(FIELD.height - bot.y)) * 60;
  const length = Math.hypot(x, y) || 1;
  const goal = { x: bot.x + (x / length) * 200, y: bot.y + (y / length) * 200 };
  return { move: around(bot, goal), dash: nearestAway < 90 && random() < DARING };
}

/** Where a holder will be when the hunter arrives. */
function ahead(holder: Player, away: number): Point {
  const leadSeconds = Math.min(away / 900, 0.4);
  return { x: holder.x + holder.vx * leadSeconds, y: holder.y + holder.vy * leadSeconds };
}

/** The direction to `goal`, bent past a pillar that stands in the way. */
function around(from: Point, goal: Point): Move {
  const away = Math.max(distance(from, goal), 1);
  let x = (goal.x - from.x) / away;
  let y = (goal.y - from.y) / away;
  for (const pillar of PILLARS) {
    const px = pillar.x - from.x;
    const py = pillar.y - from.y;
    const along = px * x + py * y;
    const across = px * -y + py * x;
    const clearance = pillar.radius + PLAYER.radius + 12;
    if (along <= 0 || along > Math.min(away, 190) || Math.abs(across) > clearance) continue;
    const side = across > 0 ? -1 : 1;
    const bend = (1 - Math.abs(across) / clearance) * 1.6;
    [x, y] = [x - y * side * bend, y + x * side * bend];
  }
  const length = (Math.hypot(x, y) || 1) / HASTE;
  return { x: x / length, y: y / length };
}

function nearest<T extends Point>(from: Point, points: readonly T[]): T | undefined {
  let best: T | undefined;
  let bestAway = Infinity;
  for (const point of points) {
    const away = distance(from, point);
    if (away < bestAway) [best, bestAway] = [point, away];
  }
  return best;
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function inverse(value: number): number {
  return 1 / Math.max(value, 1);
}
