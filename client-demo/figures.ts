// How the things on the field look: players, gems, boons, the crown. Each is drawn where it is told to be.

import { GEM, PLAYER, type EffectName } from "../rooms/arena/arena-field.ts";
import type { Pose } from "./motion.ts";
import { DIM, FACE, GOLD, ICE, INK, lookColour, TEXT } from "./palette.ts";
import type { PlayerPicture } from "./picture.ts";
import { circle } from "./shapes.ts";

interface Spot {
  readonly x: number;
  readonly y: number;
}

interface Manner {
  readonly isOwn: boolean;
  readonly isHolder: boolean;
  readonly nowMs: number;
}

export function drawPlayer(
  context: CanvasRenderingContext2D,
  player: PlayerPicture,
  pose: Pose,
  { isOwn, isHolder, nowMs }: Manner,
): void {
  const { radius } = PLAYER;
  const alpha = context.globalAlpha;
  const colour = isOwn ? "#ffffff" : lookColour(player.look);
  const wobble = player.isStunned ? Math.sin(nowMs / 26) * 2.5 : 0;
  context.save();
  context.translate(pose.x + wobble, pose.y);
  context.globalAlpha = alpha * (player.isAway ? 0.4 : 1);

  context.fillStyle = "#00000066";
  circle(context, 0, 6, radius);
  context.fill();

  context.save();
  context.rotate(pose.facing);
  const stretch = player.isDashing ? 1.22 : 1;
  context.scale(stretch, 1 / stretch);
  // A body with a nose: the way it looks is the way it dashes.
  context.fillStyle = colour;
  context.beginPath();
  context.arc(0, 0, radius, 0.42, Math.PI * 2 - 0.42);
  context.lineTo(radius * 1.34, 0);
  context.closePath();
  context.fill();
  context.fillStyle = INK;
  if (player.isBot) {
    // Bots are hollow.
    circle(context, 0, 0, radius * 0.58);
    context.fill();
    context.fillStyle = colour;
    circle(context, radius * 0.1, 0, radius * 0.24);
    context.fill();
  } else {
    circle(context, radius * 0.32, 0, radius * 0.34);
    context.fill();
  }
  context.restore();

  if (player.isAway) {
    context.setLineDash([5, 6]);
    ring(context, radius + 7, TEXT, 2);
    context.setLineDash([]);
  }
  if (isHolder) ring(context, radius + 6, GOLD, 3);
  if (player.effects.includes("shield")) ring(context, radius + 11, ICE, 2.5);
  if (player.effects.includes("swift")) dashes(context, pose.facing, radius);
  if (player.effects.includes("magnet")) {
    context.setLineDash([3, 9]);
    context.lineDashOffset = -nowMs / 40;
    ring(context, radius + 17, ICE, 2);
    context.setLineDash([]);
  }
  if (isOwn && !player.isAway) {
    context.strokeStyle = player.dashReady >= 1 ? "#ffffffcc" : "#ffffff66";
    context.lineWidth = 3;
    context.lineCap = "round";
    context.beginPath();
    context.arc(
      0,
      0,
      radius + (isHolder ? 12 : 7),
      -Math.PI / 2,
      -Math.PI / 2 + Math.PI * 2 * player.dashReady,
    );
    context.stroke();
  }

  context.font = `${isOwn ? 700 : 600} 19px ${FACE}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.lineWidth = 5;
  context.lineJoin = "round";
  context.strokeStyle = "#0a0c10cc";
  const label = player.isAway ? `${player.name} · away` : player.name;
  context.strokeText(label, 0, radius + 13);
  context.fillStyle = isOwn ? "#ffffff" : player.isBot ? DIM : TEXT;
  context.fillText(label, 0, radius + 13);
  context.restore();
}

export function drawGem(context: CanvasRenderingContext2D, { x, y }: Spot, nowMs: number): void {
  const size = GEM.radius * (1.08 + 0.1 * Math.sin(nowMs / 300 + x));
  context.fillStyle = ICE;
  diamond(context, x, y, size, size * 1.3);
  context.fill();
  context.fillStyle = "#ffffff99";
  diamond(context, x, y - size * 0.25, size * 0.42, size * 0.62);
  context.fill();
}

export function drawBoon(
  context: CanvasRenderingContext2D,
  { x, y }: Spot,
  kind: EffectName,
  nowMs: number,
): void {
  context.save();
  context.translate(x, y + Math.sin(nowMs / 420 + x) * 3);
  context.fillStyle = "#1d2431";
  context.strokeStyle = ICE;
  context.lineWidth = 2.5;
  context.beginPath();
  context.roundRect(-22, -22, 44, 44, 13);
  context.fill();
  context.stroke();
  context.lineWidth = 3.2;
  context.scale(1.15, 1.15);
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  switch (kind) {
    case "swift":
      for (const left of [-7, 2]) {
        context.moveTo(left - 1, -8);
        context.lineTo(left + 7, 0);
        context.lineTo(left - 1, 8);
      }
      break;
    case "magnet":
      context.moveTo(-8, -9);
      context.lineTo(-8, 0);
      context.arc(0, 0, 8, Math.PI, 0, true);
      context.lineTo(8, -9);
      break;
    case "shield":
      context.moveTo(0, -10);
      context.lineTo(9, -6);
      context.quadraticCurveTo(9, 6, 0, 10);
      context.quadraticCurveTo(-9, 6, -9, -6);
      context.closePath();
      break;
  }
  context.stroke();
  context.restore();
}

export function drawCrown(context: CanvasRenderingContext2D, x: number, y: number, scale: number): void {
  context.save();
  context.translate(x, y);
  context.scale(scale, scale);
  context.lineJoin = "round";
  context.fillStyle = GOLD;
  context.strokeStyle = INK;
  context.lineWidth = 3;
  context.beginPath();
  context.moveTo(-15, 10);
  context.lineTo(-18, -8);
  context.lineTo(-8, 0);
  context.lineTo(0, -14);
  context.lineTo(8, 0);
  context.lineTo(18, -8);
  context.lineTo(15, 10);
  context.closePath();
  context.stroke();
  context.fill();
  context.fillStyle = "#b98a1f";
  context.fillRect(-14, 5, 28, 3);
  context.restore();
}

function ring(context: CanvasRenderingContext2D, radius: number, colour: string, width: number): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  circle(context, 0, 0, radius);
  context.stroke();
}

/** Two strokes behind a swift player. */
function dashes(context: CanvasRenderingContext2D, facing: number, radius: number): void {
  context.save();
  context.rotate(facing);
  context.strokeStyle = ICE;
  context.lineWidth = 3;
  context.lineCap = "round";
  context.beginPath();
  for (const side of [-9, 9]) {
    context.moveTo(-radius - 8, side);
    context.lineTo(-radius - 20, side);
  }
  context.stroke();
  context.restore();
}

function diamond(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  halfWidth: number,
  halfHeight: number,
): void {
  context.beginPath();
  context.moveTo(x, y - halfHeight);
  context.lineTo(x + halfWidth, y);
  context.lineTo(x, y + halfHeight);
  context.lineTo(x - halfWidth, y);
  context.closePath();
}
