// A player's input frame (`defineInput`), looked through before Colyseus reads it. Colyseus believes what a frame declares: a
// series or a slot of an absurd length makes it loop, for ever at worst, and each field it does not know costs a page of
// warnings. What the SDK sends passes; anything else is the sender's to be closed for (GATE7).
//
// A frame is `code · [stamps] · input` (reliable) or `code · [stamps] · first seq · (length · input)*` (unreliable). An
// input is a list of changed fields, each primitive: the SDK takes no others.

import { isUtf8 } from "node:buffer";
import { Protocol, ProtocolModifier, type Room } from "@colyseus/core";
import { decode } from "@colyseus/schema";

/** The low five bits of the first byte are the message's code, the others its modifiers. */
const CODE_MASK = 0x1f;
/** Inputs in one frame: the SDK repeats the last three, unless it is told otherwise. */
const SLOTS_MAX = 64;
/** The two bits of what is done to a field; only deleting it says nothing more. */
const OPERATION_MASK = 0xc0;
const DELETE = 0x40;

/** What a room's inputs look like. */
export interface InputShape {
  /** How each field is read, by its index; undefined where there is no such field. */
  readonly fields: readonly (string | undefined)[];
  /** Whether a stamp is of two parts: when the player acted, and how late what they saw was. */
  readonly hasTwoStamps: boolean;
}

/** Whether a frame is an input at all. */
export function isInput(frame: Uint8Array): boolean {
  const code = (frame[0] ?? 0) & CODE_MASK;
  return code === Protocol.ROOM_INPUT_UNRELIABLE || code === Protocol.ROOM_INPUT_RELIABLE;
}

/** Whether an input is what it should be. Takes as long as the frame has bytes, whatever it declares. */
export function isWellFormed(frame: Buffer, { fields, hasTwoStamps }: InputShape): boolean {
  const first = frame[0] ?? 0;
  const isTimed = (first & ProtocolModifier.TIMED) !== 0;
  const it = { offset: 1 };
  if ((first & CODE_MASK) === Protocol.ROOM_INPUT_RELIABLE) {
    if (isTimed) {
      decode.number(frame, it);
      if (hasTwoStamps) it.offset += 2;
    }
    return areFields(frame, it, frame.length, fields);
  }
  if (isTimed) {
    const count = decode.number(frame, it);
    if (!isCount(count, SLOTS_MAX) || count === 0) return false;
    it.offset += 4;
    skipNumbers(frame, it, count - 1);
    if (hasTwoStamps) {
      it.offset += 2;
      skipNumbers(frame, it, count - 1);
    }
  }
  decode.number(frame, it);
  let slots = 0;
  while (it.offset < frame.length) {
    const bytes = decode.number(frame, it);
    if (!isCount(bytes, frame.length - it.offset) || (slots += 1) > SLOTS_MAX) return false;
    if (!areFields(frame, it, it.offset + bytes, fields)) return false;
  }
  return it.offset === frame.length;
}

/** The shape of a room's inputs; undefined where it takes none, and Colyseus looks at none. */
export function inputShapeOf(room: Room): InputShape | undefined {
  // Private to Colyseus; the contract test proves that it is so.
  const { _inputController: controller } = room as unknown as {
    readonly _inputController?: { readonly options: { readonly ctor: Record<symbol, unknown> } };
  };
  if (controller === undefined) return undefined;
  const metadata = controller.options.ctor[Symbol.metadata] as Readonly<Record<number, { type?: unknown }>>;
  const fields: (string | undefined)[] = [];
  for (let index = 0; metadata[index] !== undefined; index++) fields.push(readerOf(metadata[index]?.type));
  const timeline = room._timelineMode();
  return { fields, hasTwoStamps: timeline?.snapshot === true && timeline.reckon === true };
}

function readerOf(type: unknown): string | undefined {
  const name = typeof type === "string" ? type : (type as { quantized?: { wire?: string } }).quantized?.wire;
  return name !== undefined && name in decode ? name : undefined;
}

function areFields(
  frame: Buffer,
  it: { offset: number },
  end: number,
  fields: readonly (string | undefined)[],
): boolean {
  while (it.offset < end) {
    const first = frame[it.offset++] ?? 0;
    const operation = first & OPERATION_MASK;
    const reader = fields[first % (operation || 255)]; // as Colyseus reads it
    if (reader === undefined) return false;
    if (operation === DELETE) continue;
    if (reader === "string") {
      if (!skipText(frame, it, end)) return false;
    } else
      (decode[reader as keyof typeof decode] as (bytes: Buffer, it: { offset: number }) => unknown)(
        frame,
        it,
      );
  }
  return it.offset === end;
}

/** Colyseus complains of each byte that is no UTF-8, at length. */
function skipText(frame: Buffer, it: { offset: number }, end: number): boolean {
  const prefix = frame[it.offset] ?? 0;
  let bytes = prefix & 0x1f;
  if (prefix >= 0xc0) {
    if (prefix < 0xd9 || prefix > 0xdb) return false;
    it.offset += 1;
    const width = prefix === 0xd9 ? "uint8" : prefix === 0xda ? "uint16" : "uint32";
    bytes = decode[width](frame, it);
  } else it.offset += 1;
  const from = it.offset;
  it.offset += bytes;
  return it.offset <= end && isUtf8(frame.subarray(from, it.offset));
}

function skipNumbers(frame: Buffer, it: { offset: number }, count: number): void {
  for (let i = 0; i < count && it.offset < frame.length; i++) decode.number(frame, it);
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
