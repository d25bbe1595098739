// The owner's end of a link, spoken to frame by frame as a gateway would.

import { duplexPair } from "node:stream";
import { expect, test } from "vitest";
import type { Place } from "../../src/colyseus/room-place.ts";
import type { RoomTransport, SeatRequest } from "../../src/colyseus/room-transport.ts";
import { NUMBERS, type Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import { GatewayPlaces } from "../../src/gateway/gateway-places.ts";
import { LinkEnd } from "../../src/gateway/link-end.ts";
import {
  closing,
  eachRecipient,
  type Frame,
  headOf,
  KIND,
  messageOf,
  placeOf,
  readClosing,
  restOf,
} from "../../src/gateway/link-frames.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const ROOM = "room-1" as RoomId;
const EPOCH = 5 as Epoch;
const PATCH = 15;
const STATE = 14;

function open(settings: Partial<Config> = {}) {
  const clock = fakeClock();
  const config = {
    ...Object.fromEntries(Object.entries(NUMBERS).map(([name, { fallback }]) => [name, fallback])),
    ...settings,
  } as unknown as Config; // its numbers are all that is asked for
  const seated: { place: Place; seat: SeatRequest }[] = [];
  const heard: string[] = [];
  const resynced: Place[] = [];
  const transport = {
    seat: (place: Place, seat: SeatRequest) => {
      seated.push({ place, seat });
      place.on("message", (bytes: Buffer) => heard.push(bytes.toString()));
      place.on("resync", () => {
        resynced.push(place);
        place.send(Buffer.of(STATE, 1));
      });
      return Promise.resolve();
    },
    messagesPerSecond: () => undefined,
  } as unknown as RoomTransport; // of which nothing else is called
  const admitted = new Map<RoomId, Epoch>([[ROOM, EPOCH]]);
  const places = new GatewayPlaces({
    config,
    clock,
    events: new EventBus(),
    transport,
    maySpeak: () => true,
    admit: (roomId) => Promise.resolve(admitted.get(roomId)),
  });
  const [near, far] = duplexPair();
  places.accept(far, Buffer.alloc(0));
  const frames: Frame[] = [];
  const gateway = new LinkEnd({
    socket: near,
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
      await new Promise(setImmediate);
    }
  };
  const ask = (place: number, roomId = ROOM, newest = 0): void => {
    const seat = { sessionId: `s${place}`, reconnectionToken: "t", skipHandshake: true, authToken: null };
    gateway.put(KIND.open, headOf(roomId, newest), place, Buffer.from(JSON.stringify(seat)));
  };
  return { clock, gateway, near, frames, seated, heard, resynced, settle, ask };
}

const kinds = (frames: readonly Frame[]): number[] => frames.map(({ kind }) => kind);

test("a place is given where the room is, and refused where it is not, or where a newer activation is known", async () => {
  const { frames, seated, settle, ask } = open();
  ask(1);
  ask(2, "elsewhere" as RoomId);
  ask(3, ROOM, EPOCH + 1);
  await settle();
  expect(frames.map((frame) => [frame.kind, placeOf(frame)])).toEqual([
    [KIND.opened, 1],
    [KIND.refused, 2],
    [KIND.refused, 3],
  ]);
  expect(frames[0]).toMatchObject({ roomId: ROOM, epoch: EPOCH });
  expect(seated.map(({ seat }) => seat)).toEqual([
    {
      roomId: ROOM,
      sessionId: "s1",
      reconnectionToken: "t",
      skipHandshake: true,
      authToken: null,
      isConnected: false,
    },
  ]);
});

test("a message to all of a room's players crosses once, with the list of who gets it", async () => {
  const { frames, seated, settle, ask } = open();
  for (const place of [1, 2, 3]) ask(place);
  await settle();
  frames.length = 0;
  const patch = Buffer.of(PATCH, 7);
  for (const { place } of seated) place.send(patch);
  await settle();
  expect(kinds(frames)).toEqual([KIND.down]);
  const recipients: number[] = [];
  eachRecipient(frames[0] as Frame, (place) => recipients.push(place));
  expect(recipients).toEqual([1, 2, 3]);
  expect(messageOf(frames[0] as Frame)).toEqual(patch);
});

test("[GATE4] a place that is cut gives back what was not heard, then what was on its way, and then says so", async () => {
  const { gateway, frames, seated, heard, settle, ask } = open();
  ask(1);
  await settle();
  const head = headOf(ROOM, EPOCH);
  gateway.put(KIND.up, head, 1, Buffer.from("heard"));
  await settle();
  frames.length = 0;
  const { place } = seated[0]!;
  const left: number[] = [];
  place.on("close", (code: number) => left.push(code));
  place.cut([Buffer.from("held by the room")]);
  // The gateway has not heard of it yet.
  gateway.put(KIND.up, head, 1, Buffer.from("on its way"));
  gateway.put(KIND.gone, head, 1, closing(1006));
  gateway.put(KIND.up, head, 1, Buffer.from("after the end"));
  await settle();
  expect(frames.map((frame) => [frame.kind, restOf(frame).toString()])).toEqual([
    [KIND.cut, ""],
    [KIND.back, "held by the room"],
    [KIND.back, "on its way"],
    [KIND.ended, ""],
  ]);
  expect(heard).toEqual(["heard"]);
  expect(left, "to the room it is a drop").toEqual([1006]);
});

test("a room's close reaches the player with its code, and the room hears of it at once", async () => {
  const { frames, seated, settle, ask } = open();
  ask(1);
  await settle();
  const left: number[] = [];
  seated[0]!.place.on("close", (code: number) => left.push(code));
  seated[0]!.place.close(4_000, "enough");
  expect(left, "not in the middle of the call").toEqual([]);
  await settle();
  expect(left).toEqual([4_000]);
  expect(readClosing(restOf(frames.at(-1) as Frame))).toEqual({ code: 4_000, reason: "enough" });
});

test("when the link ends every place is a player gone without a word", async () => {
  const { near, seated, settle, ask } = open();
  for (const place of [1, 2]) ask(place);
  await settle();
  const left: number[] = [];
  for (const { place } of seated) place.on("close", (code: number) => left.push(code));
  near.destroy();
  await settle();
  expect(left).toEqual([1006, 1006]);
});

test("[GATE6] a gateway that does not read gets no patches, and full states once it has caught up", async () => {
  const { clock, near, frames, seated, resynced, settle, ask } = open({
    linkBehindBytes: 65_536,
  } as Partial<Config>);
  for (const place of [1, 2]) ask(place);
  await settle();
  frames.length = 0;
  near.pause();
  const send = (): void => {
    const patch = Buffer.alloc(50_000, PATCH);
    for (const { place } of seated) place.send(patch);
  };
  for (let tick = 0; tick < 20; tick++) {
    send();
    await settle();
  }
  near.resume();
  await settle();
  const sent = frames.filter(({ kind }) => kind === KIND.down).length;
  expect(sent, "patches of 20").toBeLessThan(6);
  clock.advance(1_000);
  await settle();
  expect(new Set(resynced).size).toBe(2);
  const before = frames.length;
  send();
  await settle();
  expect(kinds(frames.slice(before))).toEqual([KIND.down]);
});

test("what is no request for a seat ends the link", async () => {
  const { gateway, settle } = open();
  gateway.put(KIND.open, headOf(ROOM, 0), 1, Buffer.from("{"));
  await settle();
  expect(gateway.isOpen).toBe(false);
});
