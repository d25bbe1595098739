// What the checkpoint benchmark can be asked for, and what it measures when it is asked for nothing.

import { parseArgs } from "node:util";
import { systemClock } from "../../src/runtime/clock.ts";
import type { SceneOptions } from "./checkpoint-scene.ts";

const SIZES_KB = [1, 10, 100];
const AIM = { rooms: 1_000, kb: 10 };
/** With more rooms than this the simulation alone would take a small machine: they tick less often then. */
const ROOMS_AT_20_HZ = 1_000;
const ROOMS_A_NODE = 4_000;
const NODES_MAX = 3;
/** Two intervals between checkpoints; three for the aims. */
const WINDOW_MS = 4_000;
const AIM_WINDOW_MS = 6_000;

export interface Plan {
  readonly seed: number;
  readonly scenes: readonly PlannedScene[];
  /** Where the profile of a window with checkpoints is written; none is made when undefined. */
  readonly profile: string | undefined;
}

export interface PlannedScene extends SceneOptions {
  readonly pairs: number;
  /** The scene by which the aims are judged: it has more pairs, and windows with a slow Postgres. */
  readonly isAim: boolean;
  /** Whether its rooms are asked for a while what they would lose. */
  readonly isWatched: boolean;
}

export const USAGE = `npm run bench:checkpoint -- [options]
  --full               5,000 rooms too
  --rooms N            one scene only, of so many rooms; with it:
    --kb K             the size of a state before compression (10)
    --dirty S          the share of rooms that change on every tick (0.1)
    --nodes N          node processes (one for each ${ROOMS_A_NODE} rooms, at most ${NODES_MAX})
    --hz N             ticks a second (20; with more than ${ROOMS_AT_20_HZ} rooms as many as make the same work)
    --players N        in each room that changes (2)
  --pairs N            pairs of windows, one with checkpoints and one without (3; 5 for the aims)
  --window-ms N        the length of a window (4000; 6000 for the aims)
  --profile FILE       writes a CPU profile of one more window with checkpoints, and tells what is in it
  --seed N`;

/** @throws Error that tells every fault at once */
export function readPlan(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      full: { type: "boolean", default: false },
      rooms: { type: "string" },
      kb: { type: "string" },
      dirty: { type: "string" },
      nodes: { type: "string" },
      hz: { type: "string" },
      players: { type: "string" },
      pairs: { type: "string" },
      "window-ms": { type: "string" },
      profile: { type: "string" },
      seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
    },
  });
  const wrong: string[] = [];
  const number = (
    name: keyof typeof values,
    text: string | undefined,
    fallback: number,
    { min, max, whole = true }: { min: number; max: number; whole?: boolean },
  ): number => {
    const value = text === undefined ? fallback : Number(text);
    if (!(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
      wrong.push(`--${name} must be a ${whole ? "whole number" : "number"} from ${min} to ${max}`);
      return fallback; // so that what is worked out from it is not told as wrong too
    }
    return value;
  };
  if (values.rooms === undefined) {
    for (const name of ["kb", "dirty", "nodes", "hz", "players"] as const) {
      if (values[name] !== undefined) wrong.push(`--${name} needs --rooms`);
    }
  } else if (values.full) wrong.push("--full and --rooms cannot go together: --rooms is one scene");

  const rooms = number("rooms", values.rooms, AIM.rooms, { min: 1, max: 100_000 });
  const seed = number("seed", values.seed, 1, { min: 0, max: 2 ** 31 });
  const windowMs = number("window-ms", values["window-ms"], WINDOW_MS, { min: 2_000, max: 600_000 });
  const nodesDefault = Math.min(NODES_MAX, Math.ceil(rooms / ROOMS_A_NODE));
  const one = {
    rooms,
    seed,
    windowMs,
    kb: number("kb", values.kb, AIM.kb, { min: 0.2, max: 4_000, whole: false }),
    dirty: number("dirty", values.dirty, 0.1, { min: 0, max: 1, whole: false }),
    nodes: number("nodes", values.nodes, nodesDefault, { min: 1, max: 16 }),
    hz: number("hz", values.hz, hzFor(rooms), { min: 1, max: 60, whole: false }),
    players: number("players", values.players, 2, { min: 0, max: 16 }),
  };
  const pairs = number("pairs", values.pairs, 0, { min: values.pairs === undefined ? 0 : 1, max: 1_000 });
  if (wrong.length > 0) throw new Error(`${wrong.join("; ")}\n\n${USAGE}`);

  const asked = values.rooms !== undefined;
  const sizes = asked ? [one.kb] : SIZES_KB;
  const counts = asked ? [one.rooms] : values.full ? [100, 1_000, 5_000] : [100, 1_000];
  const scenes = counts.flatMap((count) =>
    sizes.map((kb): PlannedScene => {
      const isAim = kb === AIM.kb && count === AIM.rooms && one.dirty === 0.1 && one.nodes === 1;
      const length = values["window-ms"] === undefined && isAim ? AIM_WINDOW_MS : windowMs;
      const scene = asked ? one : { ...one, rooms: count, kb, hz: hzFor(count) };
      return {
        ...scene,
        isAim,
        isWatched: isAim || asked,
        windowMs: length,
        pairs: pairs || (isAim ? 5 : 3),
      };
    }),
  );
  return { seed, scenes, profile: values.profile };
}

function hzFor(rooms: number): number {
  return rooms <= ROOMS_AT_20_HZ ? 20 : Math.max(1, Math.round((20 * ROOMS_AT_20_HZ) / rooms));
}
