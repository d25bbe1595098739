// What an arena is: everything that players see, and all that a restart needs to go on as if nothing had happened.
//
// Moments are counted in ticks of the room's own clock (`tick`), never in wall time: a room that was away for a
// second has not lost a second of its round, and an effect costs one field when it begins and none while it lasts.
// The random seed is part of the state, so a restarted room throws the dice that it would have thrown anyway.
// What only the server knows (who holds which key down) is in `arena-rules.ts` as `Unseen`.

import { schema, t, type SchemaType } from "@colyseus/schema";
import type { EffectName } from "./arena-field.ts";

export const Player = schema(
  {
    name: t.string().default(""),
    isBot: t.boolean().default(false),
    /** Dropped: the seat is kept, the body stands where it was. */
    isAway: t.boolean().default(false),
    awaySinceTick: t.uint32().default(0),
    look: t.uint8().default(0),
    x: t.float32().default(0),
    y: t.float32().default(0),
    /** Velocity in units a second. */
    vx: t.float32().default(0),
    vy: t.float32().default(0),
    /** Radians, 0 to the right. */
    facing: t.float32().default(0),
    score: t.uint32().default(0),
    wins: t.uint16().default(0),
    dashUntilTick: t.uint32().default(0),
    dashReadyTick: t.uint32().default(0),
    stunUntilTick: t.uint32().default(0),
    swiftUntilTick: t.uint32().default(0),
    magnetUntilTick: t.uint32().default(0),
    shieldUntilTick: t.uint32().default(0),
  },
  "Player",
);
export type Player = SchemaType<typeof Player>;

export const Gem = schema({ x: t.float32().default(0), y: t.float32().default(0) }, "Gem");
export type Gem = SchemaType<typeof Gem>;

/** A pickup with a short effect. */
export const Boon = schema(
  {
    x: t.float32().default(0),
    y: t.float32().default(0),
    kind: t.string<EffectName>().default("swift"),
  },
  "Boon",
);
export type Boon = SchemaType<typeof Boon>;

export const Crown = schema(
  {
    /** Where it lies; while somebody holds it, where they are. */
    x: t.float32().default(0),
    y: t.float32().default(0),
    /** A key of `players`, or "" when it lies free. */
    holder: t.string().default(""),
    safeUntilTick: t.uint32().default(0),
  },
  "Crown",
);
export type Crown = SchemaType<typeof Crown>;

export const ArenaState = schema(
  {
    tick: t.uint32().default(0),
    /** The tick at which a restored room went on; what players saw beyond it was undone. 0 until it is restored. */
    resumedTick: t.uint32().default(0),
    seed: t.uint32().default(1),
    /** The next number for a gem's, boon's or bot's key: a key is never used twice. */
    nextKey: t.uint32().default(1),
    phase: t.string<"play" | "podium">().default("play"),
    phaseEndsTick: t.uint32().default(0),
    round: t.uint16().default(1),
    /** The name and key of the last round's winner, "" before there is one. */
    winnerName: t.string().default(""),
    winnerKey: t.string().default(""),
    players: t.map(Player),
    gems: t.map(Gem),
    boons: t.map(Boon),
    crown: t.ref(Crown),
  },
  "ArenaState",
);
export type ArenaState = SchemaType<typeof ArenaState>;
