// The gateway's end of a link, spoken to frame by frame as an owner would.

import { duplexPair } from "node:stream";
import { expect, test } from "vitest";
import { EventBus } from "../../src/events.ts";
import { EpochGate } from "../../src/gateway/epoch-gate.ts";
import { LinkEnd } from "../../src/gateway/link-end.ts";
import { type Frame, headOf, KIND, placeOf } from "../../src/gateway/link-frames.ts";
import type { HeldPlace } from "../../src/gateway/line.ts";
import { OwnerLink } from "../../src/gateway/owner-link.ts";
import type { Player } from "../../src/gateway/player.ts";
import type { RoomId } from "../../src/ids.ts";
import type { Member } from "../../src/membership/view.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const ROOM = "room-1" as RoomId;
const HEAD = headOf(ROOM, 5);

function open() {
  const clock = fakeClock();
  const gate = new EpochGate();
  const [near, far] = duplexPair();
  const link = new OwnerLink({
    clock,
    events: new EventBus(),
    gate,
    member: { nodeId: "node-b" } as unknown as Member, // of whom only the name is told
    silentMs: 3_000,
    called: { socket: near, head: Buffer.alloc(0) },
    onClosed: () => {},
  });
  const frames: Frame[] = [];
  const owner = new LinkEnd({
    socket: far,
    head: Buffer.alloc(0),
    clock,
    silentMs: 3_000,
    onFrame: (frame) => frames.push(frame),
    onClosed: () => {},
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) {
      clock.advance(5);
      await new Promise(setImmediate);
    }
  };
  const placed: HeldPlace[] = [];
  const state = { isGone: false, calls: [] as string[] };
  const player = {
    roomId: ROOM,
    seat: { roomId: ROOM, sessionId: "s1" },
    origin: {},
    get isGone() {
      return state.isGone;
    },
    placed: (place: HeldPlace) => placed.push(place),
    deliver: () => {},
    pause: (why: string) => void state.calls.push(`pause ${why}`),
    resume: (why: string) => void state.calls.push(`resume ${why}`),
  } as unknown as Player; // as far as a link knows one
  return { gate, link, owner, far, frames, placed, player, state, settle };
}

test("[GATE4] who is gone when their place is opened does not have it: the owner hears that they left", async () => {
  const { gate, link, owner, frames, placed, player, state, settle } = open();
  const opening = link.open(player, new AbortController().signal);
  await settle();
  expect(frames.map(({ kind }) => kind)).toEqual([KIND.open]);
  state.isGone = true;
  owner.put(KIND.opened, HEAD, 1);
  await settle();
  expect(await opening).toBe(false);
  expect(placed).toEqual([]);
  expect(frames.map((frame) => [frame.kind, placeOf(frame)])).toEqual([
    [KIND.open, 1],
    [KIND.gone, 1],
  ]);
  expect(gate.newest(ROOM)).toBeUndefined();
});

test("what is still on its way when a room's last player has left is not remembered", async () => {
  const { gate, link, owner, placed, player, settle } = open();
  const opening = link.open(player, new AbortController().signal);
  owner.put(KIND.opened, HEAD, 1);
  await settle();
  expect([await opening, placed.length, gate.newest(ROOM)]).toEqual([true, 1, 5]);
  gate.forget(ROOM);
  owner.putDown(HEAD, 1, Buffer.of(15, 1));
  await settle();
  expect(gate.newest(ROOM)).toBeUndefined();
});

test("[GATE4] players who say more than the link takes are not read until it has taken it, and nothing is lost", async () => {
  const { link, owner, far, frames, placed, player, state, settle } = open();
  const opening = link.open(player, new AbortController().signal);
  owner.put(KIND.opened, HEAD, 1);
  await settle();
  await opening;
  far.pause(); // an owner that does not read
  const word = Buffer.alloc(100_000, 1);
  for (let said = 0; said < 10; said++) placed[0]!.send(word);
  expect(state.calls).toEqual([]);
  placed[0]!.send(word);
  expect(state.calls).toEqual(["pause link"]);
  await settle();
  expect(state.calls).toEqual(["pause link"]);
  far.resume();
  await settle();
  expect(state.calls).toEqual(["pause link", "resume link"]);
  expect(frames.filter(({ kind }) => kind === KIND.up).length).toBe(11);
});

test("[GATE4] a link that ends with players paused lets them be read again", async () => {
  const { link, owner, far, placed, player, state, settle } = open();
  Object.assign(player, { holdWords: () => {}, placeLost: () => void state.calls.push("lost") });
  const opening = link.open(player, new AbortController().signal);
  owner.put(KIND.opened, HEAD, 1);
  await settle();
  await opening;
  far.pause();
  placed[0]!.send(Buffer.alloc(2_000_000));
  link.close("the owner does not count any more");
  expect(state.calls).toEqual(["pause link", "resume link", "lost"]);
});
