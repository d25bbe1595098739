// Commits of rooms, with outcomes given by hand: what is saved, in which order, and what is undone when.

import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Room } from "@colyseus/core";
import { Checkpointer, type Saveable } from "../../src/checkpoint/checkpointer.ts";
import { decodeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { SavedCheckpoints, type Checkpoint, type CheckpointStore } from "../../src/checkpoint/store.ts";
import { attachCommits, commit } from "../../src/commit/commit.ts";
import type { CommitStore } from "../../src/commit/commit-store.ts";
import { Committer, type Committable, type CommitWork } from "../../src/commit/committer.ts";
import type { Outcome } from "../../src/commit/outcome.ts";
import { RoomCommits } from "../../src/commit/room-commits.ts";
import type { Statement } from "../../src/commit/statement.ts";
import type { CommitTx, OwnTransaction, Unit } from "../../src/commit/transaction.ts";
import { readConfig } from "../../src/config.ts";
import { RingsideError, type ErrorCode } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";

const COMMIT_MS = 5_000;

/** A room whose whole state is one value. */
class FakeRoom implements Committable {
  readonly roomId: RoomId;
  readonly epoch = 1 as Epoch;
  readonly players = 0;
  readonly turn = 0;
  readonly room = {} as Room; // only its identity counts
  isActive = true;
  isOver = false;
  mayCommit = true;
  isGone = false;
  isCommitting = false;
  nextSeq = 1;
  nextDueMs = 0;
  nextLookMs = 0;
  unsavedSinceMs: number | undefined;
  savingSinceMs: number | undefined;
  saved: Saveable["saved"];
  base: Saveable["base"];
  isLarge = false;
  value: unknown = 0;

  constructor(name = "a") {
    this.roomId = name as RoomId;
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
  readonly roomId: RoomId;
  readonly seq: number;
  readonly value: unknown;
  readonly texts: string[];
  readonly isOwn: boolean;
  readonly answer: (outcome: Outcome) => void;
}

interface Found {
  readonly seq: number;
  readonly answer: (found: boolean | undefined | Error) => void;
}

const COMMITTED: Outcome = { kind: "committed" };
const UNKNOWN: Outcome = { kind: "unknown", error: new Error("connection lost") };
const refused = (code: ErrorCode = "COMMIT_REFUSED"): Outcome => ({
  kind: "refused",
  error: new RingsideError(code, { why: "no" }),
});

function setUp(rooms: FakeRoom[], settings: Record<string, string> = {}) {
  const clock = fakeClock();
  const sent: Sent[] = [];
  const finds: Found[] = [];
  const own = { opened: 0, abandoned: 0, queries: [] as string[] };
  const saves: Record<string, unknown>[] = [];
  const stored = new Map<string, Uint8Array>();
  const valueOf = ({ roomId, baseSeq, bytes }: Checkpoint): unknown =>
    decodeSnapshot(bytes, baseSeq === undefined ? undefined : stored.get(`${roomId} ${baseSeq}`)).cached;
  const asked = ({ statements, checkpoint }: Unit, isOwn: boolean): Promise<Outcome> =>
    new Promise((resolve) => {
      sent.push({
        roomId: checkpoint.roomId,
        seq: checkpoint.seq,
        value: valueOf(checkpoint),
        texts: statements.map(({ text }) => text),
        isOwn,
        answer: (outcome) => {
          if (outcome.kind !== "refused")
            stored.set(`${checkpoint.roomId} ${checkpoint.seq}`, checkpoint.bytes);
          resolve(outcome);
        },
      });
    });
  let opening = Promise.resolve();
  const store = {
    commit: (unit: Unit) => asked(unit, false),
    open: async (): Promise<OwnTransaction> => {
      await opening;
      own.opened++;
      return {
        query: ({ text }: Statement) => {
          own.queries.push(text);
          if (text === "FAIL")
            return Promise.reject(new RingsideError("COMMIT_REFUSED", { sqlState: "23505" }));
          if (text === "HANG") return new Promise(() => {});
          return Promise.resolve({ rows: [{ text }], rowCount: 1 } as never); // what the tests read of it
        },
        commit: (unit: Unit) => asked(unit, true),
        abandon: () => void own.abandoned++,
      };
    },
    find: (_: RoomId, __: Epoch, seq: number) =>
      new Promise<boolean | undefined>((resolve, reject) => {
        finds.push({ seq, answer: (found) => (found instanceof Error ? reject(found) : resolve(found)) });
      }),
  } as unknown as CommitStore; // these are all that are called
  const config = readConfig({
    NODE_ID: "n",
    DATABASE_URL: "postgres://localhost/d",
    REDIS_URL: "redis://h",
    CLUSTER_KEY: "0123456789abcdef",
    CHECKPOINT_MS: "1000",
    COMMIT_MS: String(COMMIT_MS),
    ...settings,
  });
  const events = new EventBus();
  const told: { name: string; facts: Record<string, unknown> }[] = [];
  events.listen((name, facts) => void told.push({ name, facts }));
  const fenced: string[] = [];
  const checkpointer = new Checkpointer<FakeRoom>({
    config,
    clock,
    events,
    store: {
      save: async (checkpoints: readonly Checkpoint[]) => {
        saves.push(Object.fromEntries(checkpoints.map((each) => [each.roomId, valueOf(each)])));
        for (const { roomId, seq, bytes } of checkpoints) stored.set(`${roomId} ${seq}`, bytes);
        return new SavedCheckpoints(checkpoints);
      },
    } as unknown as CheckpointStore, // save is all of it that is called
    activations: () => rooms,
    mayAct: () => true,
    onRefused: (room) => void fenced.push(room.roomId),
  });
  const lease = { isHeld: true };
  const committer = new Committer<FakeRoom>({ config, clock, events, checkpointer, store, lease });
  return {
    clock,
    sent,
    finds,
    own,
    saves,
    told,
    fenced,
    checkpointer,
    events,
    lease,
    committer,
    holdOpening(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      opening = promise;
      return resolve;
    },
  };
}

/** Lets whatever is ready run. */
async function turn(): Promise<void> {
  for (let times = 0; times < 4; times++) await new Promise(setImmediate);
}

async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let gone = 0; gone < ms; gone += 50) {
    await turn();
    clock.advance(50);
  }
  await turn();
}

/** What became of a promise, as it is now. */
function watch<Result>(promise: Promise<Result>): {
  word: string;
  error: unknown;
  result: Result | undefined;
} {
  const seen = { word: "waiting", error: undefined as unknown, result: undefined as Result | undefined };
  promise.then(
    (result) => {
      seen.word = "done";
      seen.result = result;
    },
    (error: unknown) => {
      seen.word = error instanceof RingsideError ? error.code : String(error);
      seen.error = error;
    },
  );
  return seen;
}

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);
beforeEach(() => void process.on("unhandledRejection", onUnhandled));
afterEach(async () => {
  await turn();
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

test("[COM2] commits of one room run one after the other, each checkpoint with what its callback did and no more", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  const order: string[] = [];
  const add = (name: string): Promise<string> =>
    committer.commit(room, (tx) => {
      order.push(`begins ${name}`);
      room.value = `${String(room.value)}${name}`;
      tx.run(`INSERT ${name}`);
      return name;
    });
  const ended = ["x", "y", "z"].map((name) => add(name).then((given) => order.push(`ended ${given}`)));
  for (let at = 0; at < 3; at++) {
    await turn();
    expect(sent).toHaveLength(at + 1);
    sent[at]?.answer(COMMITTED);
  }
  await Promise.all(ended);
  expect(sent.map(({ value, seq, texts }) => ({ value, seq, texts }))).toEqual([
    { value: "0x", seq: 1, texts: ["INSERT x"] },
    { value: "0xy", seq: 2, texts: ["INSERT y"] },
    { value: "0xyz", seq: 3, texts: ["INSERT z"] },
  ]);
  expect(order).toEqual(["begins x", "ended x", "begins y", "ended y", "begins z", "ended z"]);
  expect(room.saved?.seq).toBe(3);
});

test("[COM2] from the callback's beginning until the outcome is known no other checkpoint of the room is saved", async () => {
  const [room, other] = [new FakeRoom("a"), new FakeRoom("b")];
  const { committer, sent, saves, finds, checkpointer, clock } = setUp([room, other]);
  const gate = Promise.withResolvers<void>();
  const ended = watch(
    committer.commit(room, async (tx) => {
      room.value = "half";
      await gate.promise;
      room.value = "whole";
      tx.undo(() => (room.value = "undone"));
    }),
  );
  checkpointer.start();
  const change = async (): Promise<void> => {
    for (const each of [room, other]) each.unsavedSinceMs ??= clock.monotonicMs();
    await pass(clock, 1_200);
  };
  await change(); // while its callback runs
  expect(room.isCommitting).toBe(true);
  gate.resolve();
  await turn();
  expect(sent.map(({ value }) => value)).toEqual(["whole"]);
  await change(); // while it is on its way
  sent[0]?.answer(UNKNOWN);
  await change(); // while its outcome is unknown
  expect(saves.filter((save) => "a" in save)).toEqual([]);
  expect(
    saves.filter((save) => "b" in save).length,
    "the other room is saved meanwhile",
  ).toBeGreaterThanOrEqual(2);
  finds[0]?.answer(false);
  await turn();
  expect(ended.word).toBe("POSTGRES_UNREACHABLE");
  await change();
  expect(saves.filter((save) => "a" in save)[0]).toMatchObject({ a: "undone" });
  await checkpointer.stop();
});

test("[COM2] a room whose commits are refused without a pause is saved in its turn, between two of them", async () => {
  const room = new FakeRoom();
  const { committer, sent, saves, checkpointer, clock } = setUp([room]);
  checkpointer.start();
  await pass(clock, 100);
  room.value = "played";
  room.unsavedSinceMs = clock.monotonicMs();
  let isOver = false;
  // Two players who ask again as soon as they are told, so that the queue is never empty.
  const ask = (): unknown => isOver || committer.commit(room, () => undefined).catch(ask);
  for (let player = 1; player <= 2; player++) ask();
  for (let times = 0; times < 70; times++) {
    await pass(clock, 50);
    sent.at(-1)?.answer(refused());
  }
  expect(saves, "in 3.5 s, a second after what was not saved").toHaveLength(3);
  expect(saves[0]).toEqual({ a: "played" });
  isOver = true;
  for (let times = 0; times < 2; times++) {
    sent.at(-1)?.answer(refused());
    await turn();
  }
  await checkpointer.stop();
});

const ENDS: [what: string, code: string, act: (rig: ReturnType<typeof setUp>, room: FakeRoom) => void][] = [
  ["Postgres says no", "COMMIT_REFUSED", ({ sent }) => sent[0]?.answer(refused())],
  [
    "Postgres is away",
    "POSTGRES_UNREACHABLE",
    ({ sent }) => sent[0]?.answer(refused("POSTGRES_UNREACHABLE")),
  ],
  ["too many wait in Postgres's queue", "TOO_MANY", ({ sent }) => sent[0]?.answer(refused("TOO_MANY"))],
  ["another node owns the room", "STALE_EPOCH", ({ sent }) => sent[0]?.answer({ kind: "stale" })],
];

test.each(ENDS)(
  "[COM1] when %s the undo steps are called, last first, before the caller hears of it (%s)",
  async (_, code, act) => {
    const room = new FakeRoom();
    const rig = setUp([room]);
    const order: string[] = [];
    const committing = rig.committer.commit(room, (tx) => {
      for (const name of ["first", "second", "third"]) tx.undo(() => void order.push(name));
      tx.undo(() => {
        throw new Error("a broken step");
      });
      tx.after(() => void order.push("after"));
    });
    const ended = watch(committing.finally(() => order.push("told")));
    await turn();
    expect(order).toEqual([]);
    act(rig, room);
    let isChanged: boolean | undefined;
    const next = rig.committer.commit(room, () => {
      order.push("the next one");
      isChanged = room.unsavedSinceMs !== undefined;
    });
    watch(next);
    await turn();
    expect(order).toEqual(["third", "second", "first", "told", "the next one"]);
    expect(ended.word).toBe(code);
    expect(isChanged, "what was undone is not what was saved").toBe(true);
    expect(rig.told.filter(({ name }) => name === "room:threw").map(({ facts }) => facts["error"])).toEqual([
      "a broken step",
    ]);
    expect(rig.fenced).toEqual(code === "STALE_EPOCH" ? ["a"] : []);
  },
);

test("[COM1] what the author does on hearing of a failure comes before the next commit", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  const order: string[] = [];
  const first = (async () => {
    try {
      await committer.commit(room, () => void (room.value = 5));
    } catch {
      order.push("caught");
      room.value = 0;
    }
  })();
  const second = committer.commit(room, () => void order.push("next"));
  await turn();
  sent[0]?.answer(refused());
  await turn();
  sent[1]?.answer(COMMITTED);
  await Promise.all([first, second]);
  expect(order).toEqual(["caught", "next"]);
  expect(sent[1]?.value).toBe(0);
});

test("after steps are called after the commit, in order, before the caller hears; one that throws stops no other", async () => {
  const room = new FakeRoom();
  const { committer, sent, told } = setUp([room]);
  const order: string[] = [];
  const ended = committer
    .commit(room, (tx) => {
      tx.after(() => void order.push("one"));
      tx.after(() => {
        throw new Error("broken");
      });
      tx.after(() => void order.push("two"));
      tx.undo(() => void order.push("undone"));
      order.push("called");
    })
    .then(() => order.push("told"));
  await turn();
  expect(order).toEqual(["called"]);
  sent[0]?.answer(COMMITTED);
  await ended;
  expect(order).toEqual(["called", "one", "two", "told"]);
  expect(told).toMatchObject([{ name: "room:threw", facts: { where: "commit", error: "broken" } }]);
});

test.each([
  [
    "at once",
    (tx: CommitTx, step: () => void): void => {
      tx.undo(step);
      throw new Error("no coins");
    },
  ],
  [
    "later",
    async (tx: CommitTx, step: () => void): Promise<void> => {
      tx.undo(step);
      await tx.query("SELECT");
      throw new Error("no coins");
    },
  ],
])(
  "a callback that throws %s is undone, its transaction given up, and the caller hears what it threw",
  async (_, work) => {
    const room = new FakeRoom();
    const { committer, sent, own } = setUp([room]);
    const undone = vi.fn();
    const ended = watch(committer.commit(room, (tx) => work(tx, undone)));
    await turn();
    expect(ended.word).toBe("Error: no coins");
    expect(undone).toHaveBeenCalledOnce();
    expect(own.abandoned).toBe(own.opened);
    expect(sent).toEqual([]);
    expect(room.isCommitting).toBe(false);
    expect(room.unsavedSinceMs).toBeTypeOf("number");
  },
);

test("[COM5] a callback that does not end is undone at the deadline, its connection is given up, and the next goes on", async () => {
  const room = new FakeRoom();
  const { committer, sent, own, clock } = setUp([room]);
  const undone = vi.fn();
  let late: CommitTx | undefined;
  const first = watch(
    committer.commit(room, async (tx) => {
      late = tx;
      tx.undo(undone);
      await tx.query("HANG");
    }),
  );
  await pass(clock, COMMIT_MS - 100);
  const second = watch(committer.commit(room, () => "next"));
  expect([first.word, second.word]).toEqual(["waiting", "waiting"]);
  await pass(clock, 200);
  expect(first.word).toBe("POSTGRES_UNREACHABLE");
  expect(undone).toHaveBeenCalledOnce();
  expect(own).toMatchObject({ opened: 1, abandoned: 1 });
  for (const use of [
    () => late?.run("INSERT"),
    () => late?.query("SELECT"),
    () => late?.undo(undone),
    () => late?.after(undone),
  ]) {
    expect(use).toThrowError(/this commit is over: await everything inside its callback/u);
  }
  expect(sent.map(({ seq }) => seq)).toEqual([1]);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(second).toMatchObject({ word: "done", result: "next" });
});

test("[COM5] a transaction that opens only after the deadline is given up too", async () => {
  const room = new FakeRoom();
  const { committer, own, clock, holdOpening } = setUp([room]);
  const open = holdOpening();
  const ended = watch(committer.commit(room, async (tx) => void (await tx.query("SELECT"))));
  await pass(clock, COMMIT_MS + 100);
  expect(ended.word).toBe("POSTGRES_UNREACHABLE");
  open();
  await turn();
  expect(own).toMatchObject({ opened: 1, abandoned: 1 });
});

test("[COM5] a commit whose time is up while it waits is never begun", async () => {
  const room = new FakeRoom();
  const { committer, sent, clock } = setUp([room]);
  watch(committer.commit(room, () => {}));
  await pass(clock, 1_000);
  const work = vi.fn();
  const waiting = watch(committer.commit(room, work));
  await pass(clock, COMMIT_MS + 100);
  expect(waiting.word).toBe("POSTGRES_UNREACHABLE");
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(work).not.toHaveBeenCalled();
  expect(room.isCommitting).toBe(false);
});

test("[COM5] a commit that is sent, and of which nothing is heard, is unknown at the deadline, and told when it is over", async () => {
  const room = new FakeRoom();
  const { committer, sent, clock } = setUp([room]);
  const after = vi.fn();
  const ended = watch(committer.commit(room, (tx) => tx.after(after)));
  await pass(clock, COMMIT_MS - 100);
  expect(ended.word).toBe("waiting");
  await pass(clock, 200);
  expect(ended.word).toBe("COMMIT_UNKNOWN");
  expect(room.isCommitting).toBe(true);
  expect(after).not.toHaveBeenCalled();
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(after).toHaveBeenCalledOnce();
  expect(room.isCommitting).toBe(false);
});

test("[COM5] a room's thousand and first waiting commit is refused at once", async () => {
  const room = new FakeRoom();
  const { committer, clock } = setUp([room]);
  const waiting = Array.from({ length: 1_001 }, () => watch(committer.commit(room, () => {})));
  const work = vi.fn();
  await expect(committer.commit(room, work)).rejects.toMatchObject({ code: "TOO_MANY" });
  expect(waiting.every(({ word }) => word === "waiting")).toBe(true);
  clock.advance(COMMIT_MS + 1);
  await turn();
  expect(work).not.toHaveBeenCalled();
});

test("a commit is refused when the lease is lost or the room moves, before its callback or during it", async () => {
  const room = new FakeRoom();
  const { committer, lease, sent } = setUp([room]);
  const undone = vi.fn();
  const attempt = async (before: () => void, during: () => void): Promise<string> => {
    before();
    const ended = watch(
      committer.commit(room, async (tx) => {
        tx.undo(undone);
        await tx.query("SELECT");
        during();
      }),
    );
    await turn();
    Object.assign(lease, { isHeld: true });
    room.mayCommit = true;
    return ended.word;
  };
  const lose = (): void => void (lease.isHeld = false);
  const move = (): void => void (room.mayCommit = false);
  expect(await attempt(lose, () => {})).toBe("LEASE_LOST");
  expect(await attempt(move, () => {})).toBe("ROOM_MOVING");
  expect(undone, "never begun").not.toHaveBeenCalled();
  expect(await attempt(() => {}, lose)).toBe("LEASE_LOST");
  expect(await attempt(() => {}, move)).toBe("ROOM_MOVING");
  expect(undone).toHaveBeenCalledTimes(2);
  expect(sent).toEqual([]);
});

test("a room that has grown too large is told so, undone, and can commit again when it is smaller", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room], { CHECKPOINT_BYTES_MAX: "65536" });
  const ended = watch(
    committer.commit(room, (tx) => {
      room.value = "x".repeat(70_000);
      tx.undo(() => (room.value = "small"));
      tx.run("INSERT");
    }),
  );
  await turn();
  expect(ended.word).toBe("ROOM_TOO_LARGE");
  expect(sent).toEqual([]);
  watch(committer.commit(room, () => {}));
  await turn();
  expect(sent[0]?.value).toBe("small");
});

test.each([
  [true, "done", ["after"]],
  [false, "POSTGRES_UNREACHABLE", ["undo"]],
] as const)(
  "[COM3] an answer that got lost is found out; when it is %s the caller hears %s",
  async (found, word, steps) => {
    const room = new FakeRoom();
    const { committer, sent, finds, told, clock } = setUp([room]);
    const called: string[] = [];
    const ended = watch(
      committer.commit(room, (tx) => {
        tx.undo(() => void called.push("undo"));
        tx.after(() => void called.push("after"));
      }),
    );
    await turn();
    sent[0]?.answer(UNKNOWN);
    await turn();
    finds[0]?.answer(new Error("away"));
    await pass(clock, 300);
    expect([ended.word, called]).toEqual(["waiting", []]);
    expect(finds.map(({ seq }) => seq)).toEqual([1, 1]);
    finds[1]?.answer(found);
    await turn();
    expect([ended.word, called]).toEqual([word, steps]);
    expect(told).toMatchObject([
      { name: "commit:doubted", facts: { roomId: "a", seq: 1, error: "connection lost" } },
      { name: "commit:settled", facts: { seq: 1, isCommitted: found } },
    ]);
    expect(room.saved?.seq).toBe(found ? 1 : undefined);
    watch(committer.commit(room, () => {}));
    await turn();
    expect(sent.at(-1)?.seq, "under a number of its own").toBe(2);
  },
);

test.each([
  [true, "after"],
  [false, "undo"],
] as const)(
  "[COM3] an outcome unknown at the deadline is said to be so; the room neither saves nor commits until it is found to be %s",
  async (found, step) => {
    const room = new FakeRoom();
    const { committer, sent, finds, saves, checkpointer, clock } = setUp([room]);
    const called: string[] = [];
    const ended = watch(
      committer.commit(room, (tx) => {
        tx.undo(() => void called.push("undo"));
        tx.after(() => void called.push("after"));
      }),
    );
    await turn();
    sent[0]?.answer(UNKNOWN);
    checkpointer.start();
    for (let at = 0; clock.monotonicMs() < 1_000 + COMMIT_MS * 2; at++) {
      room.unsavedSinceMs ??= clock.monotonicMs();
      finds[at]?.answer(new Error("away"));
      await pass(clock, 300);
      if (clock.monotonicMs() < 1_000 + COMMIT_MS) expect(ended.word).toBe("waiting");
    }
    expect([ended.word, called, saves]).toEqual(["COMMIT_UNKNOWN", [], []]);
    const work = vi.fn();
    const next = watch(committer.commit(room, work));
    await pass(clock, 500);
    expect(work).not.toHaveBeenCalled();
    finds.at(-1)?.answer(found);
    await turn();
    expect(called).toEqual([step]);
    expect(work).toHaveBeenCalledOnce();
    sent[1]?.answer(COMMITTED);
    await turn();
    expect(next.word).toBe("done");
    await checkpointer.stop();
  },
);

test.each([
  ["it is seen to be another activation's", (_: FakeRoom, finds: Found[]) => finds[0]?.answer(undefined)],
  [
    "it is gone before Postgres answers",
    (room: FakeRoom, finds: Found[]) => {
      room.isGone = true;
      room.mayCommit = false;
      finds[0]?.answer(new Error("away"));
    },
  ],
])("[COM3] the outcome for a room stays unknown when %s: neither done nor undone", async (_, act) => {
  const room = new FakeRoom();
  const { committer, sent, finds, fenced, clock } = setUp([room]);
  const called = vi.fn();
  const ended = watch(
    committer.commit(room, (tx) => {
      tx.undo(called);
      tx.after(called);
    }),
  );
  await turn();
  sent[0]?.answer(UNKNOWN);
  await turn();
  act(room, finds);
  await pass(clock, 500);
  expect(ended.word).toBe("COMMIT_UNKNOWN");
  expect(called).not.toHaveBeenCalled();
  expect(finds, "and is asked for no more").toHaveLength(1);
  expect(fenced).toEqual(room.isGone ? [] : ["a"]);
  await committer.idle(room);
});

test("[COM3] a commit that is found to be there is one, also when the room is gone by then", async () => {
  const room = new FakeRoom();
  const { committer, sent, finds } = setUp([room]);
  const ended = watch(committer.commit(room, () => "paid"));
  await turn();
  sent[0]?.answer(UNKNOWN);
  await turn();
  room.isGone = true;
  finds[0]?.answer(true);
  await turn();
  expect(ended).toMatchObject({ word: "done", result: "paid" });
});

test("idle tells when nothing of the room is under way or waits", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  await committer.idle(room);
  watch(committer.commit(room, () => {}));
  watch(committer.commit(room, () => {}));
  const idle = watch(committer.idle(room));
  for (let at = 0; at < 2; at++) {
    await turn();
    expect(idle.word).toBe("waiting");
    sent[at]?.answer(COMMITTED);
  }
  await turn();
  expect(idle.word).toBe("done");
  await committer.idle(room);
});

test("[COM5] commits of two rooms do not wait for each other", async () => {
  const [room, other] = [new FakeRoom("a"), new FakeRoom("b")];
  const { committer, sent } = setUp([room, other]);
  const never = watch(committer.commit(room, async (tx) => void (await tx.query("HANG"))));
  const doubted = watch(committer.commit(other, () => 1));
  await turn();
  expect(sent.map(({ roomId }) => roomId)).toEqual(["b"]);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect([never.word, doubted.word]).toEqual(["waiting", "done"]);
});

test("[COM2] a commit inside the callback of another one of its room is refused at once; beside it, or after it, it waits", async () => {
  const [room, other] = [new FakeRoom("a"), new FakeRoom("b")];
  const { committer, sent } = setUp([room, other]);
  const inner: ReturnType<typeof watch>[] = [];
  const gate = Promise.withResolvers<void>();
  const outer = watch(
    committer.commit(room, async (tx) => {
      inner.push(watch(committer.commit(room, () => {})));
      await tx.query("SELECT");
      inner.push(watch(committer.commit(room, () => {})));
      inner.push(watch(committer.commit(other, () => {})));
      tx.after(() => void inner.push(watch(committer.commit(room, () => {}))));
      await gate.promise;
    }),
  );
  const beside = watch(committer.commit(room, () => {}));
  await turn();
  expect(inner.map(({ word }) => word)).toEqual(["COMMIT_REFUSED", "COMMIT_REFUSED", "waiting"]);
  expect(String(inner[0]?.error)).toContain("inside the callback of another commit of this room");
  gate.resolve();
  for (let at = 0; at < 4; at++) {
    await turn();
    sent[at]?.answer(COMMITTED);
  }
  await turn();
  expect(inner.map(({ word }) => word).slice(2)).toEqual(["done", "done"]);
  expect([outer.word, beside.word]).toEqual(["done", "done"]);
  expect(sent.map(({ roomId, seq }) => `${roomId}${seq}`)).toEqual(["b1", "a1", "a2", "a3"]);
});

test("[COM2] a commit that an undo step of the very first one begins comes after it", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  const again = vi.fn();
  const ended = watch(
    committer.commit(room, (tx) => {
      tx.undo(() => void watch(committer.commit(room, again)));
      tx.undo(() => expect(again).not.toHaveBeenCalled());
      throw new Error("no");
    }),
  );
  expect(again, "not within the step").not.toHaveBeenCalled();
  await turn();
  expect(again).toHaveBeenCalledOnce();
  expect(ended.word).toBe("Error: no");
  expect(room.isCommitting).toBe(true);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(room.isCommitting).toBe(false);
});

test("statements before a query run before it, those after it with the commit; the result is the query's", async () => {
  const room = new FakeRoom();
  const { committer, sent, own } = setUp([room]);
  const ended = watch(
    committer.commit(room, async (tx) => {
      tx.run("first");
      tx.run("second");
      const { rows } = await tx.query("third");
      tx.run("fourth");
      return rows;
    }),
  );
  await turn();
  expect(own.queries).toEqual(["first", "second", "third"]);
  expect(sent).toMatchObject([{ isOwn: true, texts: ["fourth"] }]);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(ended.result).toEqual([{ text: "third" }]);
  expect(own.abandoned).toBe(0);
});

test("a query that a sync callback did not await is part of its commit, and its failure is the commit's alone", async () => {
  const room = new FakeRoom();
  const { committer, sent, own } = setUp([room]);
  const ended = watch(committer.commit(room, (tx) => void tx.query("FAIL")));
  await turn();
  expect(own.queries).toEqual(["FAIL"]);
  expect(sent[0]?.isOwn).toBe(true);
  sent[0]?.answer(refused()); // which is what Postgres makes of it
  await turn();
  expect(ended.word).toBe("COMMIT_REFUSED");
});

test("a callback that forgets to await what it begins is told so where that uses tx too late", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  let late: Promise<void> | undefined;
  const ended = watch(
    committer.commit(room, async (tx) => {
      late = (async () => {
        await new Promise(setImmediate);
        tx.run("INSERT");
      })();
    }),
  );
  await expect(late).rejects.toThrow(
    /COMMIT_REFUSED.*this commit is over: await everything inside its callback/u,
  );
  await turn();
  expect(sent.map(({ texts }) => texts)).toEqual([[]]);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(ended.word).toBe("done");
});

test("a callback may give back whatever can be awaited", async () => {
  const room = new FakeRoom();
  const { committer, sent } = setUp([room]);
  // As query builders are.
  // oxlint-disable-next-line unicorn/no-thenable
  const lazy = { then: (resolve: (value: string) => void) => void setImmediate(() => resolve("built")) };
  const work = (() => lazy) as unknown as CommitWork<string>;
  const ended = watch(committer.commit(room, work));
  await turn();
  expect(sent).toHaveLength(1);
  sent[0]?.answer(COMMITTED);
  await turn();
  expect(ended).toMatchObject({ word: "done", result: "built" });
});

// ---- as rooms call it ----

test("a commit that nobody awaits is reported once a room, and its failure is no unhandled rejection", async () => {
  const room = new FakeRoom();
  const { committer, sent, told, events } = setUp([room]);
  new RoomCommits(committer, events).attach(room);
  const unheard = (): unknown[] => told.filter(({ name }) => name === "commit:not-awaited");
  const heard = [
    watch(commit(room.room, () => 1)),
    watch(Promise.all([commit(room.room, () => 2), Promise.resolve()])),
    watch((async () => commit(room.room, () => 3))()),
    watch((async () => await commit(room.room, () => 4))()),
    watch(commit(room.room, () => 5).finally(() => {})),
  ];
  for (let at = 0; at < heard.length; at++) {
    await turn();
    sent[at]?.answer(at % 2 === 0 ? COMMITTED : refused());
  }
  await turn();
  expect(heard.map(({ word }) => word)).toEqual(["done", "COMMIT_REFUSED", "done", "COMMIT_REFUSED", "done"]);
  expect(unheard()).toEqual([]);
  for (let at = 0; at < 2; at++) {
    void commit(room.room, () => {});
    await turn();
    sent.at(-1)?.answer(refused());
    await turn();
    expect(unheard()).toEqual([{ name: "commit:not-awaited", facts: { roomId: "a", epoch: 1 } }]);
  }
});

test("a commit that is refused at once and awaited is not reported; a room without a cluster is told what is wrong", async () => {
  const room = {} as Room;
  await expect(commit(room, () => {})).rejects.toThrow(/does not run in a Ringside cluster/u);
  const onUnheard = vi.fn();
  attachCommits(room, { commit: () => Promise.reject(new RingsideError("TOO_MANY")), onUnheard });
  await expect(commit(room, () => {})).rejects.toMatchObject({ code: "TOO_MANY" });
  const caught = (async () => {
    try {
      await commit(room, () => {});
    } catch {
      return "caught";
    }
    return "done";
  })();
  expect(await caught).toBe("caught");
  await turn();
  expect(onUnheard).not.toHaveBeenCalled();
  void commit(room, () => {});
  await turn();
  expect(onUnheard).toHaveBeenCalledOnce();
});

// ---- any order of things ----

const ending = fc.constantFrom(
  "committed",
  "refused",
  "lost and committed",
  "lost and not",
  "throws",
  "throws later",
);
const step = fc.record({
  amount: fc.integer({ min: 1, max: 1_000 }),
  ending,
  asks: fc.boolean(),
  /** Whether the one that answers is slower than the one that asks next. */
  isSlow: fc.boolean(),
});

test("[COM1] [COM2] [COM3] whatever becomes of its commits, a room's memory is the sum of those that stand, and so is each checkpoint", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const room = new FakeRoom();
      room.value = 0;
      const { committer, sent, finds } = setUp([room]);
      const add = (amount: number): void => void (room.value = (room.value as number) + amount); // it is a number here
      let sum = 0;
      const expected: number[] = [];
      const answering = (async () => {
        for (const { amount, ending: end, isSlow } of steps) {
          if (end.startsWith("throws")) continue;
          while (sent.length === expected.length) await new Promise(setImmediate);
          const last = sent.at(-1);
          expected.push(sum + amount);
          if (isSlow) await turn();
          if (end === "committed") last?.answer(COMMITTED);
          else if (end === "refused") last?.answer(refused());
          else {
            const asked = finds.length;
            last?.answer(UNKNOWN);
            while (finds.length === asked) await new Promise(setImmediate);
            finds.at(-1)?.answer(end === "lost and committed");
          }
          if (end.endsWith("committed")) sum += amount;
        }
      })();
      const words: string[] = [];
      for (const { amount, ending: end, asks, isSlow } of steps) {
        const ended = committer.commit(room, (tx) => {
          const change = (): void => {
            add(amount);
            tx.undo(() => add(-amount));
            if (end === "throws") throw new Error("thrown");
          };
          if (!asks && end !== "throws later") return change();
          return (async () => {
            await tx.query("SELECT");
            change();
            if (end === "throws later") throw new Error("thrown");
          })();
        });
        words.push("waiting");
        const at = words.length - 1;
        ended.then(
          () => (words[at] = "committed"),
          () => (words[at] = "failed"),
        );
        if (isSlow) await new Promise(setImmediate);
      }
      await answering;
      await committer.idle(room);
      await turn();
      expect(words).toEqual(
        steps.map(({ ending: end }) => (end.endsWith("committed") ? "committed" : "failed")),
      );
      expect(room.value).toBe(sum);
      expect(sent.map(({ value }) => value)).toEqual(expected);
      expect(sent.map(({ seq }) => seq)).toEqual(sent.map((_, index) => index + 1));
      expect(room.isCommitting).toBe(false);
    }),
    { numRuns: 200 },
  );
});
