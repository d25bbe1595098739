// Which generation of a room's checkpoints is opened, against a directory that answers as it is told to.

import { describe, expect, test } from "vitest";
import { Generations } from "../../src/actor/generations.ts";
import { sealOnBase, sealWhole } from "../../src/checkpoint/frame.ts";
import { encodeSnapshot, serializeSnapshot, type Snapshot } from "../../src/checkpoint/snapshot.ts";
import { RingsideError } from "../../src/errors.ts";
import { EventBus, type EventName } from "../../src/events.ts";
import type { Epoch, NodeId, RoomId } from "../../src/ids.ts";
import type { ClaimedRoom, StoredCheckpoint } from "../../src/ownership/directory.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";

const roomId = "room" as RoomId;
const epoch = 3 as Epoch;

function snapshotOf(seq: number): Snapshot {
  const room = { metadata: undefined, locked: false, private: false, unlisted: false, maxClients: 1 };
  const rest = {
    state: undefined,
    cached: seq,
    elapsedMs: 0,
    players: {},
    timers: undefined,
    answers: undefined,
  };
  return { classVersion: 0, layout: undefined, room, ...rest };
}

function stored(seq: number, isReadable: boolean): StoredCheckpoint {
  const bytes = encodeSnapshot(snapshotOf(seq), 1e6);
  return { seq, epoch: 2 as Epoch, bytes: isReadable ? bytes : bytes.subarray(4), base: undefined, ageMs: 0 };
}

interface SetUp {
  readonly generations: Generations;
  readonly clock: FakeClock;
  readonly kept: unknown[][];
  readonly told: [EventName, unknown][];
}

/** @param checkpoints the newest first; `keep` answers the call that marks one */
function setUp(checkpoints: readonly StoredCheckpoint[], keep = () => Promise.resolve(true)): SetUp {
  const claimed: ClaimedRoom = {
    roomId,
    epoch,
    name: "game",
    options: {},
    fromNodeId: "node-a" as NodeId,
    fromEpoch: 2 as Epoch,
    wasReleased: false,
    checkpoint: checkpoints[0],
    seats: [],
  };
  const kept: unknown[][] = [];
  const told: [EventName, unknown][] = [];
  const events = new EventBus();
  events.listen((name, facts) => void told.push([name, facts]));
  const directory = {
    readOlder: (_roomId: RoomId, seq: number) => Promise.resolve(checkpoints.find((one) => one.seq < seq)),
    keepUnreadable: (...call: unknown[]) => {
      kept.push(call);
      return keep();
    },
  };
  const clock = fakeClock();
  const config = { checkpointGenerations: 4 };
  const generations = new Generations(claimed, { config, clock, events, directory });
  return { generations, clock, kept, told };
}

const misfit = new RingsideError("SNAPSHOT_UNREADABLE", { why: "it does not fit" });

describe("[REC4] generations", () => {
  test("a room that was never saved has none, and opens as its onCreate leaves it", async () => {
    const { generations } = setUp([]);
    expect(await generations.next()).toEqual({ checkpoint: undefined, snapshot: undefined, newestSeq: 0 });
  });

  test("the newest one that can be read is taken; those before it are told of and kept", async () => {
    const { generations, kept, told } = setUp([
      stored(9, false),
      stored(8, false),
      stored(6, true),
      stored(5, true),
    ]);
    const { checkpoint, snapshot, newestSeq } = await generations.next();
    expect([checkpoint?.seq, snapshot?.cached, newestSeq]).toEqual([6, 6, 9]);
    expect(kept.map(([, ...rest]) => rest)).toEqual([
      [epoch, 9, expect.stringMatching(/not a checkpoint/)],
      [epoch, 8, expect.stringMatching(/not a checkpoint/)],
    ]);
    expect(told.map(([name, facts]) => [name, (facts as { seq: number }).seq])).toEqual([
      ["room:unreadable", 9],
      ["room:unreadable", 8],
    ]);
  });

  test("one that was read but does not fit is followed by the one before it", async () => {
    const { generations, kept, told } = setUp([stored(9, true), stored(8, true)]);
    await generations.next();
    await generations.refuse(misfit);
    expect((await generations.next()).checkpoint?.seq).toBe(8);
    expect(kept).toEqual([[roomId, epoch, 9, misfit.message]]);
    expect(told).toEqual([["room:unreadable", { roomId, epoch, seq: 9, error: misfit.message }]]);
  });

  test("when none is left the room does not start empty", async () => {
    const { generations } = setUp([stored(2, true), stored(1, false)]);
    await generations.next();
    await generations.refuse(misfit);
    await expect(generations.next()).rejects.toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
  });

  test("what is older than the generations is history, and not opened by itself", async () => {
    // Four, however far apart: there is a gap for each attempt to save that failed.
    const { generations, kept } = setUp([
      stored(9, false),
      stored(6, false),
      stored(5, false),
      stored(2, false),
      stored(1, true),
    ]);
    await expect(generations.next()).rejects.toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
    expect(kept.map(([, , seq]) => seq)).toEqual([9, 6, 5, 2]);
  });

  test("what stands on one damaged checkpoint is lost by one damage: the room opens from the whole one before it", async () => {
    const body = serializeSnapshot(snapshotOf(4), 1e6);
    const whole = sealWhole(body);
    const damaged = Buffer.from(whole);
    damaged[damaged.length - 1] = ~(whole.at(-1) ?? 0);
    const standing = (seq: number, base: Uint8Array | undefined): StoredCheckpoint => {
      const bytes = sealOnBase(serializeSnapshot(snapshotOf(seq), 1e6), body);
      return { seq, epoch: 2 as Epoch, bytes, base: base && Buffer.from(base), ageMs: 0 };
    };
    for (const base of [damaged, undefined]) {
      const itself =
        base === undefined ? [] : [{ seq: 4, epoch: 2 as Epoch, bytes: damaged, base: undefined, ageMs: 0 }];
      const { generations, kept } = setUp([
        ...[9, 8, 7, 6, 5].map((seq) => standing(seq, base)),
        ...itself,
        stored(1, true),
      ]);
      expect((await generations.next()).checkpoint?.seq).toBe(1);
      expect(kept.map(([, , seq]) => seq)).toEqual([9, 8, 7, 6, 5, ...itself.map(({ seq }) => seq)]);
    }
    // But they are generations of their own where it is they that are damaged, or that do not fit.
    const { generations, kept } = setUp([
      ...[9, 8, 7, 6].map((seq) => ({
        ...standing(seq, whole),
        bytes: Buffer.from(standing(seq, whole).bytes.subarray(0, -1)),
      })),
      stored(1, true),
    ]);
    await expect(generations.next()).rejects.toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
    expect(kept.map(([, , seq]) => seq)).toEqual([9, 8, 7, 6]);
  });

  test("a mark that cannot be made is told of, and holds nothing up", async () => {
    const { generations, told } = setUp([stored(2, false), stored(1, true)], () =>
      Promise.reject(new Error("away")),
    );
    expect((await generations.next()).checkpoint?.seq).toBe(1);
    expect(told.at(-1)).toEqual([
      "room:threw",
      { roomId, epoch, where: "keepUnreadable", error: "away", times: 1 },
    ]);
  });

  test("a mark that takes too long is not waited for", async () => {
    const { generations, clock, kept, told } = setUp(
      [stored(2, false), stored(1, true)],
      () => new Promise(() => {}),
    );
    const next = generations.next();
    while (kept.length === 0) await Promise.resolve();
    clock.advance(1_000);
    expect((await next).checkpoint?.seq).toBe(1);
    expect(told.at(-1)).toMatchObject(["room:threw", { where: "keepUnreadable" }]);
  });
});
