// Who is in the arena: players come, are away for a while, and go; bots fill what is left.

import { AWAY_TICKS_MAX, CROWN, LOOKS, PLAYER, POPULATION } from "./arena-field.ts";
import { freeSpot, roll } from "./arena-chance.ts";
import { Player, type ArenaState } from "./arena-state.ts";
import type { UnseenBook } from "./arena-unseen.ts";

export function addPlayer(state: ArenaState, key: string, name: string, isBot = false): Player {
  const player = new Player();
  player.name = name;
  player.isBot = isBot;
  player.look = freeLook(state);
  const spot = freeSpot(state, PLAYER.radius);
  player.x = spot.x;
  player.y = spot.y;
  player.facing = roll(state) * Math.PI * 2;
  state.players.set(key, player);
  return player;
}

/** Takes a player out. A crown they held stays where they were. */
export function removePlayer(state: ArenaState, unseen: UnseenBook, key: string): void {
  if (state.crown.holder === key) {
    state.crown.holder = "";
    state.crown.safeUntilTick = state.tick + CROWN.safeTicks;
  }
  state.players.delete(key);
  unseen.delete(key);
}

/** The body stays where it is, keeps its score, and wants nothing. */
export function markAway(state: ArenaState, player: Player): void {
  player.isAway = true;
  player.awaySinceTick = state.tick;
}

/** Bots fill the arena up to the wanted number and give way to humans. */
export function keepPopulation(state: ArenaState, unseen: UnseenBook = new Map()): void {
  const bots = [...state.players].filter(([, player]) => player.isBot);
  const humans = state.players.size - bots.length;
  const botsWanted = Math.max(0, POPULATION.wanted - humans);
  for (let count = bots.length; count < botsWanted; count++) {
    const key = `bot-${state.nextKey++}`;
    addPlayer(state, key, freeBotName(state), true);
  }
  // The least of the bots leaves first, and never the one everybody is chasing while another can go.
  const leaving = bots.sort(([a, one], [b, other]) => worth(state, a, one) - worth(state, b, other));
  for (const [key] of leaving.slice(0, Math.max(0, bots.length - botsWanted)))
    removePlayer(state, unseen, key);
}

/**
 * Takes out whoever has been away for longer than a seat is held. Normally the room's onLeave has done so before; but a
 * room that was restored from a moment before that would keep a body that nobody can come back to.
 */
export function callRoll(state: ArenaState, unseen: UnseenBook): void {
  const gone = [...state.players].filter(([, player]) => {
    return player.isAway && state.tick - player.awaySinceTick > AWAY_TICKS_MAX;
  });
  for (const [key] of gone) removePlayer(state, unseen, key);
  if (gone.length > 0) keepPopulation(state, unseen);
}

function freeLook(state: ArenaState): number {
  const taken = [...state.players.values()].map((player) => player.look);
  for (let look = 0; look < LOOKS; look++) if (!taken.includes(look)) return look;
  return Math.floor(roll(state) * LOOKS);
}

const BOT_NAMES = ["Ada", "Bram", "Cleo", "Dov", "Enzo", "Faye", "Gus", "Hedy"] as const;

function freeBotName(state: ArenaState): string {
  const taken = new Set([...state.players.values()].map((player) => player.name));
  return BOT_NAMES.find((name) => !taken.has(name)) ?? `Bot ${state.nextKey}`;
}

function worth(state: ArenaState, key: string, player: Player): number {
  return player.score + (state.crown.holder === key ? 1_000_000 : 0);
}
