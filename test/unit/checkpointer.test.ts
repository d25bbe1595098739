import { expect, test } from "vitest";
import { Checkpointer, nextDue, type Saveable } from "../../src/checkpoint/checkpointer.ts";
import { decodeSnapshot } from "../../src/checkpoint/snapshot.ts";
import type { Checkpoint, CheckpointStore } from "../../src/checkpoint/store.ts";
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

/** A room whose whole state is one number. */
class FakeRoom implements Saveable {
  readonly roomId: RoomId;
  readonly epoch = 1 as Epoch;
  readonly players = 0;
  readonly turn = 0;
  isActive = true;
  nextSeq = 1;
  nextDueMs = 0;
  unsavedSinceMs: number | undefined;
  saved: Saveable["saved"];
  value = 0;

  constructor(name: string) {
    this.roomId = name as RoomId;
  }

  change(value: number, nowMs: number): void {
    this.value = value;
    this.unsavedSinceMs ??= nowMs;
  }

  findChanges(): void {}

  capture(): ReturnType<Saveable["capture"]> {
    const room = { metadata: null, locked: false, private: false, unlisted: false, maxClients: 1 };
    return { classVersion: 0, state: undefined, cached: this.value, room, elapsedMs: 0, players: {} };
  }
}

interface Sent {
  readonly values: Record<string, unknown>;
  readonly seqs: number[];
  readonly answer: (saved: string[] | Error) => void;
}

function setUp(rooms: FakeRoom[]) {
  const clock = fakeClock();
  const sent: Sent[] = [];
  const refused: string[] = [];
  const store = {
    save: (checkpoints: readonly Checkpoint[]) =>
      new Promise<Set<RoomId>>((resolve, reject) => {
        sent.push({
          values: Object.fromEntries(
            checkpoints.map(({ roomId, bytes }) => [roomId, decodeSnapshot(bytes).cached]),
          ),
          seqs: checkpoints.map(({ seq }) => seq),
          answer: (saved) => (saved instanceof Error ? reject(saved) : resolve(new Set(saved as RoomId[]))),
        });
      }),
  } as unknown as CheckpointStore; // save is all of it that is called
  const config = readConfig({
    NODE_ID: "n",
    DATABASE_URL: "postgres://localhost/d",
    REDIS_URL: "redis://h",
    CLUSTER_KEY: "0123456789abcdef",
    CHECKPOINT_MS: "1000",
  });
  const checkpointer = new Checkpointer<FakeRoom>({
    config,
    clock,
    events: new EventBus(),
    store,
    activations: () => rooms,
    mayAct: () => true,
    onRefused: (room) => refused.push(room.roomId),
  });
  return { clock, sent, refused, checkpointer };
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
  room.change(1, clock.monotonicMs());
  checkpointer.start();
  await pass(clock, 200);
  expect(sent.map(({ values }) => values)).toEqual([{ a: 1 }]);
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
  await pass(clock, 1_200);
  expect(sent.map(({ seqs }) => seqs)).toEqual([[1], [2]]);
  sent[1]?.answer([]);
  await pass(clock, 100);
  expect(refused).toEqual(["changing"]);
  await checkpointer.stop();
});
