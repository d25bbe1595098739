// Whom a node may call silent, what it promises, and when it goes on without Postgres: a table of cases.

import { expect, test } from "vitest";
import type { Incarnation } from "../../src/ids.ts";
import type { PromiseAnswer } from "../../src/membership/peer-network.ts";
import {
  endPromises,
  NEWCOMER,
  step,
  type Deed,
  type Fact,
  type Standing,
} from "../../src/membership/standing.ts";

const RULES = { leaseMs: 3_000, leaseRenewMs: 500, leaseMarginMs: 250, failsafeMs: 60_000 };
const PEER = "peer" as Incarnation;
const CLOCK_MS = 1_000_000_000_000;

function after(standing: Standing, ...facts: Fact[]): { standing: Standing; deeds: readonly Deed[] } {
  let deeds: readonly Deed[] = [];
  for (const fact of facts) ({ standing, deeds } = step(standing, fact, RULES));
  return { standing, deeds };
}

/** An answer of Postgres that took 10 ms. */
function beat(atMs: number, leaseLeftMs = 2_000, more: Partial<Fact & { name: "beat-answered" }> = {}): Fact {
  return {
    name: "beat-answered",
    askedAtMs: atMs - 10,
    atMs,
    clockMs: CLOCK_MS + atMs,
    rows: [{ incarnation: PEER, leaseLeftMs, silentMs: RULES.leaseMs - leaseLeftMs }],
    wasLapsed: false,
    ...more,
  };
}

const linked: Fact = { name: "linked", by: PEER, atMs: 0 };
const missed: Fact = { name: "beat-missed" };
const asked = (atMs: number, forMs = 3_000): Fact => ({ name: "promise-asked", by: PEER, forMs, atMs });

const NEWCOMER_LINKED = after(NEWCOMER, linked).standing;

/** Has heard Postgres for a full lease, up to 4,000. */
const settled = after(NEWCOMER, linked, beat(500), beat(4_000, 200)).standing;

test.each<[string, Facts, boolean]>([
  ["who has heard Postgres for a full lease marks the silent down", [settled, beat(4_500, -1)], true],
  ["not who has heard it for less", [after(NEWCOMER, linked, beat(2_000)).standing, beat(4_500, -1)], false],
  ["not who missed an answer since", [after(settled, missed).standing, beat(4_500, -1)], false],
  [
    "not who was frozen between question and answer",
    [NEWCOMER_LINKED, beat(9_000, -1, { askedAtMs: 500, wasLapsed: true })],
    false,
  ],
  ["not who was itself without a lease", [settled, beat(4_500, -1, { wasLapsed: true })], false],
  ["not whose lease has something left", [settled, beat(4_500, 0)], false],
  [
    "not when Postgres's clock was set forward",
    [settled, beat(4_500, -1, { clockMs: CLOCK_MS + 6_000 })],
    false,
  ],
  ["not when it was set back", [settled, beat(4_500, -1, { clockMs: CLOCK_MS + 4_000 })], false],
  ["not when a lease ends earlier than was said before", [settled, beat(4_500, -600)], false],
  [
    "not twice while the first may yet take effect",
    [after(settled, beat(4_500, -1)).standing, beat(5_000, -500)],
    false,
  ],
  [
    "but again when Postgres has declined",
    [
      after(settled, beat(4_500, -1), { name: "mark-declined", incarnation: PEER }).standing,
      beat(5_000, -500),
    ],
    true,
  ],
])("[OWN5] %s", (_what, [before, fact], marks) => {
  const { deeds } = after(before, fact);
  expect(deeds).toEqual(
    marks
      ? [
          {
            name: "mark-down",
            incarnation: PEER,
            notAfterMs: CLOCK_MS + (fact as Fact & { name: "beat-answered" }).atMs + RULES.leaseMs,
          },
        ]
      : [],
  );
});

type Facts = [Standing, Fact];

test("[OWN5] who has not renewed since Postgres's clock was set back is given a full lease to do so, and marked down then", () => {
  const setMs = -60_000;
  const fact = (atMs: number): Fact =>
    beat(atMs, 61_000, {
      clockMs: CLOCK_MS + setMs + atMs,
      rows: [{ incarnation: PEER, leaseLeftMs: 61_000, silentMs: -58_000 }],
    });
  const set = after(settled, fact(4_500)).standing;
  expect(after(set, fact(7_499)).deeds).toEqual([]);
  expect(after(set, fact(7_500)).deeds.map(({ name }) => name)).toEqual(["mark-down"]);
  const stranger: Standing = { ...set, knownBy: new Map() };
  expect(after(stranger, fact(67_499)).deeds).toEqual([]);
  expect(after(stranger, fact(67_500)).deeds.map(({ name }) => name)).toEqual(["mark-down"]);
});

test("[OWN7] promises end when Postgres names somebody who has promised nothing", () => {
  expect(endPromises(settled, [PEER])).toBe(false);
  expect(endPromises(settled, [])).toBe(false);
  expect(endPromises(settled, [PEER, "newer" as Incarnation])).toBe(true);
});

test("[OWN7] a member that has never heard of this node is left alone until no promise of others can hold it", () => {
  const newcomer = after(NEWCOMER, beat(500, -56_000), beat(4_000, -59_500)).standing;
  expect(after(newcomer, beat(4_500, -59_999)).deeds).toEqual([]);
  expect(after(newcomer, beat(4_500, -60_000)).deeds).toHaveLength(1);
});

test("[OWN7] a link that is newer than what Postgres was asked is not forgotten", () => {
  const rows: Fact & { name: "beat-answered" } = {
    ...(beat(4_000) as Fact & { name: "beat-answered" }),
    rows: [],
  };
  expect(after(NEWCOMER, { ...linked, atMs: 3_995 } as Fact, rows).standing.knownBy.has(PEER)).toBe(true);
  expect(after(NEWCOMER, { ...linked, atMs: 3_900 } as Fact, rows).standing.knownBy.has(PEER)).toBe(false);
});

test.each<[string, Facts, PromiseAnswer["kind"]]>([
  ["who reaches Postgres promises nothing", [settled, asked(4_300)], "refused"],
  ["whose last beat was missed promises", [after(settled, missed).standing, asked(4_600)], "promised"],
  [
    "whose beat is not answered promises",
    [after(settled, { name: "beat-sent", atMs: 4_500 }).standing, asked(5_001)],
    "promised",
  ],
  [
    "not whose beat is on its way",
    [after(settled, { name: "beat-sent", atMs: 4_500 }).standing, asked(5_000)],
    "refused",
  ],
  ["who has heard nothing for half a lease promises", [settled, asked(5_600)], "promised"],
  [
    "not who may have marked the asker down",
    [after(settled, beat(4_500, -1), missed).standing, asked(5_000)],
    "refused",
  ],
  [
    "but who cannot have any more",
    [after(settled, beat(4_500, -1), missed).standing, asked(4_500 + 3_251)],
    "promised",
  ],
  ["nothing for ever", [after(settled, missed).standing, asked(4_600, 60_001)], "refused"],
  ["nothing for no time", [after(settled, missed).standing, asked(4_600, Number.NaN)], "refused"],
])("[OWN7] %s", (_what, [before, fact], kind) => {
  expect(after(before, fact).deeds).toEqual([
    { name: "answer", answer: expect.objectContaining({ kind }) as unknown },
  ]);
});

test("[OWN7] a promise is kept to its end, and not after", () => {
  const { standing } = after(settled, missed, asked(4_600), beat(4_700));
  const known = after(standing, beat(7_550, 100)).standing;
  expect(after(known, beat(7_599, -1)).deeds).toEqual([]);
  expect(after(known, beat(7_701, -1)).deeds).toHaveLength(1);
});

test("[OWN7] a shorter promise does not shorten one that was given", () => {
  const { standing } = after(settled, missed, asked(4_600), asked(4_700, 100));
  expect(standing.promised.get(PEER)).toBe(7_600);
});

const cutOff = after(settled, missed).standing;

test.each<[string, Standing, number, number, number | undefined]>([
  ["cut off, with less than half a lease left", cutOff, 5_600, 1_499, 3_000],
  ["not with more", cutOff, 5_000, 1_500, undefined],
  ["cut off after it was over: only whether it still counts", cutOff, 9_000, 0, 0],
  ["not when Postgres answers", settled, 4_300, 1_000, undefined],
  ["not past the longest it may go on", cutOff, 63_990, 1_000, undefined],
  ["not before Postgres has ever answered", NEWCOMER, 100, 1_000, undefined],
])("[OWN7] peers are asked by who is %s", (_what, standing, atMs, leaseLeftMs, forMs) => {
  const { deeds } = after(standing, { name: "looked", atMs, leaseLeftMs });
  expect(deeds).toEqual(forMs === undefined ? [] : [{ name: "ask-peers", forMs }]);
});

test("[OWN3] who was marked down is told so by whoever knows it, whether or not that reaches Postgres", () => {
  const without: Fact = { ...(beat(4_500) as Fact & { name: "beat-answered" }), rows: [] };
  const peer = after(settled, without).standing;
  const down = [{ name: "answer", answer: { kind: "down" } }];
  expect(after(peer, asked(4_600, 0)).deeds).toEqual(down);
  expect(after(peer, missed, asked(4_600)).deeds).toEqual(down);
  // One that Postgres has never told of is not down: it may be new.
  const newer = { ...asked(4_600), by: "newer" as Incarnation } as Fact;
  expect(after(peer, newer).deeds).toEqual([
    { name: "answer", answer: expect.objectContaining({ kind: "refused" }) as unknown },
  ]);
});

test("[OWN3] who is told that it is down ends, whatever the others say", () => {
  const answers: PromiseAnswer[] = [{ kind: "promised" }, { kind: "down" }, { kind: "silent" }];
  const { deeds } = after(cutOff, { name: "peers-answered", askedAtMs: 9_000, leaseLeftMs: 0, answers });
  expect(deeds.map(({ name }) => name)).toEqual(["end"]);
});

test("what is remembered of nodes that are down is bounded", () => {
  let standing = settled;
  for (let count = 0; count < 1_200; count++) {
    const rows = [{ incarnation: `n${count}` as Incarnation, leaseLeftMs: 1_000, silentMs: 2_000 }];
    const atMs = 5_000 + count;
    standing = after(standing, { ...(beat(atMs) as Fact & { name: "beat-answered" }), rows }).standing;
  }
  expect(standing.down.size).toBe(1_000);
  expect(standing.down.has("n1198" as Incarnation)).toBe(true);
});

test("[OWN7] FAILSAFE_MS=0 asks nobody", () => {
  const fact: Fact = { name: "looked", atMs: 5_600, leaseLeftMs: 1_000 };
  expect(step(cutOff, fact, { ...RULES, failsafeMs: 0 }).deeds).toEqual([]);
});

test.each<[string, readonly PromiseAnswer["kind"][], number, Deed["name"] | undefined]>([
  ["every peer has promised", ["promised", "promised"], 900, "go-on"],
  ["some are gone", ["promised", "gone"], 900, "go-on"],
  ["there is nobody else", [], 900, "go-on"],
  ["one has refused", ["promised", "refused"], 900, "give-up"],
  ["one is silent", ["silent", "promised"], 900, "give-up"],
  ["the lease is over", ["promised"], 0, undefined],
])("[OWN7] when %s: %s", (_what, kinds, leaseLeftMs, deed) => {
  const answers = kinds.map((kind): PromiseAnswer => (kind === "refused" ? { kind, why: "so" } : { kind }));
  const { deeds } = after(settled, missed, {
    name: "peers-answered",
    askedAtMs: 5_600,
    leaseLeftMs,
    answers,
  });
  expect(deeds.map(({ name }) => name)).toEqual(deed === undefined ? [] : [deed]);
});

test("[OWN7] what peers promised does not count when Postgres answered since they were asked", () => {
  const answers: PromiseAnswer[] = [{ kind: "promised" }];
  const fact: Fact = { name: "peers-answered", askedAtMs: 5_600, leaseLeftMs: 900, answers };
  expect(after(settled, missed, beat(5_650), fact).deeds).toEqual([]);
});
