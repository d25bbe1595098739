// The local cluster's story: facts in, lines out, as tables.

import { describe, expect, test } from "vitest";
import { createStory, type StoryFact } from "../../src/local/story.ts";

const T = 1_700_000_000_000;

function killed(nodeId: string, at: number): StoryFact {
  return { kind: "killed", at: T + at, nodeId, pid: 42 };
}

function event(at: number, nodeId: string, name: string, facts: Record<string, unknown> = {}): StoryFact {
  return { kind: "event", at: T + at, nodeId, name, facts };
}

function lost(at: number, by: string, lostNodeId: string, rooms: number, reason = "refused"): StoryFact {
  return event(at, by, "node:lost", { lostNodeId, reason, rooms, silentMs: 100 });
}

function restored(at: number, roomId: string, seats: number, extra: Record<string, unknown> = {}): StoryFact {
  return event(at, "node-c", "room:restored", {
    roomId,
    name: "arena",
    epoch: 4,
    fromEpoch: 3,
    fromNodeId: "node-b",
    checkpointAgeMs: 830,
    seats,
    restoreMs: 3,
    why: "recovery",
    ...extra,
  });
}

function reclaimed(at: number, roomId: string, sessionId: string): StoryFact {
  return event(at, "node-c", "seat:reclaimed", { roomId, epoch: 4, sessionId, afterMs: 1 });
}

function clock(at: number): StoryFact {
  return { kind: "clock", at: T + at };
}

function tell(...facts: StoryFact[]): string[] {
  const story = createStory();
  return facts.flatMap((fact) => story.tell(fact));
}

const TABLE: readonly { name: string; facts: StoryFact[]; lines: string[] }[] = [
  {
    name: "a killed node with one room and two players",
    facts: [
      killed("node-b", 0),
      lost(14, "node-a", "node-b", 1),
      lost(16, "node-c", "node-b", 1),
      restored(30, "r1", 2),
      reclaimed(210, "r1", "s1"),
      reclaimed(310, "r1", "s2"),
      event(311, "node-c", "room:settled", { roomId: "r1", epoch: 4, seats: 2, back: 2, backMs: 280 }),
      clock(20_000),
    ],
    lines: [
      "node-b was killed (kill -9, pid 42)",
      "  noticed by node-a after 14 ms: its port refused; it held 1 room",
      "  arena r1: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; 2 of 2 players back after 310 ms",
    ],
  },
  {
    name: "a killed node without rooms",
    facts: [killed("node-b", 0), lost(14, "node-a", "node-b", 0), clock(20_000)],
    lines: [
      "node-b was killed (kill -9, pid 42)",
      "  noticed by node-a after 14 ms: its port refused; it held no rooms",
    ],
  },
  {
    name: "five rooms: three are told, the others counted",
    facts: [
      killed("node-b", 0),
      lost(10, "node-a", "node-b", 5),
      ...["r1", "r2", "r3", "r4", "r5"].map((id, index) => restored(20 + index, id, 0)),
    ],
    lines: [
      "node-b was killed (kill -9, pid 42)",
      "  noticed by node-a after 10 ms: its port refused; it held 5 rooms",
      "  arena r1: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; nobody was in it",
      "  arena r2: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; nobody was in it",
      "  arena r3: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; nobody was in it",
      "  and 2 more rooms",
      "  all 5 rooms restored after 24 ms",
    ],
  },
  {
    name: "a player who stays away, and a room that does not return, are told when patience ends",
    facts: [
      killed("node-b", 0),
      lost(10, "node-a", "node-b", 2),
      restored(20, "r1", 2),
      reclaimed(250, "r1", "s1"),
      reclaimed(260, "r1", "s1"),
      clock(5_000),
      clock(11_000),
      clock(12_000),
    ],
    lines: [
      "node-b was killed (kill -9, pid 42)",
      "  noticed by node-a after 10 ms: its port refused; it held 2 rooms",
      "  arena r1: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; 1 of 2 players back so far after 260 ms",
      "  1 room is not back yet",
    ],
  },
  {
    name: "a frozen node that wakes to find itself replaced",
    facts: [
      { kind: "frozen", at: T, nodeId: "node-b", pid: 42 },
      lost(3_100, "node-a", "node-b", 1, "lapsed"),
      restored(3_120, "r1", 0),
      { kind: "thawed", at: T + 9_000, nodeId: "node-b", pid: 42 },
      { kind: "ended", at: T + 9_100, nodeId: "node-b", why: "was fenced", lastWords: "", restartMs: 0 },
      event(9_900, "node-b", "node:ready", { readyMs: 700 }),
    ],
    lines: [
      "node-b is frozen (SIGSTOP, pid 42); its rooms move when its lease has run out",
      "  noticed by node-a after 3.1 s: its lease ran out; it held 1 room",
      "  arena r1: epoch 3 → 4, now on node-c, from a checkpoint 0.8 s old; nobody was in it",
      "node-b runs again (SIGCONT, pid 42)",
      "node-b found that the others had gone on without it; it starts over",
      "node-b is ready (700 ms)",
    ],
  },
  {
    name: "a node thawed before anybody noticed leaves no open end",
    facts: [
      { kind: "frozen", at: T, nodeId: "node-b", pid: 42 },
      { kind: "thawed", at: T + 500, nodeId: "node-b", pid: 42 },
      clock(60_000),
    ],
    lines: [
      "node-b is frozen (SIGSTOP, pid 42); its rooms move when its lease has run out",
      "node-b runs again (SIGCONT, pid 42)",
    ],
  },
  {
    name: "a drain: its room moves are no losses",
    facts: [
      { kind: "draining", at: T, nodeId: "node-b", pid: 42 },
      restored(50, "r1", 1, { why: "move" }),
      event(200, "node-b", "node:drained", { moved: 1, left: 0, drainMs: 180 }),
      lost(210, "node-a", "node-b", 0, "left"),
      { kind: "ended", at: T + 220, nodeId: "node-b", why: "left", lastWords: "", restartMs: undefined },
    ],
    lines: [
      "node-b is leaving (SIGTERM, pid 42); its rooms move first",
      "node-b left in 180 ms: 1 room moved, 0 saved for later",
    ],
  },
  {
    name: "a crash that nobody asked for",
    facts: [
      {
        kind: "ended",
        at: T,
        nodeId: "node-b",
        why: "ended with exit code 1",
        lastWords: "boom",
        restartMs: 500,
      },
      lost(20, "node-a", "node-b", 0),
    ],
    lines: [
      "node-b ended with exit code 1 (boom); it starts again in 0.5 s",
      "  noticed by node-a after 20 ms: its port refused; it held no rooms",
    ],
  },
  {
    name: "the only node: nobody takes over",
    facts: [killed("node-a", 0), clock(10_000), clock(31_000), clock(40_000)],
    lines: [
      "node-a was killed (kill -9, pid 42)",
      "  nobody has taken over from node-a yet; is another node running?",
    ],
  },
  {
    name: "a room that loses its next owner too belongs to the later death",
    facts: [
      killed("node-b", 0),
      lost(10, "node-a", "node-b", 1),
      restored(20, "r1", 1),
      killed("node-c", 100),
      lost(110, "node-a", "node-c", 1),
      event(120, "node-a", "room:restored", {
        roomId: "r1",
        name: "arena",
        epoch: 5,
        fromEpoch: 4,
        fromNodeId: "node-c",
        checkpointAgeMs: 1_000,
        seats: 1,
        why: "recovery",
      }),
      event(400, "node-a", "seat:reclaimed", { roomId: "r1", epoch: 5, sessionId: "s1" }),
      clock(30_000),
    ],
    lines: [
      "node-b was killed (kill -9, pid 42)",
      "  noticed by node-a after 10 ms: its port refused; it held 1 room",
      "node-c was killed (kill -9, pid 42)",
      "  noticed by node-a after 10 ms: its port refused; it held 1 room",
      "  arena r1: epoch 4 → 5, now on node-a, from a checkpoint 1.0 s old; 1 of 1 player back after 300 ms",
    ],
  },
  {
    name: "Postgres away: said once, whatever the number of nodes",
    facts: [
      event(0, "node-a", "postgres:lost", { error: "x" }),
      event(5, "node-b", "postgres:lost", { error: "x" }),
      event(3_000, "node-a", "postgres:regained", { awayMs: 3_000 }),
      event(3_010, "node-b", "postgres:regained", { awayMs: 3_000 }),
    ],
    lines: ["Postgres does not answer; players play on, unsaved", "Postgres answers again, after 3.0 s"],
  },
  {
    name: "a node that may not go on without Postgres",
    facts: [event(0, "node-a", "failsafe:denied", { why: "a peer reaches Postgres" })],
    lines: [
      "node-a cannot reach Postgres (a peer reaches Postgres): its rooms stand still when its lease ends",
    ],
  },
];

describe("[LOC3] the story tells what happened", () => {
  test.each(TABLE)("[LOC3] $name", ({ facts, lines }) => {
    expect(tell(...facts)).toEqual(lines);
  });

  test("[LOC3] a name that a node prints cannot steer the terminal", () => {
    const lines = tell(
      killed("node-b", 0),
      lost(10, "node-a", "node-b", 1),
      restored(20, "r1\u001b[2J", 0, { name: "a\u0007\nb" }),
    );
    expect(lines.at(-1)).toContain("ab r1[2J: epoch");
  });
});
