// The arena's rules, played without a server.

import { describe, expect, test } from "vitest";
import {
  AWAY_TICKS_MAX,
  CROWN,
  DASH,
  FIELD,
  GEM,
  PILLARS,
  PLAYER,
  POPULATION,
  ROUND,
  STEAL,
} from "../../rooms/arena/arena-field.ts";
import { roll } from "../../rooms/arena/arena-chance.ts";
import { STILL } from "../../rooms/arena/arena-messages.ts";
import { addPlayer, keepPopulation, markAway, removePlayer } from "../../rooms/arena/arena-population.ts";
import { isRush, openArena, step } from "../../rooms/arena/arena-rules.ts";
import { ArenaState, Crown, type Player } from "../../rooms/arena/arena-state.ts";
import { unseenOf, type UnseenBook } from "../../rooms/arena/arena-unseen.ts";

/** An arena of humans alone, each where the test puts them: no bots, no gems, no crown in reach. */
function emptyArena(...places: { x: number; y: number }[]): {
  state: ArenaState;
  unseen: UnseenBook;
  players: Player[];
} {
  const state = new ArenaState();
  state.crown = new Crown();
  state.crown.x = 800;
  state.crown.y = 960;
  state.phaseEndsTick = ROUND.ticks;
  const unseen: UnseenBook = new Map();
  const players = places.map((place, index) => {
    const player = addPlayer(state, `p${index + 1}`, `Player ${index + 1}`);
    player.x = place.x;
    player.y = place.y;
    return player;
  });
  return { state, unseen, players };
}

function first(players: readonly Player[]): Player {
  const [player] = players;
  if (player === undefined) throw new Error("the arena of this test has no player");
  return player;
}

function steps(state: ArenaState, unseen: UnseenBook, count: number): void {
  for (let done = 0; done < count; done++) step(state, unseen);
}

describe("moving", () => {
  test.each([
    { move: { x: 1, y: 0 }, dx: 1, dy: 0 },
    { move: { x: -1, y: 0 }, dx: -1, dy: 0 },
    { move: { x: 0, y: 1 }, dx: 0, dy: 1 },
    { move: { x: 0, y: -1 }, dx: 0, dy: -1 },
  ])("a wish $move moves the player that way, at most at the top speed", ({ move, dx, dy }) => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 500 });
    const player = first(players);
    unseenOf(unseen, "p1").move = move;
    steps(state, unseen, 20);
    expect(Math.sign(Math.round(player.x - 800))).toBe(dx);
    expect(Math.sign(Math.round(player.y - 500))).toBe(dy);
    expect(Math.hypot(player.vx, player.vy)).toBeLessThanOrEqual(PLAYER.speed + 0.01);
    expect(Math.hypot(player.x - 800, player.y - 500)).toBeLessThanOrEqual(PLAYER.speed);
  });

  test("a player who wishes nothing comes to rest, with a speed of exactly nothing", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 500 });
    unseenOf(unseen, "p1").move = { x: 1, y: 0 };
    steps(state, unseen, 10);
    unseenOf(unseen, "p1").move = STILL;
    steps(state, unseen, 20);
    expect(first(players).vx).toBe(0);
  });

  test("nobody leaves the field, and nobody stands in a pillar", () => {
    const { state, unseen, players } = emptyArena({ x: 60, y: 60 }, { x: 400, y: 400 });
    unseenOf(unseen, "p1").move = { x: -Math.SQRT1_2, y: -Math.SQRT1_2 };
    unseenOf(unseen, "p2").move = { x: 0, y: -1 };
    for (let tick = 0; tick < 60; tick++) {
      step(state, unseen);
      for (const player of players) {
        expect(player.x).toBeGreaterThanOrEqual(PLAYER.radius);
        expect(player.y).toBeGreaterThanOrEqual(PLAYER.radius);
        for (const pillar of PILLARS) {
          const away = Math.hypot(player.x - pillar.x, player.y - pillar.y);
          expect(away).toBeGreaterThan(pillar.radius + PLAYER.radius - 1);
        }
      }
    }
  });

  test("two players in one spot are pushed apart", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 500 }, { x: 800, y: 500 });
    steps(state, unseen, 30);
    const [one, other] = players;
    expect(Math.abs((one?.x ?? 0) - (other?.x ?? 0))).toBeGreaterThan(PLAYER.radius);
  });

  test("a dash is faster than running, and cannot be repeated before its time", () => {
    const { state, unseen, players } = emptyArena({ x: 300, y: 500 });
    const player = first(players);
    player.facing = 0;
    unseenOf(unseen, "p1").wantsDash = true;
    step(state, unseen);
    expect(player.vx).toBeCloseTo(DASH.speed);
    const dashedAtTick = state.tick;
    for (let tick = 0; tick < DASH.waitTicks - 1; tick++) {
      unseenOf(unseen, "p1").wantsDash = true;
      step(state, unseen);
      if (state.tick > dashedAtTick + DASH.ticks + 6) expect(player.vx).toBeLessThan(PLAYER.speed);
    }
    unseenOf(unseen, "p1").wantsDash = true;
    step(state, unseen);
    expect(player.vx).toBeCloseTo(DASH.speed);
  });

  test("someone who is away stands still and wants nothing", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 500 });
    const player = first(players);
    player.isAway = true;
    unseenOf(unseen, "p1").move = { x: 1, y: 0 };
    steps(state, unseen, 10);
    expect(player.x).toBe(800);
  });
});

describe("the crown", () => {
  test("whoever touches a free crown holds it, and it pays", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 950 });
    step(state, unseen);
    expect(state.crown.holder).toBe("p1");
    const before = first(players).score;
    steps(state, unseen, 20);
    expect(first(players).score - before).toBe(20 / CROWN.ticksPerPoint);
  });

  test("it pays double in the rush at the end of a round", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 950 });
    state.crown.holder = "p1";
    state.phaseEndsTick = state.tick + ROUND.rushTicks;
    expect(isRush(state)).toBe(true);
    steps(state, unseen, 20);
    expect(first(players).score).toBe((20 / CROWN.ticksPerPoint) * 2);
  });

  test("it pays nothing to someone who is away, who keeps the score and the crown", () => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 950 });
    const player = first(players);
    Object.assign(player, { isAway: true, score: 77 });
    state.crown.holder = "p1";
    steps(state, unseen, 20);
    expect(player.score).toBe(77);
    expect(state.crown.holder).toBe("p1");
  });

  test.each([
    { what: "a dash takes it", shield: false, safe: false, holder: "p2", points: STEAL.points },
    { what: "a shield keeps it, once", shield: true, safe: false, holder: "p1", points: 0 },
    {
      what: "it is safe for a moment after it changed hands",
      shield: false,
      safe: true,
      holder: "p1",
      points: 0,
    },
  ])("$what", ({ shield, safe, holder, points }) => {
    const { state, unseen, players } = emptyArena({ x: 800, y: 500 }, { x: 730, y: 500 });
    const [holding, thief] = players;
    state.crown.holder = "p1";
    if (safe) state.crown.safeUntilTick = 1_000;
    if (shield && holding !== undefined) holding.shieldUntilTick = 1_000;
    if (thief !== undefined) thief.facing = 0;
    unseenOf(unseen, "p2").wantsDash = true;
    step(state, unseen);
    expect(state.crown.holder).toBe(holder);
    expect(thief?.score).toBe(points);
    if (shield) expect(holding?.shieldUntilTick).toBeLessThanOrEqual(state.tick);
    if (holder === "p2") expect(holding?.stunUntilTick).toBeGreaterThan(state.tick);
  });

  test.each([
    { streakBefore: 0, points: 10 },
    { streakBefore: 1, points: 15 },
    { streakBefore: 4, points: 30 },
    { streakBefore: 90, points: STEAL.pointsMax },
  ])(
    "a steal after $streakBefore in a row pays $points and ends the other's row",
    ({ streakBefore, points }) => {
      const { state, unseen, players } = emptyArena({ x: 800, y: 500 }, { x: 730, y: 500 });
      state.crown.holder = "p1";
      unseenOf(unseen, "p1").streak = 3;
      Object.assign(unseenOf(unseen, "p2"), { streak: streakBefore, wantsDash: true });
      Object.assign(players[1] ?? {}, { facing: 0 });
      step(state, unseen);
      expect(players[1]?.score).toBe(points);
      expect(unseen.get("p2")?.streak).toBe(streakBefore + 1);
      expect(unseen.get("p1")?.streak).toBe(0);
    },
  );

  test("a holder who leaves lets it fall where they stood", () => {
    const { state, unseen } = emptyArena({ x: 333, y: 500 }, { x: 900, y: 500 });
    state.crown.holder = "p1";
    step(state, unseen);
    removePlayer(state, unseen, "p1");
    expect(state.crown.holder).toBe("");
    expect(state.crown.x).toBeCloseTo(333);
    expect(unseen.has("p1")).toBe(false);
  });
});

describe("rounds", () => {
  test("the best wins, a pause follows, and the next round starts at zero", () => {
    const { state, unseen, players } = emptyArena({ x: 300, y: 500 }, { x: 900, y: 500 });
    Object.assign(players[0] ?? {}, { score: 5 });
    Object.assign(players[1] ?? {}, { score: 9 });
    state.phaseEndsTick = state.tick + 1;
    step(state, unseen);
    expect(state).toMatchObject({ phase: "podium", winnerName: "Player 2", winnerKey: "p2", round: 1 });
    expect(players[1]?.wins).toBe(1);
    steps(state, unseen, ROUND.podiumTicks);
    expect(state).toMatchObject({ phase: "play", round: 2 });
    expect(players.map((player) => player.score)).toEqual([0, 0]);
    expect(state.gems.size).toBe(GEM.count);
    expect(players[1]?.wins).toBe(1);
  });
});

describe("population", () => {
  test.each([
    { humans: 0, bots: POPULATION.wanted },
    { humans: 1, bots: POPULATION.wanted - 1 },
    { humans: POPULATION.wanted, bots: 0 },
    { humans: POPULATION.humansMax, bots: 0 },
  ])("with $humans humans there are $bots bots", ({ humans, bots }) => {
    const state = new ArenaState();
    const unseen: UnseenBook = new Map();
    openArena(state, 7);
    for (let human = 0; human < humans; human++) {
      addPlayer(state, `h${human}`, "Human");
      keepPopulation(state, unseen);
    }
    expect([...state.players.values()].filter((player) => player.isBot)).toHaveLength(bots);
    for (let human = 0; human < humans; human++) removePlayer(state, unseen, `h${human}`);
    keepPopulation(state, unseen);
    expect(state.players.size).toBe(POPULATION.wanted);
  });

  test("the least of the bots leaves first, and not the one with the crown", () => {
    const state = new ArenaState();
    const unseen: UnseenBook = new Map();
    openArena(state, 7);
    const [crowned = "", least = ""] = [...state.players.keys()];
    for (const player of state.players.values()) player.score = 50;
    Object.assign(state.players.get(crowned) ?? {}, { score: 1 });
    Object.assign(state.players.get(least) ?? {}, { score: 2 });
    state.crown.holder = crowned;
    addPlayer(state, "h1", "Human");
    keepPopulation(state, unseen);
    expect(state.players.has(least)).toBe(false);
    expect(state.players.has(crowned)).toBe(true);
  });
});

describe("being away", () => {
  test("whoever is away for longer than a seat is held is taken out, and a bot takes the place", () => {
    const { state, unseen, players } = emptyArena({ x: 300, y: 500 }, { x: 900, y: 500 });
    markAway(state, first(players));
    state.crown.holder = "p1";
    state.tick += AWAY_TICKS_MAX - 40;
    state.phaseEndsTick = state.tick + ROUND.ticks;
    steps(state, unseen, 20);
    expect(state.players.has("p1")).toBe(true);
    steps(state, unseen, 60);
    expect(state.players.has("p1")).toBe(false);
    expect(state.players.has("p2")).toBe(true);
    expect(state.players.size).toBe(POPULATION.wanted);
  });
});

describe("chance", () => {
  test("the same seed plays the same game, also from the middle", () => {
    const one = new ArenaState();
    const other = new ArenaState();
    openArena(one, 99);
    openArena(other, 99);
    steps(one, new Map(), 700);
    steps(other, new Map(), 300);
    steps(other, new Map(), 400);
    expect(other.toJSON()).toEqual(one.toJSON());
  });

  test("a roll is in [0, 1) and the seed stays a whole number of 32 bits", () => {
    const state = new ArenaState();
    state.seed = 2 ** 32 - 1;
    for (let count = 0; count < 1_000; count++) {
      const value = roll(state);
      expect(value >= 0 && value < 1).toBe(true);
      expect(state.seed).toBe(state.seed >>> 0);
    }
  });

  test("a whole round of bots has a winner, changes of hand, and everybody on the field", () => {
    const state = new ArenaState();
    const unseen: UnseenBook = new Map();
    openArena(state, 4);
    const holders = new Set<string>();
    for (let tick = 0; tick <= ROUND.ticks; tick++) {
      step(state, unseen);
      holders.add(state.crown.holder);
      for (const { x, y } of state.players.values()) {
        expect(x >= 0 && x <= FIELD.width && y >= 0 && y <= FIELD.height).toBe(true);
      }
    }
    expect(state.winnerName).not.toBe("");
    expect(holders.size).toBeGreaterThan(3);
  });
});
