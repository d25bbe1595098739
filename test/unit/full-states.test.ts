// When players who come back together share one full state, and when each gets their own. With real rooms it is in every
// cluster test in which several players of a room return.

import type { Client, Room } from "@colyseus/core";
import { expect, test } from "vitest";
import { shareFullStates, statesMayChange } from "../../src/colyseus/full-states.ts";

function setUp(inside: object = {}) {
  let state = 1;
  let own = 0;
  const room = {
    _serializer: { getFullState: () => Uint8Array.of(14, state) },
    sendFullState: () => void (own += 1),
    ...inside,
  };
  shareFullStates(room as unknown as Room); // all of a room that it looks at
  const heard: Uint8Array[] = [];
  const player = (more: object = {}): Client =>
    ({ raw: (bytes: Uint8Array) => void heard.push(bytes), ...more }) as unknown as Client;
  const send = room.sendFullState as unknown as (client: Client) => void;
  return { send, player, heard, change: () => void (state += 1), own: () => own };
}

const turn = (): Promise<void> => new Promise(setImmediate);

test("those who come back in one stretch of code get one state, the very same bytes", async () => {
  const { heard, player, send } = setUp();
  for (let count = 0; count < 3; count++) send(player());
  expect(new Set(heard).size).toBe(1);
  await turn();
});

test("whoever comes after the author's code may have run gets what is true then", async () => {
  const { change, heard, player, send } = setUp();
  send(player());
  change();
  statesMayChange();
  send(player());
  expect(heard.map((bytes) => bytes[1])).toEqual([1, 2]);
  change();
  await turn(); // a tick, say
  send(player());
  expect(heard.map((bytes) => bytes[1])).toEqual([1, 2, 3]);
  // And nothing that a promise has led to is missed.
  const later = Promise.resolve().then(() => {
    change();
    send(player());
  });
  await later;
  expect(heard.at(-1)?.[1]).toBe(4);
  await turn();
});

test("one room's state is no other's, and a view or inputs make it a player's own", async () => {
  const [one, other] = [setUp(), setUp()];
  other.change();
  one.send(one.player());
  other.send(other.player());
  expect([one.heard[0]?.[1], other.heard[0]?.[1]]).toEqual([1, 2]);
  one.send(one.player({ view: {} }));
  expect([one.heard.length, one.own()]).toEqual([1, 1]);
  const inputs = setUp({ _inputController: {} });
  inputs.send(inputs.player());
  expect([inputs.heard.length, inputs.own()]).toEqual([0, 1]);
  await turn();
});
