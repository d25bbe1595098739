import fc from "fast-check";
import { expect, test } from "vitest";
import { Checkpointer, nextDue, type Saveable } from "../../src/checkpoint/checkpointer.ts";
import { decodeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { SavedCheckpoints, type Checkpoint, type CheckpointStore } from "../../src/checkpoint/store.ts";
import { readConfig } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";

test.each([
  [10_000, 2_000, 0, 12_000],
  [10_001, 2_000, 0, 12_000],
  [11_999, 2_000, 0, 12_000],
  [10_000, 2_000, 0.5, 11_000],
  [500, 2_000, 0.75, 1_500],
  [1_500, 2_000, 0.75, 3_500],
])("at %i, saved every %i and with its turn at %d, a room is due at %i", (now, every, turn, due) => {
  expect(nextDue(now, every, turn)).toBe(due);
});

test("after the turn that a room has had its next one is a whole interval away", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.constantFrom(50, 2_000, 600_000),
      (nowMs, turn, everyMs) => {
        const dueMs = nextDue(nowMs, everyMs, turn);
        expect(dueMs).toBeGreaterThan(nowMs);
        expect(dueMs - nowMs).toBeLessThan(everyMs * 1.00001);
        expect(nextDue(dueMs, everyMs, turn) - dueMs).toBeCloseTo(everyMs, 3);
      },
    ),
  );
});

/** A room whose whole state is one value. */
class FakeRoom implements Saveable {
  readonly roomId: RoomId;
  readonly epoch = 1 as Epoch;
  readonly players = 0;
  readonly turn = 0;
  isActive = true;
  isOver = false;
  nextSeq = 1;
  nextDueMs = 0;
  nextLookMs = 0;
  unsavedSinceMs: number | undefined;
  savingSinceMs: number | undefined;
  saved: Saveable["saved"];
  base: Saveable["base"];
  isLarge = false;
  isCommitting = false;
  value: unknown = 0;

  constructor(name: string) {
    this.roomId = name as RoomId;
  }

  change(value: unknown, nowMs: number): void {
    this.value = value;
    this.unsavedSinceMs ??= nowMs;
  }

  findChanges(): void {}

  capture(): ReturnType<Saveable["capture"]> {
    const room = { metadata: null, locked: false, private: false, unlisted: false, maxClients: 1 };
    return {
      classVersion: 0,
      layout: undefined,
      state: undefined,
      cached: this.value,
      room,
      elapsedMs: 0,
      players: {},
      timers: undefined,
      answers: undefined,
    };
  }
}

interface Sent {
  readonly values: Record<string, unknown>;
  readonly seqs: number[];
  readonly baseSeqs: (number | undefined)[];
  readonly kept: boolean[];
  /** @param baseless rooms of whose checkpoints Postgres lacks what they stand on */
  readonly answer: (saved: string[] | Error, baseless?: string[]) => void;
}

function setUp(rooms: FakeRoom[], settings: Record<string, string> = {}) {
  const clock = fakeClock();
  const sent: Sent[] = [];
  const refused: string[] = [];
  // What Postgres has: a checkpoint that stands on something else could never be read again.
  const stored = new Map<string, Uint8Array>();
  const valueOf = ({ roomId, baseSeq, bytes }: Checkpoint): unknown =>
    decodeSnapshot(bytes, baseSeq === undefined ? undefined : stored.get(`${roomId} ${baseSeq}`)).cached;
  const store = {
    save: (checkpoints: readonly Checkpoint[]) =>
      new Promise<SavedCheckpoints>((resolve, reject) => {
        sent.push({
          values: Object.fromEntries(checkpoints.map((each) => [each.roomId, valueOf(each)])),
          seqs: checkpoints.map(({ seq }) => seq),
          baseSeqs: checkpoints.map(({ baseSeq }) => baseSeq),
          kept: checkpoints.map(({ isKept }) => isKept),
          answer: (saved, baseless = []) => {
            if (saved instanceof Error) return reject(saved);
            for (const { roomId, seq, bytes } of checkpoints) stored.set(`${roomId} ${seq}`, bytes);
            const answer = new SavedCheckpoints();
            for (const checkpoint of checkpoints) {
              if (saved.includes(checkpoint.roomId)) answer.add(checkpoint);
              if (baseless.includes(checkpoint.roomId)) answer.baseless.add(checkpoint);
            }
            resolve(answer);
          },
        });
      }),
  } as unknown as CheckpointStore; // save is all of it that is called
  const config = readConfig({
    NODE_ID: "n",
    DATABASE_URL: "postgres://localhost/d",
    REDIS_URL: "redis://h",
    CLUSTER_KEY: "0123456789abcdef",
    CHECKPOINT_MS: "1000",
    ...settings,
  });
  const events = new EventBus();
  const told: string[] = [];
  events.listen((name) => told.push(name));
  const checkpointer = new Checkpointer<FakeRoom>({
    config,
    clock,
    events,
    store,
    activations: () => rooms,
    mayAct: () => true,
    onRefused: (room) => refused.push(room.roomId),
  });
  return { clock, sent, refused, checkpointer, told };
}

/** Lets whatever is ready run, then moves the clock, a pass's pause at a time. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let gone = 0; gone < ms; gone += 100) {
    await new Promise(setImmediate);
    clock.advance(100);
    await new Promise(setImmediate);
  }
}

test("[CKP4] while Postgres is slow one statement is under way, and the next one takes the rooms as they are then", async () => {
  const room = new FakeRoom("a");
  const { clock, sent, checkpointer } = setUp([room]);
  const sinceMs = clock.monotonicMs();
  room.change(1, sinceMs);
  checkpointer.start();
  await pass(clock, 200);
  expect(sent.map(({ values }) => values)).toEqual([{ a: 1 }]);
  expect(room.unsavedSinceMs, "on its way").toBeUndefined();
  expect(room.savingSinceMs, "but not there yet").toBe(sinceMs);
  for (let value = 2; value <= 9; value++) {
    room.change(value, clock.monotonicMs());
    await pass(clock, 1_000);
  }
  expect(sent).toHaveLength(1);
  sent[0]?.answer(["a"]);
  await pass(clock, 1_200);
  expect(sent.map(({ values }) => values)).toEqual([{ a: 1 }, { a: 9 }]);
  sent[1]?.answer(["a"]);
  await checkpointer.stop();
});

test("[CKP3] [CKP4] a save that failed is made again under a number of its own; a room without changes is not saved", async () => {
  const [changing, quiet] = [new FakeRoom("changing"), new FakeRoom("quiet")];
  const { clock, sent, refused, checkpointer } = setUp([changing, quiet]);
  const sinceMs = clock.monotonicMs();
  changing.change(1, sinceMs);
  checkpointer.start();
  await pass(clock, 200);
  sent[0]?.answer(new Error("connection lost"));
  await pass(clock, 100);
  expect(changing.unsavedSinceMs).toBe(sinceMs);
  expect(changing.savingSinceMs).toBeUndefined();
  await pass(clock, 1_200);
  expect(sent.map(({ seqs }) => seqs)).toEqual([[1], [2]]);
  sent[1]?.answer([]);
  await pass(clock, 100);
  expect(refused).toEqual(["changing"]);
  await checkpointer.stop();
});

test("a room that ended while its checkpoint was on its way is not reported as another node's", async () => {
  const room = new FakeRoom("ends");
  const { clock, sent, refused, checkpointer } = setUp([room]);
  room.change(1, clock.monotonicMs());
  checkpointer.start();
  await pass(clock, 200);
  room.isOver = true;
  sent[0]?.answer([]);
  await pass(clock, 100);
  expect(refused).toEqual([]);
  await checkpointer.stop();
});

/** Bytes that do not compress, the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  let x = seed;
  return Uint8Array.from({ length }, () => (x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0) >>> 16);
}

/** Changes the room, lets its turn come and Postgres take it. */
async function saveOf(
  room: FakeRoom,
  value: unknown,
  { clock, sent }: ReturnType<typeof setUp>,
): Promise<Sent> {
  const before = sent.length;
  room.change(value, clock.monotonicMs());
  await pass(clock, 1_200);
  const last = sent.at(-1);
  if (last === undefined || sent.length !== before + 1) throw new Error(`${sent.length - before} were sent`);
  last.answer([room.roomId]);
  await pass(clock, 100);
  return last;
}

test("[CKP4] a checkpoint holds what differs from the last whole one that Postgres has, and a whole one is written every HISTORY_EVERY_MS", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room], { HISTORY_EVERY_MS: "5000" });
  rig.checkpointer.start();
  const bulk = noise(5_000, 1);
  const sent: Sent[] = [];
  for (let turn = 1; turn <= 8; turn++) sent.push(await saveOf(room, { bulk, turn }, rig));
  expect(sent.map(({ baseSeqs }) => baseSeqs[0])).toEqual([undefined, 1, 1, 1, undefined, 5, 5, 5]);
  expect(sent.map(({ kept }) => kept[0])).toEqual([true, false, false, false, true, false, false, false]);
  expect(sent.map(({ values }) => (values["a"] as { turn: number }).turn)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  await rig.checkpointer.stop();
});

test("[CKP4] nothing stands on a checkpoint that Postgres may not have", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room]);
  rig.checkpointer.start();
  const bulk = noise(5_000, 1);
  room.change({ bulk, turn: 1 }, 0);
  await pass(rig.clock, 1_200);
  rig.sent[0]?.answer(new Error("connection lost"));
  await pass(rig.clock, 1_200);
  expect(rig.sent[1]?.baseSeqs).toEqual([undefined]);
  rig.sent[1]?.answer(["a"]);
  await pass(rig.clock, 100);
  expect((await saveOf(room, { bulk, turn: 2 }, rig)).baseSeqs).toEqual([2]);
  await rig.checkpointer.stop();
});

test("[CKP4] when Postgres has lost what a checkpoint stands on a whole one follows at once, and the room stays", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room]);
  rig.checkpointer.start();
  const bulk = noise(5_000, 1);
  await saveOf(room, { bulk, turn: 1 }, rig);
  room.change({ bulk, turn: 2 }, rig.clock.monotonicMs());
  const sinceMs = rig.clock.monotonicMs();
  await pass(rig.clock, 1_200);
  expect(rig.sent[1]?.baseSeqs).toEqual([1]);
  rig.sent[1]?.answer([], ["a"]);
  await pass(rig.clock, 200);
  expect(room.unsavedSinceMs ?? room.savingSinceMs, "not saved yet").toBe(sinceMs);
  expect(rig.sent[2]).toMatchObject({ baseSeqs: [undefined], seqs: [3], kept: [true] });
  rig.sent[2]?.answer(["a"]);
  await pass(rig.clock, 100);
  expect((await saveOf(room, { bulk, turn: 3 }, rig)).baseSeqs).toEqual([3]);
  expect(rig.refused).toEqual([]);
  // And where it is waited for, at once.
  const saving = rig.checkpointer.saveNow(room);
  rig.sent.at(-1)?.answer([], ["a"]);
  await pass(rig.clock, 0);
  await new Promise(setImmediate);
  expect(rig.sent.at(-1)).toMatchObject({ baseSeqs: [undefined] });
  rig.sent.at(-1)?.answer(["a"]);
  expect(await saving).toBe(true);
  await rig.checkpointer.stop();
});

test("[CKP4] where all of a room has changed its checkpoints are whole, and only one every HISTORY_EVERY_MS is kept", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room], { HISTORY_EVERY_MS: "5000" });
  rig.checkpointer.start();
  const sent: Sent[] = [];
  for (let turn = 1; turn <= 6; turn++) sent.push(await saveOf(room, noise(5_000, turn), rig));
  expect(sent.flatMap(({ baseSeqs }) => baseSeqs)).toEqual(sent.map(() => undefined));
  expect(sent.map(({ kept }) => kept[0])).toEqual([true, false, false, false, true, false]);
  expect((await saveOf(room, noise(5_000, 6), rig)).baseSeqs, "not tried again before the next one").toEqual([
    undefined,
  ]);
  await rig.checkpointer.stop();
});

test("[CKP4] a small room is saved whole, uncompressed, and costs no memory for it", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room]);
  rig.checkpointer.start();
  const sent = [await saveOf(room, 1, rig), await saveOf(room, 2, rig)];
  expect(sent.flatMap(({ baseSeqs }) => baseSeqs)).toEqual([undefined, undefined]);
  expect(sent.flatMap(({ kept }) => kept)).toEqual([true, false]);
  expect(room.base?.body).toBeUndefined();
  await rig.checkpointer.stop();
});

test("[CKP4] what is remembered for others to stand on is bounded; past the bound checkpoints are whole", async () => {
  const rooms = [new FakeRoom("a"), new FakeRoom("b")];
  const rig = setUp(rooms, { CHECKPOINT_BASES_BYTES_MAX: "6000" });
  rig.checkpointer.start();
  for (let turn = 1; turn <= 3; turn++) {
    for (const room of rooms) room.change({ bulk: noise(5_000, 1), turn }, rig.clock.monotonicMs());
    await pass(rig.clock, 1_200);
    rig.sent.at(-1)?.answer(["a", "b"]);
    await pass(rig.clock, 100);
  }
  expect(rig.sent.map(({ baseSeqs }) => baseSeqs)).toEqual([
    [undefined, undefined],
    [1, undefined],
    [1, undefined],
  ]);
  await rig.checkpointer.stop();
});

test("[CKP4] what is remembered in one pass is counted in the next", async () => {
  const rooms = Array.from({ length: 4 }, (_, at) => new FakeRoom(`r${at}`));
  const rig = setUp(rooms, { CHECKPOINT_BASES_BYTES_MAX: "11000" });
  rig.checkpointer.start();
  for (const some of [rooms.slice(0, 2), rooms.slice(2)]) {
    for (const room of some) room.change(noise(5_000, 1), rig.clock.monotonicMs());
    await pass(rig.clock, 100);
    rig.sent.at(-1)?.answer(some.map(({ roomId }) => roomId));
    await pass(rig.clock, 100);
  }
  expect(rig.sent.flatMap(({ seqs }) => seqs)).toHaveLength(4);
  const held = rooms.map(({ base }) => base?.body?.length ?? 0);
  expect(held.reduce((sum, bytes) => sum + bytes)).toBeLessThanOrEqual(11_000);
  await rig.checkpointer.stop();
});

test("[CKP4] [CKP6] of two that are under way the newer one counts, whichever ends first", () => {
  const olderFirst = new FakeRoom("a");
  const newerFirst = new FakeRoom("b");
  const { checkpointer } = setUp([olderFirst, newerFirst]);
  const takeTwo = (room: FakeRoom): ReturnType<typeof checkpointer.take>[] =>
    [1, 2].map((turn) => {
      room.change({ bulk: noise(5_000, 1), turn }, turn);
      return checkpointer.take(room);
    });
  for (const [at, taken] of takeTwo(olderFirst).entries()) {
    checkpointer.settle(taken, true);
    expect(olderFirst.savingSinceMs, "until the newer one is there").toBe(at === 0 ? 1 : undefined);
  }
  for (const taken of takeTwo(newerFirst).reverse()) checkpointer.settle(taken, true);
  for (const { saved, base, savingSinceMs } of [olderFirst, newerFirst]) {
    expect([saved?.seq, base?.seq, savingSinceMs]).toEqual([2, 2, undefined]);
  }
});

test("[CKP4] a checkpoint whose base is gone leaves in place what was saved whole since", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room]);
  const bulk = noise(5_000, 1);
  const take = (turn: number): ReturnType<typeof rig.checkpointer.take> => {
    room.change({ bulk, turn }, turn);
    return rig.checkpointer.take(room);
  };
  rig.checkpointer.settle(take(1), true);
  const older = take(2);
  room.base = undefined; // as after a promotion
  rig.checkpointer.settle(take(3), true);
  rig.checkpointer.putBack(older, { isBaseGone: true });
  expect([older.checkpoint.baseSeq, take(4).checkpoint.baseSeq]).toEqual([1, 3]);
});

test("[CKP6] a room that is overdue between its commits is not tried again before its next turn when that fails", async () => {
  const room = new FakeRoom("a");
  const { checkpointer, clock, sent } = setUp([room]);
  room.change("played", clock.monotonicMs());
  clock.advance(1_000);
  const tries = async (): Promise<number> => {
    const trying = checkpointer.saveIfOverdue(room);
    sent.at(-1)?.answer(new Error("Postgres is away"));
    await trying;
    return sent.length;
  };
  expect([await tries(), await tries()]).toEqual([1, 1]);
  clock.advance(1_000);
  expect(await tries()).toBe(2);
});

test("[CKP4] a room of half the allowed size is warned of, once until it has been smaller", async () => {
  const room = new FakeRoom("a");
  const rig = setUp([room], { CHECKPOINT_BYTES_MAX: "10000" });
  rig.checkpointer.start();
  for (const bytes of [1_000, 6_000, 7_000, 1_000, 6_000]) await saveOf(room, noise(bytes, 1), rig);
  expect(rig.told.filter((name) => name === "checkpoint:grew-large")).toHaveLength(2);
  room.change(noise(11_000, 1), rig.clock.monotonicMs());
  await pass(rig.clock, 1_200);
  expect(rig.sent, "too large: refused before it is sent, and the last one stands").toHaveLength(5);
  expect(rig.told).toContain("room:threw");
  await rig.checkpointer.stop();
});
