import { expect, test } from "vitest";
import { check } from "../chaos/checker/check.ts";
import { compare, type Measured } from "../chaos/levels.ts";
import { parseGatewayLog } from "../chaos/gateway-log.ts";
import type {
  Aftermath,
  Append,
  ClientOp,
  Frame,
  GatewayFrame,
  History,
  Opening,
  Read,
  Write,
} from "../chaos/history.ts";

const ROOM = "ledger-1";

/** A history is written down as it happened: each line a moment later. */
class Story {
  #now = 1_000;
  readonly ops: ClientOp[] = [];
  readonly frames: Frame[] = [];
  readonly gatewayFrames: GatewayFrame[] = [];
  readonly writes: Write[] = [];
  readonly openings: Opening[] = [];
  #writeId = 1;

  get now(): number {
    return (this.#now += 10);
  }

  claim(epoch: number, writer: string, checkpointSeq?: number): this {
    this.write({ what: "claim", epoch, writer });
    const from =
      checkpointSeq === undefined ? {} : { from: { checkpointSeq, checkpointAgeMs: 5, restoreMs: 1 } };
    this.openings.push({ roomId: ROOM, epoch, nodeId: writer, at: this.now, ...from });
    return this;
  }

  write({ what, epoch, writer, ...rest }: Pick<Write, "what" | "epoch" | "writer"> & Partial<Write>): this {
    this.writes.push({
      id: this.#writeId++,
      at: this.now,
      what,
      epoch,
      writer,
      roomId: ROOM,
      roomEpoch: epoch,
      ...rest,
    });
    return this;
  }

  append(kind: "plain" | "committed", id: string, change: Partial<Append> = {}): this {
    this.ops.push({
      kind,
      id,
      client: "ada",
      roomId: ROOM,
      invokedAt: this.now,
      endedAt: this.now,
      outcome: "ok",
      ...change,
    });
    return this;
  }

  /** An acknowledged commit and its row. */
  commit(id: string, epoch: number, index: number, plain = 0): this {
    this.write({ what: "entry", epoch, writer: `node-${epoch}`, key: id });
    return this.append("committed", id, { at: { epoch, index, plain } });
  }

  read(
    epoch: number,
    plain: string[],
    committed: string[],
    base = { plain: 0, committed: 0 },
    change: Partial<Read> = {},
  ): this {
    const got = { epoch, seq: 1, saidAt: this.now, pid: epoch, base, plain, committed };
    this.ops.push({
      kind: "read",
      client: "bob",
      roomId: ROOM,
      invokedAt: this.now,
      endedAt: this.now,
      outcome: "ok",
      got,
      ...change,
    });
    return this;
  }

  frame(client: string, epoch: number, seq: number, change: Partial<Frame> = {}): this {
    const saidAt = this.now;
    this.frames.push({ client, roomId: ROOM, epoch, seq, saidAt, pid: epoch, at: saidAt + 1, ...change });
    return this;
  }

  passes(gateway: string, epoch: number, change: Partial<GatewayFrame> = {}): this {
    this.gatewayFrames.push({
      gateway,
      at: this.now,
      roomId: ROOM,
      epoch,
      session: "s1",
      code: 15,
      ...change,
    });
    return this;
  }

  history(change: Partial<History> = {}): History {
    return {
      settings: { seatHoldMs: 20_000, ownedWithinMs: 10_000 },
      ops: this.ops,
      frames: this.frames,
      gatewayFrames: this.gatewayFrames,
      writes: this.writes,
      refusedWrites: 0,
      openings: this.openings,
      absences: [],
      faults: [],
      lives: [],
      aftermath: AFTERMATH,
      ...change,
    };
  }
}

const AFTERMATH: Aftermath = {
  healedAt: 9_000,
  rooms: [
    { roomId: ROOM, owner: "node-2", isOwnerLive: true, phase: "active", players: 2, playersInFact: 2 },
  ],
  failures: [],
  levels: [{ name: "seats", before: 2, after: 2, atMost: 2 }],
};

/** Two epochs, with what a crash may cost: the plain entry p3. */
function good(): Story {
  return new Story()
    .claim(1, "node-1")
    .append("plain", "p1", { at: { epoch: 1, index: 0 } })
    .commit("c1", 1, 0, 1)
    .append("plain", "p2", { at: { epoch: 1, index: 1 } })
    .write({ what: "checkpoint", epoch: 1, writer: "node-1", seq: 7 })
    .append("plain", "p3", { at: { epoch: 1, index: 2 } })
    .read(1, ["p1", "p2", "p3"], ["c1"])
    .frame("bob", 1, 5)
    .frame("ada", 1, 6)
    .passes("node-1 #1", 1, { isDirect: true })
    .passes("node-2 #1", 1)
    .claim(2, "node-2", 7)
    .passes("node-2 #1", 2, { isDirect: true })
    .passes("node-1 #1", 1) // it was on its way to a gateway that does not know better
    .passes("node-1 #1", 2)
    .frame("ada", 2, 5)
    .frame("bob", 2, 6)
    .append("plain", "p4", { at: { epoch: 2, index: 2 } })
    .commit("c2", 2, 1, 3)
    .read(2, ["p1", "p2", "p4"], ["c1", "c2"], { plain: 2, committed: 1 });
}

function rules(history: History): string[] {
  return [...new Set(check(history).violations.map(({ rule }) => rule))];
}

const AFTER = { plain: 2, committed: 1 };

test("a history in which a crash cost what it may cost is good", () => {
  expect(check(good().history())).toEqual({ violations: [], smallestRoom: undefined });
});

test("a commit whose answer was lost may stand or not, but in the room as in the table", () => {
  const unknown = (story: Story): Story => story.append("committed", "c3", { outcome: "unknown" });
  expect(rules(unknown(good()).history())).toEqual([]);
  const stands = unknown(good()).write({ what: "entry", epoch: 2, writer: "node-2", key: "c3" });
  expect(rules(stands.read(2, ["p1", "p2", "p4"], ["c1", "c2", "c3"], AFTER).history())).toEqual([]);
  const half = unknown(good()).write({ what: "entry", epoch: 2, writer: "node-2", key: "c3" });
  expect(rules(half.read(2, ["p1", "p2", "p4"], ["c1", "c2"], AFTER).history())).toEqual(["rows-agree"]);
  expect(rules(unknown(good()).read(2, ["p1", "p2", "p4"], ["c1", "c2", "c3"], AFTER).history())).toEqual([
    "rows-agree",
  ]);
});

test("what nobody heard of may have stood between two epochs, but nothing of the former in another place", () => {
  const later = (plain: string[]): History =>
    good()
      .claim(4, "node-4", 7)
      .read(4, plain, ["c1", "c2"], { plain: plain.length, committed: 2 })
      .history();
  const asked = (history: History): History => ({
    ...history,
    ops: [
      ...history.ops,
      { ...(history.ops[0] as Append), id: "p5", outcome: "unknown", at: undefined } as never,
    ],
  });
  expect(rules(asked(later(["p1", "p2", "p5"])))).toEqual([]); // p4 was lost, and p5 entered at epoch 3
  expect(rules(asked(later(["p1", "p4", "p5"])))).toContain("prefix");
});

test.each<[string, string[], (story: Story) => Story]>([
  [
    "two reads of one epoch that disagree",
    ["one-order"],
    (story) => story.read(2, ["p1", "p4"], ["c1", "c2"], AFTER),
  ],
  [
    "an epoch that two were told to begin differently",
    ["one-order"],
    (story) => story.read(2, ["p1", "p2", "p4"], ["c1", "c2"], { plain: 1, committed: 1 }),
  ],
  [
    "an epoch that does not begin with what was before",
    ["prefix"],
    (story) =>
      story
        .append("plain", "p9")
        .claim(3, "node-3", 7)
        .read(3, ["p1", "p9"], ["c1", "c2"], { plain: 2, committed: 2 }),
  ],
  [
    "an epoch that begins with less than a commit had covered",
    ["not-older"],
    (story) => story.claim(3, "node-3", 7).read(3, ["p1"], ["c1", "c2"], { plain: 1, committed: 2 }),
  ],
  ["an epoch that is opened from an older checkpoint", ["not-older"], (story) => story.claim(3, "node-3", 6)],
  [
    "a lost entry that comes back",
    ["dead-stay-dead"],
    (story) => story.read(2, ["p1", "p2", "p4", "p3"], ["c1", "c2"], AFTER),
  ],
  [
    "a lost entry that comes back after an epoch without it",
    ["dead-stay-dead"],
    (story) =>
      story.claim(3, "node-3", 7).read(3, ["p1", "p2", "p4", "p3"], ["c1", "c2"], { plain: 3, committed: 2 }),
  ],
  [
    "an acknowledged commit that is gone for one read, and there again",
    ["commits-stand"],
    (story) =>
      story.read(2, ["p1", "p2", "p4"], ["c1"], AFTER).read(2, ["p1", "p2", "p4"], ["c1", "c2"], AFTER),
  ],
  [
    "an epoch that is claimed after a newer one",
    ["one-writer"],
    (story) => story.claim(4, "node-4", 7).claim(3, "node-3", 7),
  ],
  [
    "an acknowledged commit that is gone",
    ["commits-stand", "rows-agree"],
    (story) => story.claim(3, "node-3", 7).read(3, ["p1", "p2", "p4"], ["c1"], { plain: 3, committed: 1 }),
  ],
  [
    "a commit that somebody has read and that is gone",
    ["commits-stand"],
    (story) =>
      story
        .append("committed", "c3", { outcome: "unknown" })
        .read(2, ["p1", "p2", "p4"], ["c1", "c2", "c3"], AFTER)
        .claim(3, "node-3", 7)
        .read(3, ["p1", "p2", "p4"], ["c1", "c2"], { plain: 3, committed: 2 }),
  ],
  [
    "a commit that is there twice",
    ["commits-stand"],
    (story) => story.read(2, ["p1", "p2", "p4"], ["c1", "c2", "c2"], AFTER),
  ],
  [
    "a commit that had failed",
    ["commits-stand", "rows-agree"],
    (story) =>
      story
        .append("committed", "c3", { outcome: "fail" })
        .read(2, ["p1", "p2", "p4"], ["c1", "c2", "c3"], AFTER),
  ],
  [
    "an entry that nobody asked for",
    ["commits-stand"],
    (story) => story.read(2, ["p1", "p2", "p4", "px"], ["c1", "c2"], AFTER),
  ],
  [
    "a row that nobody asked for",
    ["rows-agree"],
    (story) => story.write({ what: "entry", epoch: 2, writer: "node-2", key: "cx" }),
  ],
  [
    "two rows for one commit",
    ["rows-agree"],
    (story) => story.write({ what: "entry", epoch: 2, writer: "node-2", key: "c2" }),
  ],
  [
    "an acknowledged commit without a row",
    ["rows-agree"],
    (story) =>
      story
        .append("committed", "c3", { at: { epoch: 2, index: 2 } })
        .read(2, ["p1", "p2", "p4"], ["c1", "c2", "c3"], AFTER),
  ],
  [
    "an epoch that is claimed twice",
    ["one-writer", "double-activation"],
    (story) => story.claim(2, "node-3", 7),
  ],
  [
    "a checkpoint of an epoch that is over",
    ["one-writer"],
    (story) => story.write({ what: "checkpoint", epoch: 1, writer: "node-1", seq: 8 }),
  ],
  ["a second writer", ["one-writer"], (story) => story.write({ what: "seat", epoch: 2, writer: "node-1" })],
  ["an epoch that speaks after the next has begun to", ["one-voice"], (story) => story.frame("carl", 1, 7)],
  [
    "an owner that says after its end what it had prepared before",
    ["one-voice"],
    (story) => story.frame("ear", 1, 7, { saidAt: 1_001, at: 5_000, isDirect: true }),
  ],
  ["two processes that speak for one epoch", ["one-voice"], (story) => story.frame("carl", 2, 7, { pid: 1 })],
  ["a player who is sent back within an epoch", ["one-voice"], (story) => story.frame("bob", 2, 5)],
  [
    "a player who hears an older epoch, said in its time and delivered too late",
    ["one-voice"],
    (story) => story.frame("bob", 1, 6, { saidAt: 1_001 }),
  ],
  [
    "a gateway that lets an epoch speak after a newer one",
    ["one-gate"],
    (story) => story.passes("node-1 #1", 1),
  ],
  [
    "an owner whose own players hear it after another's claim",
    ["one-voice"],
    (story) => story.passes("node-3 #1", 1, { isDirect: true }),
  ],
  [
    "a stale owner that still answers",
    ["stale-read"],
    (story) => story.read(1, ["p1", "p2", "p3"], ["c1", "c2"].slice(0, 2)),
  ],
  [
    "a read of less than another had read before",
    ["stale-read"],
    (story) => story.read(2, ["p1", "p2"], ["c1", "c2"], AFTER),
  ],
])("found: %s", (_what, expected, add) => {
  const history = add(good()).history();
  expect(rules(history).filter((rule) => expected.includes(rule))).toEqual(expected);
  expect(check(history).smallestRoom).toBe(ROOM);
});

test("a player may come back, or be refused when away for too long, and nothing else", () => {
  const absence = { client: "ada", roomId: ROOM, from: 1_000, to: 3_000 } as const;
  const seats = (change: Partial<History["absences"][number]>): string[] =>
    rules(good().history({ absences: [{ ...absence, end: "resumed", ...change }] }));
  expect(seats({})).toEqual([]);
  expect(seats({ end: "still-away" })).toEqual(["seats"]);
  expect(seats({ end: "refused", code: 4002, to: 3_000 })).toEqual(["seats"]);
  expect(seats({ end: "refused", code: 4002, to: 21_000 })).toEqual([]);
  expect(seats({ end: "refused", code: 4000, to: 21_000 })).toEqual(["seats"]);
  // At a gateway that stood still the room knew before the player did.
  expect(seats({ end: "refused", code: 4002, to: 22_000, from: 20_000, heardAt: 1_500 })).toEqual([]);
  expect(seats({ end: "refused", code: 4002, to: 22_000, from: 20_000, heardAt: 19_000 })).toEqual(["seats"]);
});

test("in the end rooms are owned by who lives, counts are right, all joins work and nothing is left over", () => {
  const [room] = AFTERMATH.rooms;
  if (room === undefined) throw new Error("there is a room");
  const ends = (change: Partial<Aftermath>): string[] =>
    rules(good().history({ aftermath: { ...AFTERMATH, ...change } }));
  expect(ends({ rooms: [{ ...room, owner: null, phase: "unowned" }] })).toEqual(["owned-again"]);
  expect(ends({ rooms: [{ ...room, isOwnerLive: false }] })).toEqual(["owned-again"]);
  expect(ends({ rooms: [{ ...room, players: 3 }] })).toEqual(["counts"]);
  expect(ends({ failures: [{ what: "nobody can join through node-b" }] })).toEqual(["aftermath"]);
  expect(ends({ levels: [{ name: "seats", before: 2, after: 3, atMost: 2 }] })).toEqual(["levels"]);
  expect(rules(good().history({ aftermath: undefined }))).toEqual(["aftermath"]);
});

test("a room is heard of again in time, but for the time in which faults last or no node serves", () => {
  const story = good()
    .frame("ada", 2, 9, { saidAt: 2_000 })
    .frame("ada", 3, 1, { saidAt: 32_000, at: 32_000 });
  const life = { nodeId: "node-a", pid: 1, from: 0, to: undefined, exit: undefined };
  const fault = { name: "kill", target: "node-a", bit: "ended" };
  const late = (change: Partial<History>): boolean =>
    rules(story.history({ lives: [life], ...change })).includes("owned-again");
  expect(late({})).toBe(true);
  expect(late({ faults: [{ ...fault, from: 3_000, to: 24_000 }] })).toBe(false);
  expect(late({ faults: [{ ...fault, from: 3_000, to: 21_000 }] })).toBe(true);
  expect(
    late({
      lives: [
        { ...life, to: 3_000 },
        { ...life, from: 25_000 },
      ],
    }),
  ).toBe(false);
  // Two faults with a rest in between that is not long enough.
  const faults = [
    { ...fault, from: 11_000, to: 11_010 },
    { ...fault, from: 20_900, to: 22_500 },
  ];
  expect(late({ faults })).toBe(false);
});

test("a fault that was without effect is told of, with what was seen; one that could not be tried is not", () => {
  const fault = { name: "freeze", target: "node-a", from: 1, to: 2, bit: undefined };
  expect(rules(good().history({ faults: [fault] }))).toEqual(["bite"]);
  expect(check(good().history({ faults: [{ ...fault, instead: "left with 1" }] })).violations).toMatchObject([
    { what: expect.stringContaining("without effect (left with 1)") as string },
  ]);
  expect(rules(good().history({ faults: [{ ...fault, skipped: "there is no redis-server" }] }))).toEqual([]);
  expect(rules(good().history({ faults: [{ ...fault, bit: "state T" }] }))).toEqual([]);
});

test("a kind of fault that could never be tried, and a run in which hardly any could, prove too little", () => {
  const fault = { target: "node-a", from: 1, to: 2, bit: undefined };
  const times = (count: number, name: string, change: object): History["faults"] =>
    Array.from({ length: count }, () => ({ ...fault, name, ...change }));
  const [bit, skipped] = [{ bit: "it ended" }, { skipped: "no COMMIT came by" }];
  const told = (...faults: History["faults"][]): string[] => rules(good().history({ faults: faults.flat() }));
  expect(told(times(8, "kill", bit), times(5, "drop-reply", skipped))).toEqual([]);
  expect(told(times(9, "kill", bit), times(6, "drop-reply", skipped))).toEqual(["bite"]);
  expect(told(times(8, "kill", bit), times(6, "drop-reply", skipped)), "hardly any node was there").toEqual(
    [],
  );
  expect(told(times(9, "kill", bit), times(5, "drop-reply", skipped), times(1, "drop-reply", bit))).toEqual(
    [],
  );
  expect(told(times(1, "kill", bit), times(2, "add", skipped), times(2, "drain", skipped))).toEqual(["bite"]);
});

test("each of the three logs is held against the others: none may be empty, or blind in one eye", () => {
  const expected = { ledgers: [ROOM], playedMs: 1_000 };
  const settings = { ...good().history().settings, expected };
  const told = (change: Partial<History>, story = good()): string[] =>
    check(story.history({ settings, ...change }))
      .violations.filter(({ rule }) => rule === "blind-log")
      .map(({ what }) => what);
  expect(told({})).toEqual([]);

  // The players' own.
  expect(told({ ops: [], frames: [] })).toHaveLength(4);
  const { ops } = good();
  expect(told({ ops: ops.filter(({ kind }) => kind !== "committed") })).toEqual([
    expect.stringContaining("0 committed done"),
  ]);
  expect(
    told({ settings: { ...settings, expected: { ledgers: [ROOM, "ledger-2"], playedMs: 1_000 } } }),
  ).toHaveLength(4);
  const longer = { ...settings, expected: { ...expected, playedMs: 200_000 } };
  expect(told({ settings: longer }), "a handful in three minutes is no run").toHaveLength(4);

  // The gateways': nothing, nothing of one epoch, and answers without the states that players saw.
  expect(told({ gatewayFrames: [] })).toHaveLength(2);
  const { gatewayFrames } = good();
  expect(told({ gatewayFrames: gatewayFrames.filter(({ epoch }) => epoch === 1) })).toEqual([
    expect.stringContaining("epoch 2"),
  ]);
  expect(told({ gatewayFrames: gatewayFrames.map((frame) => ({ ...frame, code: 13 })) })).toHaveLength(2);
  expect(told({}, good().frame("ada", 2, 7))).toEqual([
    "players heard epoch 2 3 times, and the gateways' log has 2 of them",
  ]);

  // Postgres's: nothing, one kind of write, one room's claim.
  expect(told({ writes: [] })).toHaveLength(2);
  const { writes } = good();
  expect(told({ writes: writes.filter(({ what }) => what !== "claim") })).toHaveLength(2);
  expect(told({ writes: writes.filter(({ what, epoch }) => what !== "claim" || epoch === 1) })).toEqual([
    "epoch 2 has no claim in Postgres's log",
  ]);
  expect(rules(good().history({ writes: writes.filter(({ what }) => what !== "entry") }))).toEqual([
    "rows-agree",
  ]);
  expect(rules(good().history({ writes: writes.filter(({ what }) => what !== "checkpoint") }))).toEqual([
    "not-older",
  ]);
});

test("a frame that the run itself noticed late is not the owner's fault, one that is later than that is", () => {
  const story = good().frame("ear", 1, 7, { saidAt: 1_001, at: 2_000, isDirect: true });
  const late = (lateMs: number): boolean =>
    rules(story.history({ settings: { ...story.history().settings, lateMs } })).includes("one-voice");
  expect([late(0), late(1_000)]).toEqual([true, false]);
});

test("after a run each thing may be somewhat more than before, and no more", () => {
  const before: Measured = {
    livingMb: 40,
    residentMb: 150,
    descriptors: 70,
    redisKeys: 6,
    connections: 18,
    rooms: 8,
    seats: 26,
    nodes: 3,
    checkpoints: 3,
    stuck: 0,
  };
  const told = (change: Partial<Measured>): string[] => {
    const levels = compare(before, { ...before, seats: 22, ...change }, { nodes: 3, players: 22 });
    const { violations } = check(good().history({ aftermath: { ...AFTERMATH, levels } }));
    return violations.map(({ rule, what }) => `${rule} ${what.split(":")[0]}`);
  };
  expect(told({})).toEqual([]);
  const leaks: Partial<Measured> = {
    livingMb: 100,
    residentMb: 600,
    descriptors: 150,
    redisKeys: 40,
    connections: 60,
    rooms: 9,
    seats: 23,
    nodes: 4,
    checkpoints: 9,
    stuck: 1,
  };
  for (const [name, after] of Object.entries(leaks))
    expect(told({ [name]: after })).toEqual([`levels ${name}`]);
});

test("a gateway's log is read line by line, without the half line of one that was killed, and not at all when it is full", () => {
  const text = "1000 r1 1 s1 15 here\n1010 r1 2 s2 14 link\n1020 r1 3";
  expect(parseGatewayLog("node-a #1", text)).toEqual([
    { gateway: "node-a #1", at: 1_000, roomId: "r1", epoch: 1, session: "s1", code: 15, isDirect: true },
    { gateway: "node-a #1", at: 1_010, roomId: "r1", epoch: 2, session: "s2", code: 14 },
  ]);
  expect(() => parseGatewayLog("node-a #1", "1000 r1 1 s1 15 here\nfull\n")).toThrow("full");
});
