// What one checkpoint costs by itself: a real room's state, captured, encoded and read back again and again with nothing
// else going on. Each step is timed on its own as well, so that one sees which of them to make cheaper.

import { serialize } from "node:v8";
import { crc32 } from "node:zlib";
import { Activation } from "../../src/actor/activation.ts";
import { openFrame, sealOnBase, sealWhole } from "../../src/checkpoint/frame.ts";
import { decodeSnapshot, serializeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { captureState, restoreState, type StateImage } from "../../src/colyseus/state-tree.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { BenchRoom } from "./bench-game.ts";
import { percentile } from "./figures.ts";

const BYTES_MAX = 64 * 1024 * 1024;
/** Rounds that are not counted: until the code is compiled. */
const WARM_UP = 0.3;
/** A delta is measured against a state so much older: one interval between checkpoints. */
const BASE_AGE_MS = 2_000;

export interface Timing {
  readonly medianUs: number;
  readonly p99Us: number;
}

export interface EncodeFigures {
  readonly bodyBytes: number;
  readonly wholeBytes: number;
  readonly deltaBytes: number;
  /** Capture to stored bytes. */
  readonly encodeWhole: Timing;
  readonly encodeDelta: Timing;
  /** Stored bytes to a room that holds the state. */
  readonly restoreWhole: Timing;
  readonly restoreDelta: Timing;
  /** The steps of an encode: their names, and the median of each. */
  readonly steps: readonly (readonly [name: string, medianUs: number])[];
}

/**
 * @param from a room that moves
 * @param into a room of the same size, whose state is replaced
 */
export async function measureEncoding(
  from: BenchRoom,
  into: BenchRoom,
  rounds: number,
): Promise<EncodeFigures> {
  const activation = new Activation(from.roomId as RoomId, from.roomName, 1 as Epoch, from); // of nobody: only read
  const bodyOf = (): Buffer => serializeSnapshot(activation.capture(), BYTES_MAX);
  const base = bodyOf();
  const storedBase = sealWhole(base);
  await systemClock.sleep(BASE_AGE_MS);

  const body = bodyOf();
  const whole = sealWhole(body);
  const delta = sealOnBase(body, base);
  const restore = (bytes: Buffer, on?: Buffer): void =>
    restoreState(into, decodeSnapshot(bytes, on).state as StateImage); // the room has one
  const time = async (work: () => unknown): Promise<Timing> => timingOf(await spans(rounds, work));

  const snapshot = activation.capture();
  const steps: [string, number][] = [];
  for (const [name, work] of [
    ["capture of the state", () => captureState(from.state)],
    ["whole capture (state, extras and their print)", () => activation.capture()],
    ["serialize (with the check for lossy values)", () => serializeSnapshot(snapshot, BYTES_MAX)],
    ["serialize alone", () => serialize(snapshot)],
    ["seal whole (zstd, crc)", () => sealWhole(body)],
    ["seal on a base (zstd with it as dictionary, crc)", () => sealOnBase(body, base)],
    ["crc32 of the body", () => crc32(body)],
    ["open whole (crc, zstd)", () => openFrame(whole)],
  ] as const) {
    steps.push([name, (await time(work)).medianUs]);
  }
  return {
    bodyBytes: body.length,
    wholeBytes: whole.length,
    deltaBytes: delta.length,
    encodeWhole: await time(() => sealWhole(bodyOf())),
    encodeDelta: await time(() => sealOnBase(bodyOf(), base)),
    restoreWhole: await time(() => restore(whole)),
    restoreDelta: await time(() => restore(delta, storedBase)),
    steps,
  };
}

/** How long each round took, in microseconds. The room has its turn in between, as in a node. */
async function spans(rounds: number, work: () => unknown): Promise<number[]> {
  const taken: number[] = [];
  for (let round = -Math.ceil(rounds * WARM_UP); round < rounds; round++) {
    const startedMs = performance.now();
    work();
    if (round >= 0) taken.push((performance.now() - startedMs) * 1_000);
    if (round % 10 === 0) await new Promise(setImmediate);
  }
  return taken;
}

function timingOf(us: readonly number[]): Timing {
  return { medianUs: percentile(us, 0.5), p99Us: percentile(us, 0.99) };
}
