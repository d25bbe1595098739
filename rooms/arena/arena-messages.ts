// What a client may say to an arena, parsed once, here. What cannot be read is ignored, never an exception:
// a hostile client gains nothing by sending nonsense, and an older page keeps playing.

/** A wish to move; its length is at most 1, so that no client is faster than the rules. */
export interface Move {
  readonly x: number;
  readonly y: number;
}

export const STILL: Move = { x: 0, y: 0 };

export const NAME_LENGTH_MAX = 14;
const NAMELESS = "Guest";

/** The direction a client wants to go, or undefined for anything else than two finite numbers. */
export function parseMove(message: unknown): Move | undefined {
  if (!isRecord(message)) return undefined;
  const { x, y } = message;
  if (typeof x !== "number" || typeof y !== "number" || !Number.isFinite(x) || !Number.isFinite(y)) {
    return undefined;
  }
  const length = Math.hypot(x, y);
  // hypot of two finite numbers can still be infinite; dividing by that would stop the player, so refuse it.
  if (!Number.isFinite(length)) return undefined;
  return length <= 1 ? { x, y } : { x: x / length, y: y / length };
}

/** The player's name out of the options of a join. Never empty, never long, no control or direction marks. */
export function parseName(options: unknown): string {
  const name = isRecord(options) ? options["name"] : undefined;
  if (typeof name !== "string") return NAMELESS;
  const plain = name
    .slice(0, 200)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .replace(/\s+/gu, " ")
    .trim();
  // By code points: cutting through the middle of one would leave something that is no character.
  const clean = Array.from(plain).slice(0, NAME_LENGTH_MAX).join("").trim();
  return clean === "" ? NAMELESS : clean;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
