// The rules of the arena: pure functions of the state and of what players want. No clock, no I/O, no other random
// than the seed in the state, so a test needs no server and a restarted room goes on where it was.
//
// The game: hold the crown and it pays, a point every other tick, twice that in the last seconds of a round. Whoever
// dashes into the holder takes it. Gems pay a little, boons help for a moment. The best at the end of the round wins.

import { jostle, move, settle } from "./arena-bodies.ts";
import { wishOfBot } from "./arena-bots.ts";
import { freeSpot, roll } from "./arena-chance.ts";
import {
  BOON,
  CROWN,
  DASH,
  EFFECT_NAMES,
  EFFECTS,
  FIELD,
  GEM,
  PLAYER,
  ROUND,
  STEAL,
  TICK_MS,
} from "./arena-field.ts";
import { STILL } from "./arena-messages.ts";
import { callRoll, keepPopulation } from "./arena-population.ts";
import { Boon, Crown, Gem, type ArenaState, type Player } from "./arena-state.ts";
import { unseenOf, type UnseenBook } from "./arena-unseen.ts";

const ROLL_CALL_TICKS = 20;
const TICK_SECONDS = TICK_MS / 1_000;

/** Sets up the first round. `seed` decides everything that chance decides from here on. */
export function openArena(state: ArenaState, seed: number): void {
  state.seed = seed >>> 0 || 1;
  state.crown = new Crown();
  keepPopulation(state);
  beginRound(state);
}

/** One tick of `TICK_MS`. */
export function step(state: ArenaState, unseen: UnseenBook): void {
  state.tick += 1;
  if (state.tick >= state.phaseEndsTick) {
    if (state.phase === "play") endRound(state);
    else beginRound(state);
  }
  if (state.tick % ROLL_CALL_TICKS === 0) callRoll(state, unseen);
  for (const [key, player] of state.players) steer(state, unseen, key, player);
  for (const player of state.players.values()) move(player);
  jostle(state);
  if (state.phase === "play") {
    stealByDash(state, unseen);
    takeFreeCrown(state);
    payHolder(state);
    collect(state);
    grow(state);
  }
  const holder = state.players.get(state.crown.holder);
  if (holder !== undefined) {
    state.crown.x = holder.x;
    state.crown.y = holder.y;
  }
}

/** What a tick of holding the crown is worth now: double in the rush at the end. */
export function isRush(state: ArenaState): boolean {
  return state.phase === "play" && state.phaseEndsTick - state.tick <= ROUND.rushTicks;
}

function beginRound(state: ArenaState): void {
  if (state.phase === "podium") state.round += 1;
  state.phase = "play";
  state.phaseEndsTick = state.tick + ROUND.ticks;
  for (const player of state.players.values()) player.score = 0;
  const { width, height } = FIELD;
  state.crown.holder = "";
  state.crown.x = width / 2 + (roll(state) - 0.5) * 240;
  state.crown.y = height / 2 + (roll(state) - 0.5) * 160;
  state.crown.safeUntilTick = state.tick + CROWN.safeTicks;
  state.gems.clear();
  state.boons.clear();
  for (let count = 0; count < GEM.count; count++) addGem(state);
}

function endRound(state: ArenaState): void {
  let bestKey = "";
  let best: Player | undefined;
  for (const [key, player] of state.players) {
    if (best === undefined || player.score > best.score) [bestKey, best] = [key, player];
  }
  state.phase = "podium";
  state.phaseEndsTick = state.tick + ROUND.podiumTicks;
  state.winnerKey = bestKey;
  state.winnerName = best?.name ?? "";
  if (best !== undefined) best.wins += 1;
  state.crown.holder = bestKey;
}

function steer(state: ArenaState, unseen: UnseenBook, key: string, player: Player): void {
  const own = unseen.get(key);
  const isStunned = player.stunUntilTick > state.tick;
  const wish = player.isBot
    ? wishOfBot(state, key, player, () => roll(state))
    : { move: player.isAway ? STILL : (own?.move ?? STILL), dash: !player.isAway && own?.wantsDash === true };
  if (own !== undefined) own.wantsDash = false;
  const isDashing = player.dashUntilTick > state.tick;
  if (isDashing) return;

  const { x, y } = isStunned ? STILL : wish.move;
  if (x !== 0 || y !== 0) player.facing = Math.atan2(y, x);
  if (wish.dash && !isStunned && state.phase === "play" && player.dashReadyTick <= state.tick) {
    player.vx = Math.cos(player.facing) * DASH.speed;
    player.vy = Math.sin(player.facing) * DASH.speed;
    player.dashUntilTick = state.tick + DASH.ticks;
    player.dashReadyTick = state.tick + DASH.waitTicks;
    return;
  }
  const speed = topSpeed(state, key, player);
  player.vx = settle(player.vx + (x * speed - player.vx) * PLAYER.grip);
  player.vy = settle(player.vy + (y * speed - player.vy) * PLAYER.grip);
}

function topSpeed(state: ArenaState, key: string, player: Player): number {
  const base = state.crown.holder === key ? PLAYER.crownedSpeed : PLAYER.speed;
  return player.swiftUntilTick > state.tick ? base * EFFECTS.swift.speedTimes : base;
}

function stealByDash(state: ArenaState, unseen: UnseenBook): void {
  const holderKey = state.crown.holder;
  const holder = state.players.get(holderKey);
  if (holder === undefined || state.crown.safeUntilTick > state.tick) return;
  for (const [key, thief] of state.players) {
    if (key === holderKey || thief.dashUntilTick <= state.tick) continue;
    if (Math.hypot(thief.x - holder.x, thief.y - holder.y) > PLAYER.radius * 2 + DASH.reach) continue;
    if (holder.shieldUntilTick > state.tick) {
      // The shield takes the blow and is gone; the thief bounces off.
      holder.shieldUntilTick = state.tick;
      stun(state, thief, holder);
      return;
    }
    const book = unseenOf(unseen, key);
    book.streak += 1;
    unseenOf(unseen, holderKey).streak = 0;
    thief.score += Math.min(STEAL.points + STEAL.morePerStreak * (book.streak - 1), STEAL.pointsMax);
    stun(state, holder, thief);
    giveCrown(state, key);
    return;
  }
}

/** Throws `player` back from `from` and takes their will for a moment. */
function stun(state: ArenaState, player: Player, from: Player): void {
  const away = Math.hypot(player.x - from.x, player.y - from.y) || 1;
  player.stunUntilTick = state.tick + CROWN.stunTicks;
  player.dashUntilTick = state.tick;
  player.vx = ((player.x - from.x) / away) * PLAYER.speed * 1.5;
  player.vy = ((player.y - from.y) / away) * PLAYER.speed * 1.5;
}

function takeFreeCrown(state: ArenaState): void {
  const { crown } = state;
  if (crown.holder !== "" || crown.safeUntilTick > state.tick) return;
  for (const [key, player] of state.players) {
    if (player.isAway || player.stunUntilTick > state.tick) continue;
    if (Math.hypot(player.x - crown.x, player.y - crown.y) > PLAYER.radius + 16) continue;
    giveCrown(state, key);
    return;
  }
}

function giveCrown(state: ArenaState, key: string): void {
  state.crown.holder = key;
  state.crown.safeUntilTick = state.tick + CROWN.safeTicks;
}

function payHolder(state: ArenaState): void {
  const holder = state.players.get(state.crown.holder);
  // Someone who is away keeps the crown until it is stolen, but earns nothing by not being there.
  if (holder === undefined || holder.isAway || state.tick % CROWN.ticksPerPoint !== 0) return;
  holder.score += isRush(state) ? 2 : 1;
}

function collect(state: ArenaState): void {
  for (const player of state.players.values()) {
    if (player.isAway) continue;
    const isMagnet = player.magnetUntilTick > state.tick;
    for (const [key, gem] of state.gems) {
      const away = Math.hypot(gem.x - player.x, gem.y - player.y);
      if (away <= PLAYER.radius + GEM.radius) {
        state.gems.delete(key);
        player.score += GEM.points;
      } else if (isMagnet && away < EFFECTS.magnet.reach) {
        const pull = Math.min(EFFECTS.magnet.speed * TICK_SECONDS, away);
        gem.x += ((player.x - gem.x) / away) * pull;
        gem.y += ((player.y - gem.y) / away) * pull;
      }
    }
    for (const [key, boon] of state.boons) {
      if (Math.hypot(boon.x - player.x, boon.y - player.y) > PLAYER.radius + BOON.radius) continue;
      state.boons.delete(key);
      const untilTick = state.tick + EFFECTS[boon.kind].ticks;
      if (boon.kind === "swift") player.swiftUntilTick = untilTick;
      else if (boon.kind === "magnet") player.magnetUntilTick = untilTick;
      else player.shieldUntilTick = untilTick;
    }
  }
}

/** One new gem every half second until there are enough again, and a boon now and then. */
function grow(state: ArenaState): void {
  if (state.gems.size < GEM.count && state.tick % 10 === 0) addGem(state);
  if (state.boons.size < BOON.countMax && state.tick % BOON.everyTicks === 0) {
    const boon = new Boon();
    const spot = freeSpot(state, BOON.radius);
    boon.x = spot.x;
    boon.y = spot.y;
    boon.kind = EFFECT_NAMES[Math.floor(roll(state) * EFFECT_NAMES.length)] ?? "swift";
    state.boons.set(`boon-${state.nextKey++}`, boon);
  }
}

function addGem(state: ArenaState): void {
  const gem = new Gem();
  const spot = freeSpot(state, GEM.radius);
  gem.x = spot.x;
  gem.y = spot.y;
  state.gems.set(`gem-${state.nextKey++}`, gem);
}
