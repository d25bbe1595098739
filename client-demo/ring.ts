// The ring itself: floor, pillars and ropes, in the colour of the node that owns the room.

import { FIELD, PILLARS } from "../rooms/arena/arena-field.ts";
import { FACE, FLOOR, GOLD, INK, LINE, LIT } from "./palette.ts";
import { circle, roundRect } from "./shapes.ts";

export interface RingLook {
  /** The node whose name lies on the floor, null when none is known. */
  readonly owner: string | null;
  readonly colour: string;
  /** False while the room is between two nodes: the ropes are then broken. */
  readonly isOwned: boolean;
  /** From 0, the room has just come to another node, to 1, a while ago. */
  readonly pulse: number;
}

const ROPES = [14, 26, 38] as const;

export function drawFloor(context: CanvasRenderingContext2D, { owner, colour, pulse }: RingLook): void {
  const { width, height } = FIELD;
  const light = context.createRadialGradient(width / 2, height / 2, 60, width / 2, height / 2, width * 0.56);
  light.addColorStop(0, LIT);
  light.addColorStop(1, FLOOR);
  context.fillStyle = light;
  roundRect(context, -4, -4, width + 8, height + 8, 26);
  context.fill();
  context.save();
  context.clip();

  context.fillStyle = LINE;
  for (let x = 50; x < width; x += 50) {
    for (let y = 50; y < height; y += 50) context.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
  context.strokeStyle = LINE;
  context.lineWidth = 3;
  circle(context, width / 2, height / 2, 210);
  context.stroke();
  circle(context, width / 2, height / 2, 5);
  context.stroke();

  if (owner !== null) {
    context.fillStyle = colour;
    context.save();
    context.globalAlpha *= 0.16;
    context.font = `750 150px ${FACE}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(owner, width / 2, height / 2 + 6, width * 0.8);
    context.restore();
  }
  if (pulse < 1) {
    context.strokeStyle = colour;
    context.save();
    context.globalAlpha *= (1 - pulse) * 0.8;
    context.lineWidth = 4 + 60 * (1 - pulse);
    circle(context, width / 2, height / 2, 1_050 * (1 - (1 - pulse) ** 3));
    context.stroke();
    context.restore();
  }
  context.restore();
}

export function drawRopes(context: CanvasRenderingContext2D, { colour, isOwned, pulse }: RingLook): void {
  const { width, height } = FIELD;
  context.save();
  context.strokeStyle = colour;
  if (!isOwned) context.setLineDash([34, 26]);
  ROPES.forEach((away, index) => {
    context.globalAlpha = index === 0 ? 1 : 0.62 - index * 0.18;
    context.lineWidth = (index === 0 ? 5 : 3) + (1 - pulse) * 7;
    roundRect(context, -away, -away, width + away * 2, height + away * 2, 26 + away);
    context.stroke();
  });
  context.setLineDash([]);
  context.globalAlpha = 1;
  for (const [x, y] of [
    [-26, -26],
    [width + 26, -26],
    [-26, height + 26],
    [width + 26, height + 26],
  ] as const) {
    context.fillStyle = INK;
    roundRect(context, x - 17, y - 17, 34, 34, 9);
    context.fill();
    context.lineWidth = 4;
    context.stroke();
    context.fillStyle = colour;
    roundRect(context, x - 7, y - 7, 14, 14, 4);
    context.fill();
  }
  context.restore();
}

export function drawPillars(context: CanvasRenderingContext2D, colour: string): void {
  for (const { x, y, radius } of PILLARS) {
    context.fillStyle = "#0c0e13";
    circle(context, x, y + 5, radius + 2);
    context.fill();
    context.fillStyle = "#1a1f29";
    circle(context, x, y, radius);
    context.fill();
    context.strokeStyle = "#2b3342";
    context.lineWidth = 2.5;
    context.stroke();
    context.save();
    context.globalAlpha *= 0.34;
    context.strokeStyle = colour;
    circle(context, x, y, radius * 0.68);
    context.stroke();
    context.restore();
  }
}

/** The last seconds: gold comes in from the ropes. */
export function drawRush(context: CanvasRenderingContext2D, nowMs: number, isCalm: boolean): void {
  const { width, height } = FIELD;
  const strength = isCalm ? 0.2 : 0.17 + 0.07 * Math.sin(nowMs / 180);
  const glow = context.createRadialGradient(width / 2, height / 2, 380, width / 2, height / 2, width * 0.6);
  glow.addColorStop(0, `${GOLD}00`);
  glow.addColorStop(1, GOLD);
  context.save();
  context.globalAlpha *= strength;
  context.fillStyle = glow;
  roundRect(context, -4, -4, width + 8, height + 8, 26);
  context.fill();
  context.restore();
}
