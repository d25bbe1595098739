// The field and its numbers: what the rules and the page that draws them agree on.
//
// Nothing but constants, so a browser may import it. Lengths are in field units, where a player is 48 wide.

export const TICK_MS = 50;

export const FIELD = { width: 1_600, height: 1_000 } as const;

/** Round, solid, and never moving. */
export const PILLARS: readonly { readonly x: number; readonly y: number; readonly radius: number }[] = [
  { x: 400, y: 270, radius: 62 },
  { x: 1_200, y: 270, radius: 62 },
  { x: 400, y: 730, radius: 62 },
  { x: 1_200, y: 730, radius: 62 },
  { x: 800, y: 190, radius: 40 },
  { x: 800, y: 810, radius: 40 },
];

export const PLAYER = {
  radius: 24,
  speed: 290,
  /** With the crown: slower than everyone, so that holding it is never safe. */
  crownedSpeed: 240,
  /** How much of the way to the wanted velocity one tick covers. */
  grip: 0.38,
} as const;

export const DASH = { speed: 820, ticks: 4, waitTicks: 26, reach: 20 } as const;

export const CROWN = {
  /** A free crown, or a fresh holder, cannot change hands for this long. */
  safeTicks: 22,
  stunTicks: 9,
  ticksPerPoint: 2,
} as const;

export const STEAL = { points: 10, morePerStreak: 5, pointsMax: 30 } as const;
export const GEM = { points: 5, radius: 11, count: 12 } as const;

export const EFFECTS = {
  swift: { ticks: 80, speedTimes: 1.4 },
  magnet: { ticks: 120, reach: 210, speed: 460 },
  shield: { ticks: 120 },
} as const;
export type EffectName = keyof typeof EFFECTS;
export const EFFECT_NAMES = ["swift", "magnet", "shield"] as const satisfies readonly EffectName[];
export const BOON = { radius: 20, countMax: 3, everyTicks: 90 } as const;

export const ROUND = {
  ticks: 2_400,
  podiumTicks: 160,
  /** At the end the crown pays double, so that no lead is safe. */
  rushTicks: 400,
} as const;

export const POPULATION = { wanted: 6, humansMax: 16 } as const;

/** Longer than any seat is held: whoever is away for so long has no seat any more. 90 s. */
export const AWAY_TICKS_MAX = 1_800;

/** How many looks (colours) players are told apart by. */
export const LOOKS = 12;
