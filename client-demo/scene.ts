// Draws the arena on a canvas: the whole field where it fits, else a window that follows you.
//
// The frame around the field is a boxing ring's three ropes in the colour of the node that owns the room, and the
// node's name lies on the floor: when the room moves, everybody sees it. It draws what it is given and decides nothing.

import { FIELD, PLAYER, ROUND } from "../rooms/arena/arena-field.ts";
import { drawBoon, drawCrown, drawGem, drawPlayer } from "./figures.ts";
import type { Pose } from "./motion.ts";
import { GOLD, INK, nodeColour } from "./palette.ts";
import type { Picture } from "./picture.ts";
import { drawFloor, drawPillars, drawRopes, drawRush, type RingLook } from "./ring.ts";
import { circle } from "./shapes.ts";
import { Sparks } from "./sparks.ts";

export interface View {
  readonly picture: Picture;
  readonly poses: ReadonlyMap<string, Pose>;
  readonly ownKey: string;
  /** The node that owns the room now, null while nobody does. */
  readonly owner: string | null;
  /** False while the room is between two nodes: the ropes are then broken. */
  readonly isOwned: boolean;
  readonly isAlive: boolean;
  readonly nowMs: number;
}

interface Camera {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
  readonly isWhole: boolean;
}

/** What the clock takes at the top, in CSS pixels. */
const CLOCK = 40;
/** Below this scale players are too small to read; the view follows you instead. */
const SCALE_MIN = 0.46;
const SCALE_FOLLOWING = 0.62;
const MARGIN = 62;
/** How dark it gets while the connection is away. */
const DIMMED = 0.62;
const PULSE_MS = 900;

export class Scene {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #sparks = new Sparks();
  readonly #stillness = matchMedia("(prefers-reduced-motion: reduce)");
  #width = 0;
  #height = 0;
  #ratio = 1;
  #camera: { x: number; y: number } | undefined;
  #drawnAtMs = 0;
  #owner: string | null = null;
  #pulseAtMs = -Infinity;
  /** How much of the light is on: it fades when the connection goes, and returns with it. */
  #light = 1;

  constructor(canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new Error("this browser cannot draw on a canvas");
    this.#canvas = canvas;
    this.#context = context;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  draw(view: View): void {
    const { picture, poses, ownKey, nowMs } = view;
    const elapsedMs = Math.min(100, nowMs - this.#drawnAtMs);
    this.#drawnAtMs = nowMs;
    this.#light += ((view.isAlive ? 1 : 0) - this.#light) * (1 - Math.exp(-elapsedMs / 140));
    if (view.owner !== null && view.owner !== this.#owner) {
      if (this.#owner !== null) this.#pulseAtMs = nowMs;
      this.#owner = view.owner;
    }
    const isCalm = this.#stillness.matches;
    if (!isCalm) this.#sparks.watch(picture, ownKey, nowMs);

    const context = this.#context;
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    context.fillStyle = INK;
    context.fillRect(0, 0, this.#width, this.#height);
    const camera = this.#look(poses.get(ownKey), elapsedMs);
    context.translate(this.#width / 2, this.#height / 2 + (camera.isWhole ? CLOCK / 2 : 0));
    context.scale(camera.scale, camera.scale);
    context.translate(-camera.x, -camera.y);

    const colour = nodeColour(view.owner ?? this.#owner);
    const sinceMove = (nowMs - this.#pulseAtMs) / PULSE_MS;
    const look: RingLook = {
      owner: this.#owner,
      colour,
      isOwned: view.isOwned,
      pulse: isCalm ? 1 : Math.min(1, Math.max(0, sinceMove)),
    };
    drawFloor(context, look);
    if (picture.phase === "play" && picture.leftTicks <= ROUND.rushTicks) drawRush(context, nowMs, isCalm);
    drawPillars(context, colour);
    for (const gem of picture.gems) drawGem(context, gem, isCalm ? 0 : nowMs);
    for (const boon of picture.boons) drawBoon(context, boon, boon.kind, isCalm ? 0 : nowMs);
    this.#sparks.drawTrails(context, { poses, picture, ownKey, nowMs, isCalm });

    const { holder } = picture.crown;
    const crownPose = poses.get(holder) ?? picture.crown;
    this.#drawHalo(crownPose.x, crownPose.y, holder !== "", nowMs, isCalm);
    // You come last, on top of everyone; before you, whoever holds the crown.
    const order = [...picture.players.values()].sort(
      (a, b) =>
        Number(a.key === ownKey) - Number(b.key === ownKey) ||
        Number(a.key === holder) - Number(b.key === holder),
    );
    for (const player of order) {
      const pose = poses.get(player.key) ?? player;
      drawPlayer(context, player, pose, {
        isOwn: player.key === ownKey,
        isHolder: player.key === holder,
        nowMs,
      });
    }
    drawCrown(
      context,
      crownPose.x,
      holder === "" ? crownPose.y : crownPose.y - PLAYER.radius - 14,
      holder === "" ? 1.25 : 1,
    );
    drawRopes(context, look);
    this.#sparks.drawWords(context, poses, nowMs);

    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    if (this.#light < 0.99) {
      context.globalAlpha = (1 - this.#light) * DIMMED;
      context.fillStyle = INK;
      context.fillRect(0, 0, this.#width, this.#height);
      context.globalAlpha = 1;
    }
    if (!camera.isWhole) this.#pointAtCrown(camera, crownPose);
  }

  #resize(): void {
    const { width, height } = this.#canvas.getBoundingClientRect();
    // Above 2 the eye sees no more and the phone gets warm.
    this.#ratio = Math.min(2, devicePixelRatio || 1);
    this.#width = width;
    this.#height = height;
    this.#canvas.width = Math.max(1, Math.round(width * this.#ratio));
    this.#canvas.height = Math.max(1, Math.round(height * this.#ratio));
  }

  #look(own: Pose | undefined, elapsedMs: number): Camera {
    const whole = Math.min(
      this.#width / (FIELD.width + MARGIN * 2),
      (this.#height - CLOCK) / (FIELD.height + MARGIN * 2),
    );
    if (whole >= SCALE_MIN || own === undefined) {
      return { scale: whole, x: FIELD.width / 2, y: FIELD.height / 2, isWhole: true };
    }
    const scale = SCALE_FOLLOWING;
    const goal = {
      x: within(own.x, this.#width / scale / 2, FIELD.width),
      y: within(own.y, this.#height / scale / 2, FIELD.height),
    };
    const was = this.#camera ?? goal;
    const share = 1 - Math.exp(-elapsedMs / 110);
    this.#camera = { x: was.x + (goal.x - was.x) * share, y: was.y + (goal.y - was.y) * share };
    return { scale, ...this.#camera, isWhole: false };
  }

  #drawHalo(x: number, y: number, isHeld: boolean, nowMs: number, isCalm: boolean): void {
    const context = this.#context;
    const breath = isCalm ? 0 : Math.sin(nowMs / 260) * 5;
    const radius = (isHeld ? 74 : 60) + breath;
    const glow = context.createRadialGradient(x, y, 6, x, y, radius);
    glow.addColorStop(0, `${GOLD}55`);
    glow.addColorStop(1, `${GOLD}00`);
    context.fillStyle = glow;
    circle(context, x, y, radius);
    context.fill();
  }

  /** An arrow at the edge of a view that does not hold the crown. */
  #pointAtCrown(camera: Camera, crown: { readonly x: number; readonly y: number }): void {
    const dx = (crown.x - camera.x) * camera.scale;
    const dy = (crown.y - camera.y) * camera.scale;
    const halfWidth = this.#width / 2 - 34;
    const halfHeight = this.#height / 2 - 120;
    const over = Math.max(Math.abs(dx) / halfWidth, Math.abs(dy) / halfHeight);
    if (over <= 1) return;
    const context = this.#context;
    context.save();
    context.translate(this.#width / 2 + dx / over, this.#height / 2 + dy / over);
    context.rotate(Math.atan2(dy, dx));
    context.fillStyle = GOLD;
    context.globalAlpha = 0.9 * this.#light;
    context.beginPath();
    context.moveTo(15, 0);
    context.lineTo(-8, -11);
    context.lineTo(-3, 0);
    context.lineTo(-8, 11);
    context.closePath();
    context.fill();
    context.restore();
  }
}

/** The middle of a view of half-size `half` that shows `at`, and no more than a margin beyond the field. */
function within(at: number, half: number, size: number): number {
  const low = half - MARGIN - 10;
  const high = size + MARGIN + 10 - half;
  return low > high ? size / 2 : Math.min(high, Math.max(low, at));
}
