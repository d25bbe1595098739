// What recovery does next, as a table of cases, and what holds whatever the facts are.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RoomId } from "../../src/ids.ts";
import {
  boundsFor,
  planRecovery,
  type Claim,
  type RecoveryBounds,
  type RecoveryFacts,
} from "../../src/recovery/recovery-plan.ts";

const BOUNDS: RecoveryBounds = {
  atOnceMax: 3,
  demandSurplusMax: 2,
  slowMs: 500,
  slowMax: 4,
  claimMax: 4,
  claimedMax: 10,
  demandClaimsMax: 2,
};

/** "a b c" as rooms. */
const ids = (text: string): RoomId[] => text.split(" ").filter((id) => id !== "") as RoomId[];
const opening = (text: string, forMs = 0) => ids(text).map((roomId) => ({ roomId, forMs }));
/** Each room waited for by one player, the first one for the longest. */
const demand = (text: string, waiting = 1) =>
  ids(text).map((roomId, index) => ({ roomId, waiting, sinceMs: index }));
const claiming = (text: string, why: Claim["why"] = "recovery"): Claim => ({
  why,
  evenOwn: false,
  roomIds: ids(text),
});

function plan(facts: Partial<RecoveryFacts>, bounds: Partial<RecoveryBounds> = {}) {
  const { open, claims, againInMs } = planRecovery(
    {
      unowned: [],
      orphaned: [],
      isOurs: () => true,
      isHere: () => false,
      demands: [],
      claims: [],
      claimed: [],
      openings: [],
      ...facts,
    },
    { ...BOUNDS, ...bounds },
  );
  return {
    open: open.join(" "),
    claims: claims.map(({ why, evenOwn, roomIds }) => `${why}${evenOwn ? "!" : ""}: ${roomIds.join(" ")}`),
    againInMs,
  };
}

describe("[REC7] which rooms are opened", () => {
  test.each<[string, Partial<RecoveryFacts>, string]>([
    ["nothing where nothing is claimed", {}, ""],
    ["as many as there are places, the fullest first", { claimed: ids("a b c d") }, "a b c"],
    ["none while all places are taken", { claimed: ids("d e"), openings: opening("a b c") }, ""],
    ["one for the place that is free", { claimed: ids("d e"), openings: opening("a b") }, "d"],
    [
      "one that is waited for before its turn",
      { claimed: ids("a b c d"), demands: demand("d"), openings: opening("x y") },
      "d",
    ],
    [
      "of those that are waited for the one with most who wait, then the one they wait for longest",
      {
        claimed: ids("a b c d e"),
        demands: [...demand("d b"), ...demand("e", 3)],
        openings: opening("x"),
      },
      "e d b",
    ],
    [
      "beyond all places, two that are waited for, and no more",
      { claimed: ids("a b c d"), demands: demand("b c d"), openings: opening("x y z") },
      "b c",
    ],
    [
      "none that is not waited for, beyond the places that others use",
      { claimed: ids("a b c"), demands: demand("c"), openings: opening("x y z") },
      "c",
    ],
    [
      "those that are waited for use free places first: the surplus is theirs once",
      { claimed: ids("a b c d e f g"), demands: demand("c d e f g"), openings: [] },
      "c d e f g",
    ],
    [
      "none beyond the surplus",
      { claimed: ids("a"), demands: demand("a"), openings: opening("v w x y z") },
      "",
    ],
    [
      "as if slow ones had ended",
      { claimed: ids("a b c d"), openings: [...opening("x y", 500), ...opening("z", 499)] },
      "a b",
    ],
    [
      "slow ones count from the fifth on",
      { claimed: ids("a b c d"), openings: opening("u v w x y z", 9_000) },
      "a",
    ],
    [
      "nothing at all when places and exceptions are used up",
      { claimed: ids("a"), demands: demand("a"), openings: opening("q r s t u v w x y", 9_000) },
      "",
    ],
    ["nothing that is waited for and not claimed yet", { demands: demand("a") }, ""],
  ])("%s", (_what, facts, open) => {
    expect(plan(facts).open).toBe(open);
  });
});

describe("[REC7] which rooms are claimed", () => {
  test.each<[string, Partial<RecoveryFacts>, readonly string[]]>([
    ["nothing where nothing is unowned", {}, []],
    ["the fullest, as many as a statement takes", { unowned: ids("a b c d e f") }, ["recovery: a b c d"]],
    [
      "those that the ring gives to this node, and that are neither here nor under way",
      {
        unowned: ids("a b c d e f g"),
        isOurs: (roomId) => roomId !== "b",
        isHere: (roomId) => roomId === "c",
        claimed: ids("d"),
        openings: opening("e"),
      },
      ["recovery: a f g"],
    ],
    ["one statement at a time", { unowned: ids("a b c"), claims: [claiming("x")] }, []],
    [
      "no more than will soon be open",
      { unowned: ids("a b c"), claimed: ids("v w x y"), openings: opening("1 2 3") },
      [],
    ],
    [
      "the next ones before the last ones are open",
      { unowned: ids("a b"), claimed: ids("w x y"), openings: opening("1 2 3") },
      ["recovery: a b"],
    ],
    [
      "one that is waited for, at once, in a statement of its own",
      { unowned: ids("a b"), demands: demand("b") },
      ["demand: b", "recovery: a"],
    ],
    [
      "one that is waited for, although no look has found it, and without asking the ring again",
      { demands: demand("z"), isOurs: () => false },
      ["demand: z"],
    ],
    [
      "all that are waited for in one statement, the most awaited first",
      { demands: [...demand("a b c"), ...demand("d e", 2)] },
      ["demand: d e a b"],
    ],
    [
      "what is waited for, although a batch is under way",
      { demands: demand("a"), claims: [claiming("x y z")] },
      ["demand: a"],
    ],
    ["nothing twice", { demands: demand("x y"), claims: [claiming("x y z")] }, []],
    [
      "not with a third statement for those that are waited for",
      { demands: demand("a b c"), claims: [claiming("b", "demand"), claiming("c", "demand")] },
      [],
    ],
    [
      "no more than may lie about, even if it is waited for",
      { demands: demand("a b c"), claimed: ids("1 2 3 4 5 6 7 8"), openings: opening("x y z v w") },
      ["demand: a b"],
    ],
    ["what is ours unawares, when nothing else is left", { orphaned: ids("o p") }, ["recovery!: o p"]],
    [
      "what is ours unawares after what nobody owns",
      { orphaned: ids("o p"), unowned: ids("a") },
      ["recovery: a"],
    ],
    [
      "nothing that is here, even if it was ours unawares when it was looked",
      { orphaned: ids("o p"), isHere: (roomId) => roomId === "o", openings: opening("p") },
      [],
    ],
  ])("%s", (_what, facts, claims) => {
    expect(plan(facts).claims).toEqual(claims);
  });
});

test.each<[string, Partial<RecoveryFacts>, number | undefined]>([
  ["not when nothing waits", { openings: opening("x y z", 100) }, undefined],
  ["when one that begins now stops counting", { claimed: ids("a b c d") }, 500],
  [
    "when the next opening stops counting",
    { claimed: ids("a"), openings: [...opening("x y", 100), ...opening("z", 320)] },
    180,
  ],
  [
    "not for those that have stopped",
    { claimed: ids("a"), openings: opening("q r s t u v w x", 900) },
    undefined,
  ],
])("[REC7] it is asked again %s", (_what, facts, againInMs) => {
  expect(plan(facts).againInMs).toBe(againInMs);
});

test("the bounds follow from how many are restored at the same time", () => {
  expect(boundsFor(8)).toMatchObject({ atOnceMax: 8, demandSurplusMax: 4, slowMax: 64 });
  expect(boundsFor(1)).toMatchObject({ atOnceMax: 1, demandSurplusMax: 1, slowMax: 8 });
});

/** A node's recovery, driven by chance: claims are answered, openings end or hang, players come, in any order. */
class Node {
  readonly hang: ReadonlySet<RoomId>;
  unowned: RoomId[];
  demands = new Map<RoomId, number>();
  claims: Claim[] = [];
  claimed: RoomId[] = [];
  openings = new Map<RoomId, number>();
  readonly here = new Set<RoomId>();
  readonly opened: RoomId[] = [];
  nowMs = 0;

  constructor(rooms: number, hanging: readonly number[]) {
    this.unowned = Array.from({ length: rooms }, (_, index) => `room-${index}` as RoomId);
    this.hang = new Set(hanging.map((index) => `room-${index}` as RoomId));
  }

  step(bounds: RecoveryBounds): void {
    const openings = [...this.openings].map(([roomId, sinceMs]) => ({ roomId, forMs: this.nowMs - sinceMs }));
    const { open, claims } = planRecovery(
      {
        unowned: this.unowned,
        orphaned: [],
        isOurs: () => true,
        isHere: (roomId) => this.here.has(roomId),
        demands: [...this.demands].map(([roomId, sinceMs]) => ({ roomId, waiting: 1, sinceMs })),
        claims: this.claims,
        claimed: this.claimed,
        openings,
      },
      bounds,
    );
    const slow = openings.filter(({ forMs }) => forMs >= bounds.slowMs).length;
    const counted = openings.length + open.length - Math.min(slow, bounds.slowMax);
    const others = open.filter((roomId) => !this.demands.has(roomId));
    if (open.length > 0) expect(counted).toBeLessThanOrEqual(bounds.atOnceMax + bounds.demandSurplusMax);
    if (others.length > 0) expect(counted).toBeLessThanOrEqual(bounds.atOnceMax);
    for (const roomId of open) {
      expect(this.claimed).toContain(roomId);
      this.opened.push(roomId);
      this.openings.set(roomId, this.nowMs);
    }
    this.claimed = this.claimed.filter((roomId) => !open.includes(roomId));
    for (const claim of claims) {
      expect(claim.roomIds.length).toBeLessThanOrEqual(bounds.claimMax);
      this.claims.push(claim);
    }
    const ahead = [...this.claimed, ...this.claims.flatMap(({ roomIds }) => roomIds)];
    expect(new Set(ahead).size, "nothing is claimed twice").toBe(ahead.length);
    expect(ahead.length).toBeLessThanOrEqual(bounds.claimedMax);
    expect(this.openings.size).toBeLessThanOrEqual(
      bounds.atOnceMax + bounds.demandSurplusMax + bounds.slowMax,
    );
  }

  answerClaim(): void {
    const claim = this.claims.shift();
    if (claim === undefined) return;
    this.unowned = this.unowned.filter((roomId) => !claim.roomIds.includes(roomId));
    this.claimed.push(...claim.roomIds);
  }

  endOpening(which: number): void {
    const able = [...this.openings.keys()].filter((roomId) => !this.hang.has(roomId));
    const roomId = able[which % Math.max(1, able.length)];
    if (roomId === undefined) return;
    this.openings.delete(roomId);
    this.demands.delete(roomId);
    this.here.add(roomId);
  }
}

test("[REC7] whatever happens in whatever order: bounds hold, nothing is opened twice, and what can open does", () => {
  const happening = fc.oneof(
    fc.record({ what: fc.constant("demand" as const), which: fc.nat(79) }),
    fc.record({ what: fc.constant("claim" as const), which: fc.constant(0) }),
    fc.record({ what: fc.constant("opened" as const), which: fc.nat(20) }),
    fc.record({ what: fc.constant("time" as const), which: fc.nat(600) }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.nat(79), { maxLength: 4 }), // as many may hang as need not count
      fc.array(happening, { maxLength: 200 }),
      (hanging, happenings) => {
        const node = new Node(80, hanging);
        const happen = (what: string, which: number): void => {
          const roomId = `room-${which}` as RoomId;
          if (what === "demand" && !node.here.has(roomId)) node.demands.set(roomId, node.nowMs);
          else if (what === "claim") node.answerClaim();
          else if (what === "opened") node.endOpening(which);
          else if (what === "time") node.nowMs += which;
          node.step(BOUNDS);
        };
        for (const { what, which } of happenings) happen(what, which);
        // Then everything goes on as it should, but for those that hang.
        for (let round = 0; round < 400 && node.here.size + node.openings.size < 80; round++) {
          happen("claim", 0);
          happen("opened", 0);
          happen("time", 100);
        }
        for (let left = 0; left < 20; left++) happen("opened", 0);
        expect(new Set(node.opened).size).toBe(node.opened.length);
        expect(node.here.size + node.openings.size).toBe(80);
        expect([...node.openings.keys()].every((roomId) => node.hang.has(roomId))).toBe(true);
      },
    ),
    { numRuns: 100 },
  );
});
