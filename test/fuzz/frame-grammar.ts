// WebSocket frames by the grammar of Colyseus's protocol. Most of them leave the connection open, so that what comes after
// them is heard too; some may not.

import { Protocol, ProtocolModifier } from "@colyseus/core";
import { pack as packAny } from "msgpackr";
import type { Bytes, Chance } from "./chance.ts";
import { jsonValue } from "./http-grammar.ts";

export interface Frame {
  readonly bytes: Bytes;
  /** The connection has to end with this one. */
  readonly isLast: boolean;
}

const OPCODES = Object.values(Protocol).filter(
  (code) => typeof code === "number" && code !== Protocol.LEAVE_ROOM,
);
const NAMES = [
  "add",
  "echo",
  "move",
  "respawn",
  "__proto__",
  "constructor",
  "toString",
  "*",
  "",
  "hasOwnProperty",
  "x".repeat(300),
];
const pack = (value: unknown): Bytes => Buffer.from(packAny(value));
const BINARY = 2;
const TEXT = 1;

export function frame(chance: Chance, takesInputs: boolean): Frame {
  const broken = chance.oneIn(700) ? breakingFrame(chance) : undefined;
  if (broken !== undefined) return { bytes: broken, isLast: true };
  const said = payload(chance, takesInputs);
  if (said.isLast) return { bytes: wire(chance, BINARY, said.bytes), isLast: true };
  return {
    isLast: false,
    bytes: chance.weighted<Bytes>([
      [30, () => wire(chance, BINARY, said.bytes)],
      [3, () => fragmented(chance, said.bytes)],
      [2, () => wire(chance, TEXT, Buffer.from(chance.text(60), "utf8"))],
      [2, () => wire(chance, 9, chance.bytes(0, 125))],
      [2, () => wire(chance, 10, chance.bytes(0, 125))],
    ]),
  };
}

/** What the SDK says on leaving. */
export function leaving(chance: Chance): Bytes {
  return wire(chance, BINARY, Buffer.of(Protocol.LEAVE_ROOM));
}

/** That the seat is taken. */
export function acknowledging(chance: Chance): Bytes {
  return wire(chance, BINARY, Buffer.of(Protocol.JOIN_ROOM));
}

function payload(chance: Chance, takesInputs: boolean): Frame {
  const open = (bytes: Bytes): Frame => ({ bytes, isLast: false });
  return chance.weighted<Frame>([
    [1, () => open(Buffer.alloc(0))],
    [5, () => open(Buffer.concat([Buffer.of(Protocol.ROOM_DATA), name(chance), packed(chance)]))],
    [
      5,
      () =>
        open(
          Buffer.concat([
            Buffer.of(Protocol.ROOM_REQUEST),
            count(chance),
            name(chance),
            chance.oneIn(4) ? chance.bytes(0, 60) : packed(chance),
          ]),
        ),
    ],
    [2, () => open(Buffer.concat([Buffer.of(Protocol.ROOM_DATA), count(chance), packed(chance)]))],
    [2, () => open(Buffer.concat([Buffer.of(Protocol.ROOM_DATA_BYTES), name(chance), chance.bytes(0, 200)]))],
    [
      4,
      () =>
        open(
          Buffer.concat([
            Buffer.of(chance.pick(OPCODES.filter((code) => !isData(code)))),
            chance.oneIn(2) ? Buffer.alloc(0) : chance.bytes(0, 30),
          ]),
        ),
    ],
    // A code that is none, with modifiers or without.
    [
      3,
      () =>
        open(
          Buffer.concat([
            Buffer.of((chance.int(23, 31) | chance.pick([0, 32, 64, 128, 224])) & 255),
            chance.bytes(0, 200),
          ]),
        ),
    ],
    [takesInputs ? 8 : 2, () => input(chance, takesInputs)],
    [0.03, () => ({ bytes: Buffer.of(Protocol.LEAVE_ROOM), isLast: true })],
    [0.05, () => open(Buffer.concat([Buffer.of(Protocol.ROOM_DATA), name(chance), nonsense(chance)]))],
  ]);
}

/** Inputs and what reads them are left to `input`, messages to those who name them. */
function isData(code: number): boolean {
  const { ROOM_DATA, ROOM_REQUEST, ROOM_INPUT_RELIABLE, ROOM_INPUT_UNRELIABLE } = Protocol;
  return ([ROOM_DATA, ROOM_REQUEST, ROOM_INPUT_RELIABLE, ROOM_INPUT_UNRELIABLE] as number[]).includes(code);
}

/** A text as schema and msgpack write it. */
function text(bytes: Bytes): Bytes {
  if (bytes.length < 32) return Buffer.concat([Buffer.of(0xa0 | bytes.length), bytes]);
  const head = Buffer.of(0xda, bytes.length & 255, bytes.length >> 8);
  return Buffer.concat([head, bytes]);
}

function name(chance: Chance): Bytes {
  return chance.weighted<Bytes>([
    [10, () => text(Buffer.from(chance.pick(NAMES)))],
    [1, () => text(chance.bytes(0, 20))],
    [0.2, () => Buffer.concat([Buffer.of(0xdb, 255, 255, 255, 255), chance.bytes(0, 20)])],
  ]);
}

/** A number as schema writes it, now and then an absurd one. */
function count(chance: Chance): Bytes {
  return chance.weighted<Bytes>([
    [8, () => Buffer.of(chance.int(0, 127))],
    [2, () => Buffer.of(0xcd, chance.int(0, 255), chance.int(0, 255))],
    [1, () => Buffer.of(0xce, 255, 255, 255, chance.int(0, 255))],
    [1, () => Buffer.concat([Buffer.of(0xcb), chance.bytes(8, 8)])],
    [1, () => Buffer.of(0xd0, chance.int(128, 255))],
    [1, () => Buffer.concat([Buffer.of(chance.int(0xc0, 0xff)), chance.bytes(0, 8)])],
  ]);
}

function packed(chance: Chance): Bytes {
  return chance.oneIn(8) ? Buffer.alloc(0) : pack(jsonValue(chance, 0));
}

/** Msgpack that is cut short, overwritten, or nothing of the kind. */
function nonsense(chance: Chance): Bytes {
  const whole = packed(chance);
  return chance.weighted<Bytes>([
    [2, () => whole.subarray(0, chance.int(0, whole.length))],
    [2, () => chance.bytes(1, 200)],
    [
      1,
      () =>
        Buffer.concat([Buffer.of(chance.pick([0xdd, 0xdf, 0xdb, 0xc6, 0xc9]), 255, 255, 255, 255), whole]),
    ],
    [1, () => Buffer.alloc(chance.int(1, 3_000), chance.pick([0x91, 0x81, 0xd4, 0xc7]))],
    [
      1,
      () =>
        Buffer.concat([
          Buffer.of(0xd4, chance.pick([0x72, 0x69, 0x70, 0x78, 0x65, 0x62]), chance.int(0, 255)),
          whole,
        ]),
    ],
  ]);
}

function input(chance: Chance, takesInputs: boolean): Frame {
  const code = chance.pick([Protocol.ROOM_INPUT_RELIABLE, Protocol.ROOM_INPUT_UNRELIABLE]);
  const isTimed = chance.oneIn(2);
  const parts = [Buffer.of(isTimed ? code | ProtocolModifier.TIMED : code)];
  if (takesInputs && !chance.oneIn(100)) {
    // As the SDK writes them: field 0 is a number, field 3 a boolean.
    const fields = (): Bytes => Buffer.of(0x80, chance.int(0, 127), 0x83, chance.int(0, 1));
    if (code === Protocol.ROOM_INPUT_RELIABLE) {
      if (isTimed) parts.push(Buffer.of(chance.int(0, 127)));
      parts.push(fields());
    } else {
      const slots = chance.int(1, 6);
      if (isTimed) parts.push(Buffer.of(slots), chance.bytes(4, 4), Buffer.alloc(slots - 1, 1));
      parts.push(Buffer.of(chance.int(0, 127)));
      for (let slot = 0; slot < slots; slot++) parts.push(Buffer.of(4), fields());
    }
    return { bytes: Buffer.concat(parts), isLast: false };
  }
  if (isTimed) parts.push(count(chance), chance.bytes(0, 4), count(chance));
  parts.push(count(chance), count(chance), chance.bytes(0, 60));
  return { bytes: Buffer.concat(parts), isLast: false }; // may end it: what is no input is closed
}

function fragmented(chance: Chance, bytes: Bytes): Bytes {
  const pieces = chance.int(2, 6);
  const parts: Buffer[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    const from = Math.floor((bytes.length * piece) / pieces);
    const to = Math.floor((bytes.length * (piece + 1)) / pieces);
    parts.push(wire(chance, piece === 0 ? BINARY : 0, bytes.subarray(from, to), piece === pieces - 1));
    if (chance.oneIn(4)) parts.push(wire(chance, 9, chance.bytes(0, 20)));
  }
  return Buffer.concat(parts);
}

/** What is no WebSocket any more, or too much of one. */
function breakingFrame(chance: Chance): Bytes {
  const some = chance.bytes(0, 100);
  const plain = wire(chance, BINARY, some);
  return chance.weighted<Bytes>([
    [1, () => ((plain[0] = (plain[0] ?? 0) | chance.pick([0x40, 0x20, 0x10, 0x70])), plain)], // reserved bits
    [1, () => Buffer.concat([Buffer.of(0x82, some.length), some])], // no mask
    [1, () => wire(chance, chance.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), some)],
    [1, () => Buffer.concat([Buffer.of(0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255), some])],
    [1, () => wire(chance, BINARY, Buffer.alloc(5_000, 13))],
    [1, () => wire(chance, TEXT, Buffer.of(0xff, 0xfe, 0xc0))],
    [
      1,
      () =>
        wire(
          chance,
          8,
          chance.pick([Buffer.of(3), Buffer.of(0, 0), Buffer.of(3, 237), Buffer.of(0x3, 0xe8, 0xff)]),
        ),
    ],
    [1, () => wire(chance, 9, Buffer.alloc(126))],
    [1, () => wire(chance, 0, some)], // goes on with nothing
    [
      1,
      () =>
        Buffer.concat(
          Array.from({ length: 60 }, (_, piece) =>
            wire(chance, piece === 0 ? BINARY : 0, Buffer.alloc(0), false),
          ),
        ),
    ],
    [1, () => Buffer.concat([wire(chance, BINARY, some, false), wire(chance, BINARY, some)])],
    [1, () => chance.bytes(20, 300)],
  ]);
}

function wire(chance: Chance, opcode: number, bytes: Bytes, isFinal = true): Bytes {
  const mask = chance.bytes(4, 4);
  const length = bytes.length;
  const head = length < 126 ? Buffer.alloc(2) : Buffer.alloc(4);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (length < 126 ? length : 126);
  if (length >= 126) head.writeUInt16BE(length, 2);
  const masked = Buffer.from(bytes);
  for (let at = 0; at < length; at++) masked[at] = (masked[at] ?? 0) ^ (mask[at & 3] ?? 0);
  return Buffer.concat([head, mask, masked]);
}
