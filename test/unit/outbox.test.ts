// What waits for a player who reads slowly, on a socket that takes what the test lets it take.

import { Writable } from "node:stream";
import type { Duplex } from "node:stream";
import { expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { Outbox } from "../../src/gateway/outbox.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const BEHIND_MS = 5_000;

function setUp() {
  const clock = fakeClock();
  const written: string[] = [];
  let takeOne: (() => void) | undefined;
  const socket = new Writable({
    highWaterMark: 1,
    write: (bytes: Buffer, _encoding, done) => {
      written.push(`${String.fromCharCode(bytes[0]!)}${Math.round(bytes.length / KIB)}`);
      takeOne = done;
    },
  });
  const told: string[] = [];
  const outbox = new Outbox({
    clock,
    config: { playerBytesMax: MIB, playerBehindMs: BEHIND_MS } as Config, // all that is asked of it
    socket: socket as Duplex, // which is not read here
    onCaughtUp: () => void told.push("caught up"),
    onCutOff: (why) => void told.push(why),
  });
  const frame = (kind: string, kib: number): Buffer => Buffer.alloc(kib * KIB, kind);
  return {
    clock,
    written,
    told,
    outbox,
    socket,
    patch: (kib: number) => outbox.patch(frame("p", kib)),
    message: (kib: number) => outbox.message(frame("m", kib)),
    state: (kib: number) => outbox.fullState(frame("s", kib)),
    /** The player reads all that waits. */
    read: async (): Promise<void> => {
      while (socket.writableLength > 0) {
        const done = takeOne;
        takeOne = undefined;
        done?.();
        await new Promise(setImmediate);
      }
    },
    turn: () => new Promise(setImmediate),
  };
}

test("[GATE6] who falls behind gets no patches but all that was said, and one full state when they have caught up", async () => {
  const { clock, message, outbox, patch, read, state, told, written } = setUp();
  for (let count = 0; count < 20; count++) patch(10); // seven fit
  message(3);
  patch(1);
  expect(outbox.isFull).toBe(true);
  await read();
  expect(written).toEqual([...Array.from({ length: 7 }, () => "p10"), "m3"]);
  expect(told).toEqual([]); // in a turn of its own
  clock.advance(1);
  expect(told).toEqual(["caught up"]);
  patch(1); // worth nothing before the state
  state(200);
  patch(2); // what it does not know yet
  await read();
  expect(written.slice(8)).toEqual(["s200", "p2"]);
  clock.advance(BEHIND_MS * 2);
  expect(told).toEqual(["caught up"]);
});

test("[GATE6] who falls behind again and again costs one full state a second", async () => {
  const { clock, patch, read, state, told } = setUp();
  for (let times = 0; times < 10; times++) {
    for (let count = 0; count < 20; count++) patch(10);
    await read();
    clock.advance(250);
    if (told.length > 0) state(1);
    await read();
  }
  expect(told.length).toBeLessThanOrEqual(3);
});

test("[GATE6] no more than PLAYER_BYTES_MAX waits, beside one message or state of any size", async () => {
  const one = setUp();
  one.message(3 * KIB);
  expect(one.told).toEqual([]);
  await one.read();
  one.state(3 * KIB);
  one.patch(50);
  expect(one.told).toEqual([]);
  for (let count = 0; count < 9; count++) one.message(100);
  for (let count = 0; count < 400; count++) one.patch(10); // left out, and no reason to cut anybody off
  expect(one.told).toEqual([]);
  await one.read();
  one.message(3 * KIB); // and before the next
  expect(one.told).toEqual([]);
  const wide = setUp();
  wide.message(10);
  wide.patch(KIB);
  expect(wide.told).toEqual([]);
  const many = setUp();
  for (let count = 0; count < 10; count++) many.message(100);
  expect(many.told).toEqual([]);
  many.message(100);
  expect(many.told).toEqual(["too much waits for a slow reader"]);
  expect(many.socket.writableLength).toBeLessThanOrEqual(MIB);
});

test("[GATE6] who does not catch up in time is cut off, and nothing is written to who has gone", async () => {
  const { clock, message, outbox, patch, read, told, turn, written } = setUp();
  for (let count = 0; count < 20; count++) patch(10);
  clock.advance(BEHIND_MS - 1);
  await turn();
  expect(told).toEqual([]);
  clock.advance(1);
  await turn();
  expect(told).toEqual(["did not catch up in time"]);
  outbox.stop();
  message(1);
  patch(1);
  await read();
  expect(new Set(written)).toEqual(new Set(["p10"]));
});
