// The short-lived things: points that float up, the trail of a dash. All of it is guessed from one picture to the
// next, so it costs the room nothing and a failover cannot lose it.

import { PLAYER } from "../rooms/arena/arena-field.ts";
import type { Pose } from "./motion.ts";
import { FACE, GOLD, ICE, lookColour } from "./palette.ts";
import type { Picture } from "./picture.ts";
import { circle } from "./shapes.ts";

interface Word {
  readonly text: string;
  readonly key: string;
  readonly colour: string;
  readonly atMs: number;
}

interface Puff {
  readonly x: number;
  readonly y: number;
  readonly colour: string;
  readonly atMs: number;
}

interface Trails {
  readonly poses: ReadonlyMap<string, Pose>;
  readonly picture: Picture;
  readonly ownKey: string;
  readonly nowMs: number;
  readonly isCalm: boolean;
}

const WORD_MS = 900;
const PUFF_MS = 260;
const WORDS_MAX = 24;
const PUFFS_MAX = 160;
/** Fewer points than this are the crown's steady pay. */
const POINTS_SHOWN_MIN = 4;

export class Sparks {
  #before: Picture | undefined;
  #words: Word[] = [];
  #puffs: Puff[] = [];

  /** Compares a picture with the one before; does nothing when it is the same one. */
  watch(picture: Picture, ownKey: string, nowMs: number): void {
    const before = this.#before;
    if (before === picture) return;
    this.#before = picture;
    if (before === undefined || before.round !== picture.round || picture.tick <= before.tick) return;
    for (const [key, player] of picture.players) {
      const gained = player.score - (before.players.get(key)?.score ?? player.score);
      if (gained < POINTS_SHOWN_MIN) continue;
      const isSteal =
        picture.crown.holder === key && before.crown.holder !== key && before.crown.holder !== "";
      if (!isSteal && key !== ownKey) continue;
      this.#words.push({ text: `+${gained}`, key, colour: isSteal ? GOLD : ICE, atMs: nowMs });
    }
    this.#words = this.#words.slice(-WORDS_MAX);
  }

  drawTrails(context: CanvasRenderingContext2D, scene: Trails): void {
    const { poses, picture, ownKey, nowMs, isCalm } = scene;
    if (isCalm) return;
    for (const player of picture.players.values()) {
      const pose = poses.get(player.key);
      if (!player.isDashing || pose === undefined) continue;
      const plain = player.key === ownKey ? "#ffffff" : lookColour(player.look);
      const colour = player.key === picture.crown.holder ? GOLD : plain;
      this.#puffs.push({ x: pose.x, y: pose.y, colour, atMs: nowMs });
    }
    this.#puffs = this.#puffs.filter((puff) => nowMs - puff.atMs < PUFF_MS).slice(-PUFFS_MAX);
    context.save();
    const alpha = context.globalAlpha;
    for (const puff of this.#puffs) {
      const age = (nowMs - puff.atMs) / PUFF_MS;
      context.globalAlpha = alpha * 0.28 * (1 - age);
      context.fillStyle = puff.colour;
      circle(context, puff.x, puff.y, PLAYER.radius * (1 - age * 0.55));
      context.fill();
    }
    context.restore();
  }

  drawWords(context: CanvasRenderingContext2D, poses: ReadonlyMap<string, Pose>, nowMs: number): void {
    this.#words = this.#words.filter((word) => nowMs - word.atMs < WORD_MS);
    context.save();
    context.font = `800 26px ${FACE}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const alpha = context.globalAlpha;
    for (const word of this.#words) {
      const pose = poses.get(word.key);
      if (pose === undefined) continue;
      const age = (nowMs - word.atMs) / WORD_MS;
      context.globalAlpha = alpha * Math.min(1, 2 - age * 2);
      context.fillStyle = word.colour;
      context.fillText(word.text, pose.x, pose.y - PLAYER.radius - 30 - age * 34);
    }
    context.restore();
  }
}
