import { expect, test } from "vitest";
import type { Epoch, Incarnation, NodeId, RoomId } from "../../src/ids.ts";
import { departed, isSameView, type Member, type View } from "../../src/membership/view.ts";
import { judge } from "../../src/membership/failure-detector.ts";
import { locate } from "../../src/placement/locate.ts";
import { Ring } from "../../src/placement/ring.ts";

function member(name: string, state: Member["state"] = "up"): Member {
  return {
    nodeId: `node-${name}` as NodeId,
    incarnation: `incarnation-${name}` as Incarnation,
    processId: name,
    host: "127.0.0.1",
    publicPort: 1,
    internalPort: 2,
    managementPort: 3,
    state,
  };
}
const view = (...members: Member[]): View => ({ version: 1, members });
const rooms = Array.from({ length: 5_000 }, (_, index) => `room-${index}` as RoomId);

test("[OWN6] a node that leaves moves only its own rooms, and takes about its share with it", () => {
  const all = ["a", "b", "c", "d", "e"].map((name) => member(name));
  const before = new Ring(view(...all));
  const after = new Ring(view(...all.filter(({ nodeId }) => nodeId !== "node-c")));
  let moved = 0;
  for (const room of rooms) {
    const was = before.memberFor(room);
    const is = after.memberFor(room);
    if (was?.nodeId === "node-c") moved += 1;
    else expect(is).toBe(was);
  }
  expect(moved / rooms.length).toBeGreaterThan(0.17);
  expect(moved / rooms.length).toBeLessThan(0.23);
});

test("a ring is the same whatever the order of the nodes, and empty without any that takes rooms", () => {
  const forth = new Ring(view(member("a"), member("b"), member("c")));
  const back = new Ring(view(member("c"), member("b"), member("a")));
  for (const room of rooms.slice(0, 500))
    expect(forth.memberFor(room)?.nodeId).toBe(back.memberFor(room)?.nodeId);
  expect(new Ring(view()).memberFor(rooms[0]!)).toBeUndefined();
  expect(new Ring(view(member("a", "draining"))).memberFor(rooms[0]!)).toBeUndefined();
});

test("views differ by who is in them and by who leaves, and tell who is gone", () => {
  const one = view(member("a"), member("b"));
  expect(isSameView(one, { version: 9, members: [member("a"), member("b")] })).toBe(true);
  expect(isSameView(one, view(member("a"), member("b", "draining")))).toBe(false);
  expect(departed(one, view(member("b"))).map(({ nodeId }) => nodeId)).toEqual(["node-a"]);
});

test.each([
  ["refuses", { outcome: "refused" }, "dead"],
  ["answers as somebody else", { outcome: "answered", incarnation: "new" }, "replaced"],
  ["answers as before", { outcome: "answered", incarnation: "old" }, "alive"],
  ["says nothing", { outcome: "silent" }, "unknown"],
] as const)("[REC3] a peer whose port %s", (_what, probe, verdict) => {
  expect(judge(probe, "old")).toBe(verdict);
});

const self = member("a");
const peer = member("b");
const facts = { self: self.incarnation, view: view(self, peer), isHere: false, successor: self };
const owned = (owner: string | null, isOwned = true, isQuarantined = false) => ({
  epoch: 1 as Epoch,
  owner: owner as Incarnation | null,
  isOwned,
  isQuarantined,
});

test.each([
  ["runs here", { ...facts, isHere: true, ownership: undefined }, { at: "here" }],
  ["is unknown", { ...facts, ownership: undefined }, { at: "gone" }],
  ["is locked away", { ...facts, ownership: owned(null, false, true) }, { at: "gone" }],
  ["is another node's", { ...facts, ownership: owned(peer.incarnation) }, { at: "peer", member: peer }],
  ["is ours but not open yet", { ...facts, ownership: owned(self.incarnation) }, { at: "claim" }],
  [
    "is owned by whom the view does not know yet",
    { ...facts, ownership: owned("late") },
    { at: "nowhere-yet" },
  ],
  ["is nobody's, and ours by the ring", { ...facts, ownership: owned("dead", false) }, { at: "claim" }],
  [
    "is nobody's, and a peer's by the ring",
    { ...facts, ownership: owned(null, false), successor: peer },
    { at: "peer", member: peer },
  ],
  [
    "is nobody's, and there is no ring",
    { ...facts, ownership: owned(null, false), successor: undefined },
    { at: "nowhere-yet" },
  ],
] as const)("[GATE1] a room that %s is found", (_what, given, expected) => {
  expect(locate(given)).toEqual(expected);
});
