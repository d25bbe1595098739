// One end of a link: how it ends, and when what was said may leave.

import { duplexPair, type Duplex } from "node:stream";
import { expect, test } from "vitest";
import { LinkEnd, type LinkEndParts } from "../../src/gateway/link-end.ts";
import { type Frame, headOf, KIND, messageOf, NO_ROOM } from "../../src/gateway/link-frames.ts";
import type { RoomId } from "../../src/ids.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";

const HEAD = headOf("room-1" as RoomId, 1);
const SILENT_MS = 3_000;

interface Side {
  readonly end: LinkEnd;
  readonly socket: Duplex;
  readonly frames: Frame[];
  readonly ends: string[];
}

function side(socket: Duplex, clock: FakeClock, more: Partial<LinkEndParts> = {}): Side {
  const frames: Frame[] = [];
  const ends: string[] = [];
  const end = new LinkEnd({
    socket,
    head: Buffer.alloc(0),
    clock,
    silentMs: SILENT_MS,
    onFrame: (frame) => frames.push(frame),
    onClosed: (why) => ends.push(why),
    ...more,
  });
  return { end, socket, frames, ends };
}

function pair(more: Partial<LinkEndParts> = {}): { clock: FakeClock; near: Side; far: Side } {
  const clock = fakeClock();
  const [a, b] = duplexPair();
  return { clock, near: side(a, clock, more), far: side(b, clock) };
}

/** Lets everything happen that needs no time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

test("what is said in one turn of the event loop is one write, and so is what is said right after one", async () => {
  const { clock, near, far } = pair();
  let writes = 0;
  const { socket } = near;
  const write = socket.write.bind(socket) as (chunk: Buffer) => boolean;
  socket.write = (chunk: Buffer) => {
    writes += 1;
    return write(chunk);
  };
  for (let place = 0; place < 100; place++) near.end.putDown(HEAD, place, Buffer.of(place));
  near.end.put(KIND.cut, HEAD, 1);
  await settle();
  expect(writes).toBe(1);
  expect(far.frames).toHaveLength(101);

  for (let turn = 0; turn < 10; turn++) {
    near.end.put(KIND.cut, HEAD, turn);
    await settle();
  }
  expect(writes, "so soon after the one before").toBe(1);
  clock.advance(5);
  await settle();
  expect(writes).toBe(2);
  expect(far.frames).toHaveLength(111);
});

test("[GATE4] a link whose other end says nothing any more is ended: half open is not open", async () => {
  const { clock, near, far } = pair();
  for (let look = 0; look < 20; look++) {
    clock.advance(SILENT_MS / 6);
    await settle();
  }
  expect([near.end.isOpen, far.end.isOpen], "two that answer each other's pings").toEqual([true, true]);

  far.socket.pause(); // hears nothing, so answers nothing, and its own pings do not get through either
  far.socket.write = () => true;
  for (let look = 0; look < 5; look++) {
    clock.advance(SILENT_MS / 6);
    await settle();
  }
  expect(near.end.isOpen, "before the time is over").toBe(true);
  for (let look = 0; look < 3; look++) {
    clock.advance(SILENT_MS / 6);
    await settle();
  }
  expect(near.ends).toEqual([`silent for ${SILENT_MS} ms`]);
});

test("a process that stood still itself does not take that for the other's silence", async () => {
  // Its clock has gone on for an hour; of its timers one falls due, once, before it hears anything.
  const due: (() => void)[] = [];
  const clock = { ...fakeClock(), after: (_ms: number, work: () => void) => (due.push(work), () => {}) };
  const [a, b] = duplexPair();
  const near = side(a, clock);
  const far = side(b, clock);
  for (const work of due.splice(0)) work();
  for (const work of due.splice(0)) work();
  await settle();
  expect([near.ends, far.ends]).toEqual([[], []]);
});

test("garbage ends the link, and is told to nobody", async () => {
  const clock = fakeClock();
  const [a, b] = duplexPair();
  const near = side(a, clock);
  b.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
  await settle();
  expect(near.frames).toEqual([]);
  expect(near.ends).toHaveLength(1);
  expect(near.end.isOpen).toBe(false);
  near.end.put(KIND.ping, NO_ROOM); // after the end, nothing
  near.end.close("again");
  expect(near.ends).toHaveLength(1);
});

test("[OWN4] a room's word waits when the lease has run out under it; other frames do not mind", async () => {
  let maySpeak = true;
  const { clock, near, far } = pair({ maySpeak: () => maySpeak });
  near.end.put(KIND.cut, HEAD, 1);
  await settle();
  expect(far.frames.map(({ kind }) => kind)).toEqual([KIND.cut]);

  near.end.putDown(HEAD, 1, Buffer.of(15, 1));
  maySpeak = false; // between the word and the write
  clock.advance(5);
  await settle();
  clock.advance(200);
  await settle();
  expect(far.frames).toHaveLength(1);

  maySpeak = true;
  clock.advance(50);
  await settle();
  expect(far.frames.slice(1).map((frame) => messageOf(frame).toString("hex"))).toEqual(["0f01"]);

  maySpeak = false;
  near.end.put(KIND.cut, HEAD, 2);
  await settle();
  clock.advance(5);
  await settle();
  expect(far.frames.at(-1)?.kind).toBe(KIND.cut);
});

test("[OWN7] a link whose rooms may not speak for long, and have a word that waits, is not taken for dead", async () => {
  let maySpeak = true;
  const { clock, near, far } = pair({ maySpeak: () => maySpeak });
  near.end.put(KIND.cut, HEAD, 1);
  await settle();
  near.end.putDown(HEAD, 1, Buffer.of(15, 1));
  maySpeak = false;
  for (let look = 0; look < 20; look++) {
    clock.advance(SILENT_MS / 6);
    await settle();
  }
  expect([near.ends, far.ends]).toEqual([[], []]);
  expect(far.frames).toHaveLength(1);
  maySpeak = true;
  clock.advance(50);
  await settle();
  expect(far.frames.slice(1).map((frame) => messageOf(frame).toString("hex"))).toEqual(["0f01"]);
});

test("a broken socket ends the link once, with the reason", async () => {
  const { near, far } = pair();
  near.socket.destroy(new Error("reset"));
  await settle();
  expect(near.ends).toEqual(["reset"]);
  far.socket.destroy();
  await settle();
  expect(far.ends).toHaveLength(1);
});
