import { expect, test } from "vitest";
import { check } from "../chaos/checker/check.ts";
import { figuresOf, histogram } from "../chaos/figures.ts";
import type { Append, Frame, History, Read } from "../chaos/history.ts";
import { htmlReport } from "../chaos/html-report.ts";
import type { Run } from "../chaos/run.ts";
import { textReport } from "../chaos/text-report.ts";
import { linesAround, timelineOf } from "../chaos/timeline.ts";

const frame = (epoch: number, saidAt: number): Frame => ({
  client: "ada",
  roomId: "r1",
  epoch,
  saidAt,
  seq: saidAt,
  pid: epoch,
  at: saidAt,
});
const plain = (id: string, epoch: number, index: number, at: number): Append => ({
  kind: "plain",
  client: "ada",
  roomId: "r1",
  id,
  outcome: "ok",
  invokedAt: at,
  endedAt: at + 1,
  at: { epoch, index },
});
const read = (epoch: number, base: number, ids: string[], at: number): Read => ({
  kind: "read",
  client: "<b>bob",
  roomId: "r1",
  outcome: "ok",
  invokedAt: at,
  endedAt: at + 1,
  got: {
    epoch,
    seq: at,
    saidAt: at,
    pid: epoch,
    base: { plain: base, committed: 0 },
    plain: ids,
    committed: [],
  },
});

/** p2 was answered at epoch 1, and epoch 2 did not begin with it. */
const HISTORY: History = {
  settings: { seatHoldMs: 20_000, ownedWithinMs: 10_000 },
  ops: [
    plain("p1", 1, 0, 1_010),
    plain("p2", 1, 1, 1_020),
    read(1, 0, ["p1", "p2"], 1_030),
    read(2, 1, ["p1"], 1_910),
  ],
  frames: [frame(1, 1_000), frame(1, 1_100), frame(2, 1_900), frame(2, 1_950)],
  gatewayFrames: [1, 1, 2, 2].map((epoch) => {
    return { gateway: "node-b #1", at: 1_000 + epoch, roomId: "r1", epoch, session: "s1", code: 15 };
  }),
  writes: (["claim", "checkpoint", "claim"] as const).map((what, index) => {
    const epoch = what === "checkpoint" ? 1 : 1 + index / 2;
    const seq = what === "checkpoint" ? { seq: 4 } : {};
    return {
      id: index,
      at: 900,
      writer: `node #${epoch}`,
      what,
      roomId: "r1",
      epoch,
      roomEpoch: epoch,
      ...seq,
    };
  }),
  refusedWrites: 3,
  openings: [
    { roomId: "r1", epoch: 1, nodeId: "node-a", at: 1_000 },
    {
      roomId: "r1",
      epoch: 2,
      nodeId: "node-b",
      at: 1_890,
      from: { checkpointSeq: 4, checkpointAgeMs: 850, restoreMs: 3 },
    },
  ],
  absences: [{ client: "ada", roomId: "r1", from: 1_100, to: 1_900, end: "resumed" }],
  faults: [{ name: "kill", target: "node-a", from: 1_101, to: 1_102, bit: "ended by SIGKILL" }],
  lives: [{ nodeId: "node-a", pid: 1, from: 900, to: 1_102, exit: "SIGKILL" }],
  aftermath: { healedAt: 2_000, rooms: [], failures: [], levels: [] },
};

test("a recovery is the silence between two epochs, a rollback what the later one did not begin with", () => {
  const figures = figuresOf(HISTORY, []);
  expect(figures).toMatchObject({
    recoveryMs: [800],
    rollbackMs: [850],
    rolledBack: 1,
    refusedWrites: 3,
    awayMs: [800],
    passed: { all: 4, direct: 0 },
  });
  expect(figures.ops).toEqual({ "plain ok": 2, "read ok": 2 });
});

test("a histogram tells how many there are of each size, and the worst", () => {
  expect(histogram("recovery", [])).toEqual(["recovery: none"]);
  const [head, ...bars] = histogram("recovery", [60, 70, 800]);
  expect(head).toBe("recovery: n 3, p50 70 ms, p99 800 ms, max 800 ms");
  expect(bars.map((bar) => bar.trim().split(/\s{2,}/))).toEqual([
    ["50 to 100 ms", "2", "#".repeat(40)],
    ["500 to 1000 ms", "1", "#".repeat(20)],
  ]);
});

test("a room's timeline is of all logs, in order, and ends where something showed", () => {
  const moments = timelineOf(HISTORY, "r1");
  const times = moments.map(({ at }) => at);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  const text = linesAround(moments, 1_105, 900).join("\n");
  expect(text).toContain("FAULT kill of node-a begins");
  expect(text).toContain("node-a, process 1, ended with SIGKILL");
  expect(text).toContain("ada plain p2: ok as plain[1] of epoch 1");
  expect(moments.map((moment) => moment.text)).toContain(
    "gateway node-b #1 lets epoch 2 through to s1, from a link",
  );
});

test("both reports tell the verdict, how to run it again, and the smallest failing room; names cannot break the page", () => {
  const history = { ...HISTORY, ops: [...HISTORY.ops, read(1, 0, ["p1", "p2"], 1_930)] };
  const run: Run = {
    history,
    startedAt: 900,
    endedAt: 2_100,
    isRedisReal: true,
    lateMs: { p50: 1, p99: 5, max: 20 },
    clockSetMs: 0,
    refusedJoins: new Map(),
    startFailures: [],
    complaints: [],
  };
  const verdict = check(history);
  expect(verdict).toMatchObject({ smallestRoom: "r1", violations: [{ rule: "stale-read" }] });
  const text = textReport(run, verdict, "npm run chaos -- --seed 5");
  for (const part of ["1 VIOLATIONS", "--seed 5", "stale-read: 1", "room r1", "recovery"])
    expect(text).toContain(part);
  const page = htmlReport(run, verdict, "npm run chaos -- --seed 5");
  for (const part of ["1 violations", "--seed 5", "stale-read", "<svg", "node-a"])
    expect(page).toContain(part);
  expect(page).not.toContain("<b>bob");
});
