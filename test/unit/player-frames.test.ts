// What the gateway reads of Colyseus's messages, checked against those that Colyseus itself makes.

import { getMessageBytes, Protocol, ResponseStatus } from "@colyseus/core";
import { expect, test } from "vitest";
import {
  failedRequest,
  isFullState,
  isJoin,
  isPatch,
  readJoin,
  requestId,
} from "../../src/colyseus/player-frames.ts";

const JOIN = getMessageBytes[Protocol.JOIN_ROOM];

test("JOIN_ROOM tells the token, and whether the room hears inputs", () => {
  expect(readJoin(JOIN("the token", "schema"))).toEqual({ token: "the token", hearsInputs: false });
  const reflection = new Uint8Array(300).fill(7);
  expect(readJoin(JOIN("t", "schema", reflection))).toEqual({ token: "t", hearsInputs: false });
  const sections = [{ tag: 2, bytes: Uint8Array.of(0) }];
  expect(readJoin(JOIN("t", "schema", reflection, sections))).toEqual({ token: "t", hearsInputs: true });
  expect(readJoin(JOIN("t", "none", undefined, sections))).toEqual({ token: "t", hearsInputs: true });
  expect(isJoin(JOIN("t", "schema"))).toBe(true);
});

test("a JOIN_ROOM that is cut short is none", () => {
  const whole = JOIN("the token", "schema");
  for (let length = 1; length < whole.length; length++) {
    const read = readJoin(whole.subarray(0, length));
    expect(read === undefined || read.token === "the token", `${length} bytes`).toBe(true);
  }
});

test("a patch and a state are what they are, with the time of the room or without", () => {
  for (const modifier of [0, 0x20, 0x40]) {
    const [patch, state] = [Uint8Array.of(15 | modifier, 1), Uint8Array.of(14 | modifier, 1)];
    expect([isPatch(patch), isFullState(patch)]).toEqual([true, false]);
    expect([isPatch(state), isFullState(state)]).toEqual([false, true]);
  }
  expect(isPatch(new Uint8Array())).toBe(false);
});

test("requests and their answers have the number that was given to them; nothing else has one", () => {
  for (const id of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31]) {
    const answer = getMessageBytes[Protocol.ROOM_RESPONSE](id, ResponseStatus.OK, { fine: true });
    expect(requestId(answer)).toBe(id);
    expect(requestId(failedRequest(id, "why"))).toBe(id);
    const asked = Buffer.from(answer);
    asked[0] = Protocol.ROOM_REQUEST;
    expect(requestId(asked)).toBe(id);
  }
  expect(requestId(Uint8Array.of(Protocol.ROOM_DATA, 1))).toBeUndefined();
});
