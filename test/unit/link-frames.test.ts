// The frames of the link: what is written is read, however the network cuts it; nonsense costs the link and nothing else.

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  closing,
  eachRecipient,
  type Frame,
  headOf,
  KIND,
  LinkFault,
  LinkReader,
  LinkWriter,
  messageOf,
  placeOf,
  readClosing,
  restOf,
} from "../../src/gateway/link-frames.ts";
import type { RoomId } from "../../src/ids.ts";

const ROOM = "room-1" as RoomId;

interface Said {
  readonly kind: number;
  readonly roomId: string;
  readonly epoch: number;
  readonly places: number[];
  readonly bytes: string;
}

function read(wire: Buffer, cuts: readonly number[] = []): Said[] {
  const reader = new LinkReader();
  const said: Said[] = [];
  const take = (frame: Frame): void => void said.push(asSaid(frame));
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.min(cut, wire.length);
    reader.push(wire.subarray(from, to), take);
    from = to;
  }
  reader.push(wire.subarray(from), take);
  return said;
}

function asSaid(frame: Frame): Said {
  const { kind, roomId, epoch } = frame;
  if (kind !== KIND.down) {
    return { kind, roomId, epoch, places: [placeOf(frame)], bytes: restOf(frame).toString("hex") };
  }
  const places: number[] = [];
  eachRecipient(frame, (place) => places.push(place));
  return { kind, roomId, epoch, places, bytes: messageOf(frame).toString("hex") };
}

test("one message to many players is one frame, with its bytes once", () => {
  const writer = new LinkWriter();
  const head = headOf(ROOM, 7);
  const patch = Buffer.alloc(1_000, 15);
  for (let place = 1; place <= 50; place++) writer.putDown(head, place, patch);
  expect(writer.bytes).toBeLessThan(1_000 + 50 * 4 + 45);
  const [only, ...more] = read(writer.take());
  expect(more).toEqual([]);
  expect(only).toMatchObject({ kind: KIND.down, roomId: ROOM, epoch: 7, bytes: patch.toString("hex") });
  expect(only?.places).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
});

test("a message is copied when it is written, and is another one once the code that sent it is done", async () => {
  const writer = new LinkWriter();
  const head = headOf(ROOM, 1);
  const reused = Buffer.of(15, 1);
  writer.putDown(head, 1, reused);
  writer.putDown(head, 2, reused);
  await Promise.resolve();
  reused[1] = 2; // as the encoder does with its buffer
  writer.putDown(head, 1, reused);
  expect(read(writer.take()).map(({ places, bytes }) => [places, bytes])).toEqual([
    [[1, 2], "0f01"],
    [[1], "0f02"],
  ]);
});

test("what one player is told between two recipients of another message keeps its place in the order", () => {
  const writer = new LinkWriter();
  const head = headOf(ROOM, 1);
  const [all, one] = [Buffer.of(1), Buffer.of(2)];
  writer.putDown(head, 1, all);
  writer.putDown(head, 1, one);
  writer.putDown(head, 2, all);
  writer.put(KIND.close, head, 2, closing(4000, "bye"));
  writer.putDown(head, 1, all);
  expect(read(writer.take()).map(({ places, bytes }) => [places[0], bytes])).toEqual([
    [1, "01"],
    [1, "02"],
    [2, "01"],
    [2, `a00f${Buffer.from("bye").toString("hex")}`],
    [1, "01"],
  ]);
});

test("the same bytes of two activations are two frames", () => {
  const writer = new LinkWriter();
  const bytes = Buffer.of(15, 9);
  writer.putDown(headOf(ROOM, 1), 1, bytes);
  writer.putDown(headOf(ROOM, 2), 1, bytes);
  expect(read(writer.take()).map(({ epoch }) => epoch)).toEqual([1, 2]);
});

const words = fc.array(
  fc.record({
    isDown: fc.boolean(),
    room: fc.constantFrom("a", "room-1", "r".repeat(64)),
    epoch: fc.maxSafeNat(),
    places: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 5 }),
    bytes: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(70_000).fill(3))),
    isTaken: fc.boolean(),
  }),
  { maxLength: 30 },
);

test("what is written is read, in order, wherever the network cuts it and whenever it is taken", () => {
  fc.assert(
    fc.property(words, fc.array(fc.nat(200_000), { maxLength: 20 }), (said, cuts) => {
      const writer = new LinkWriter();
      const taken: Buffer[] = [];
      const expected: Said[] = [];
      for (const { isDown, room, epoch, places, bytes, isTaken } of said) {
        const head = headOf(room as RoomId, epoch);
        const kind = isDown ? KIND.down : KIND.up;
        const all = isDown ? places : places.slice(0, 1);
        for (const place of all) {
          if (isDown) writer.putDown(head, place, bytes);
          else writer.put(kind, head, place, bytes);
        }
        expected.push({ kind, roomId: room, epoch, places: all, bytes: Buffer.from(bytes).toString("hex") });
        if (isTaken) taken.push(writer.take());
      }
      taken.push(writer.take());
      expect(read(Buffer.concat(taken), cuts)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test("what was taken is never written to again", () => {
  const writer = new LinkWriter();
  const head = headOf(ROOM, 1);
  const taken: { bytes: Buffer; before: string }[] = [];
  for (let turn = 0; turn < 400; turn++) {
    writer.putDown(head, turn, Buffer.alloc(300, turn & 0xff));
    const bytes = writer.take();
    taken.push({ bytes, before: bytes.toString("hex") });
  }
  for (const { bytes, before } of taken) expect(bytes.toString("hex")).toBe(before);
});

/** A frame by hand: its kind, the length of its room's id as it is told, the epoch, the body. */
const frame = (kind: number, idBytes: number, epoch: number, body: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 + 2 + 8 + body.length);
  bytes.writeUInt32LE(bytes.length - 4, 0);
  bytes.set([kind, idBytes], 4);
  bytes.writeDoubleLE(epoch, 6);
  bytes.set(body, 14);
  return bytes;
};
const PLACE = [1, 0, 0, 0];

test.each([
  ["a length of nothing", Buffer.of(0, 0, 0, 0, 1, 2)],
  ["a length beyond all bounds", Buffer.of(0xff, 0xff, 0xff, 0xff)],
  ["a kind that there is not", frame(99, 0, 1, PLACE)],
  ["a room id that is longer than the frame", frame(KIND.up, 60, 1, PLACE)],
  [
    "a room id beyond all bounds",
    frame(
      KIND.up,
      100,
      1,
      Array.from({ length: 200 }, () => 0),
    ),
  ],
  ["no place", frame(KIND.up, 0, 1, [])],
  ["an epoch that is none", frame(KIND.up, 0, 1.5, PLACE)],
  ["an epoch before all others", frame(KIND.up, 0, -1, PLACE)],
  ["an epoch that is no number", frame(KIND.up, 0, Number.NaN, PLACE)],
  ["a message that is longer than its frame", frame(KIND.down, 0, 1, [9, 0, 0, 0, ...PLACE])],
  ["a message to nobody", frame(KIND.down, 0, 1, [0, 0, 0, 0])],
  ["half a recipient", frame(KIND.down, 0, 1, [0, 0, 0, 0, 1, 2])],
])("%s is no frame", (_what, bytes) => {
  expect(() => read(bytes)).toThrow(LinkFault);
});

test("whatever bytes come, they are frames or a LinkFault, and cost no more memory than they are", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
      const reader = new LinkReader();
      try {
        for (const chunk of chunks) reader.push(Buffer.from(chunk), asSaid);
      } catch (error) {
        expect(error).toBeInstanceOf(LinkFault);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("such a frame made well is one", () => {
  expect(read(frame(KIND.up, 0, 1, PLACE))).toEqual([
    { kind: KIND.up, roomId: "", epoch: 1, places: [1], bytes: "" },
  ]);
});

test("a frame with a bit turned is another frame or a LinkFault, never another error", () => {
  const writer = new LinkWriter();
  writer.putDown(headOf(ROOM, 3), 5, Buffer.from("hello"));
  writer.put(KIND.close, headOf(ROOM, 3), 5, closing(4010, "again"));
  const whole = Buffer.from(writer.take());
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const turned = Buffer.from(whole);
    turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      read(turned);
    } catch (error) {
      expect(error, `bit ${bit}`).toBeInstanceOf(LinkFault);
    }
  }
});

test("an end that is cut short is a LinkFault", () => {
  expect(() => readClosing(Buffer.of(1))).toThrow(LinkFault);
  expect(readClosing(closing(4010, "again"))).toEqual({ code: 4010, reason: "again" });
});
