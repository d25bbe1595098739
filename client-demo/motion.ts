// Where everybody is between two patches.
//
// Others are shown a little in the past, between two pictures that are known. You are shown at the newest one, carried
// on by your speed, so that the stick feels direct. When the room comes back from a checkpoint its ticks are lower
// than those seen before: the timeline starts over, and everybody glides from where they were shown to where they are.

import { TICK_MS } from "../rooms/arena/arena-field.ts";
import type { Picture } from "./picture.ts";

export interface Pose {
  readonly x: number;
  readonly y: number;
  readonly facing: number;
}

const BEHIND_MS = 85;
const GLIDE_MS = 350;
const PICTURES_MAX = 12;
/** A pause longer than this is not jitter; the timeline is counted anew after it. */
const PAUSE_MS = 400;
/** Farther than this in one tick is not running or dashing: shown where it is, at once. */
const LEAP = 160;

export class Motion {
  #pictures: Picture[] = [];
  /** The page's time at tick 0, by which ticks become moments. */
  #zeroMs: number | undefined;
  #pushedAtMs = 0;
  #drawnAtMs = 0;
  #shown = new Map<string, Pose>();
  #glideFrom = new Map<string, Pose>();
  #glideAtMs = -Infinity;

  push(picture: Picture, nowMs: number): void {
    const last = this.#pictures.at(-1);
    const zeroMs = nowMs - picture.tick * TICK_MS;
    const isNewTimeline =
      last === undefined ||
      picture.tick <= last.tick ||
      nowMs - this.#pushedAtMs > PAUSE_MS ||
      this.#zeroMs === undefined;
    if (isNewTimeline) {
      this.#pictures = [];
      this.#zeroMs = zeroMs;
      this.#glideFrom = new Map(this.#shown);
      this.#glideAtMs = nowMs;
    } else if (this.#zeroMs !== undefined) {
      // Early patches tell more than late ones: a patch can be held up, but it cannot come before it was sent.
      const late = zeroMs - this.#zeroMs;
      this.#zeroMs += late * (late < 0 ? 0.3 : 0.02);
    }
    this.#pictures.push(picture);
    if (this.#pictures.length > PICTURES_MAX) this.#pictures.shift();
    this.#pushedAtMs = nowMs;
  }

  /** Where to draw each player now. */
  poses(nowMs: number, ownKey: string, isAlive: boolean): ReadonlyMap<string, Pose> {
    const newest = this.#pictures.at(-1);
    if (newest === undefined || !isAlive) return this.#shown;
    const [from, to, share] = this.#around((nowMs - BEHIND_MS - (this.#zeroMs ?? nowMs)) / TICK_MS, newest);
    const glide = ease((nowMs - this.#glideAtMs) / GLIDE_MS);
    const pull = 1 - Math.exp((-(nowMs - this.#drawnAtMs) / 1_000) * 24);
    const poses = new Map<string, Pose>();
    for (const [key, now] of newest.players) {
      let pose: Pose;
      const before = this.#shown.get(key);
      if (key === ownKey) {
        const aheadSeconds = Math.min(nowMs - this.#pushedAtMs, TICK_MS * 1.5) / 1_000;
        const goal = {
          x: now.x + now.vx * aheadSeconds,
          y: now.y + now.vy * aheadSeconds,
          facing: now.facing,
        };
        pose = before === undefined || distance(before, goal) > LEAP ? goal : blend(before, goal, pull);
      } else {
        const a = from.players.get(key) ?? now;
        const b = to.players.get(key) ?? now;
        pose = distance(a, b) > LEAP ? b : blend(a, b, share);
      }
      const start = this.#glideFrom.get(key);
      poses.set(key, start !== undefined && glide < 1 ? blend(start, pose, glide) : pose);
    }
    this.#shown = poses;
    this.#drawnAtMs = nowMs;
    return poses;
  }

  #around(tick: number, newest: Picture): [Picture, Picture, number] {
    for (let index = this.#pictures.length - 1; index > 0; index--) {
      const to = this.#pictures[index];
      const from = this.#pictures[index - 1];
      if (from === undefined || to === undefined || from.tick > tick) continue;
      return [from, to, Math.min(1, Math.max(0, (tick - from.tick) / (to.tick - from.tick)))];
    }
    const oldest = this.#pictures[0] ?? newest;
    return [oldest, oldest, 0];
  }
}

function blend(a: Pose, b: Pose, share: number): Pose {
  const turn = Math.atan2(Math.sin(b.facing - a.facing), Math.cos(b.facing - a.facing));
  return { x: a.x + (b.x - a.x) * share, y: a.y + (b.y - a.y) * share, facing: a.facing + turn * share };
}

function distance(a: { x: number; y: number }, b: { x: number; y: number }): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function ease(share: number): number {
  const held = Math.min(1, Math.max(0, share));
  return 1 - (1 - held) ** 3;
}
