// Generated schema types and random histories: a checkpoint at any moment, and players who have seen more than it holds.

import { type Schema, StateView } from "@colyseus/schema";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Listener } from "../kit/state-listener.ts";
import {
  checkpointed,
  createRoom,
  dump,
  type Dumped,
  expectSees,
  PlayerSide,
  reopened,
  type RoomOf,
  sendPatch,
  serializerOf,
} from "../kit/state-rooms.ts";
import {
  Changer,
  changeView,
  classesOf,
  pickBy,
  type SchemaClass,
  steps,
  types,
} from "../kit/state-types.ts";

const RUNS = { interruptAfterTimeLimit: 3_000, markInterruptAsFailure: false } as const;

function play(script: number[][], room: RoomOf<Schema>, changer: Changer, ...players: PlayerSide[]): void {
  for (const numbers of script) {
    const pick = pickBy(numbers);
    if (pick(4) === 0) {
      sendPatch(room, ...players);
      for (const player of players) expectSees(player, room);
    } else changer.change(room.state, pick);
  }
}

describe("a state of any types", () => {
  test("[CKP1] comes back exactly, and players who return are told the truth ever after", () => {
    fc.assert(
      fc.property(types, steps, steps, steps, steps, (specs, before, lost, meanwhile, after) => {
        const classes = classesOf(specs, false);
        const State = classes.at(-1) as SchemaClass;
        const changer = new Changer(classes);
        const old = createRoom(() => new State());
        const player = new PlayerSide(old);
        play(before, old, changer, player);
        const was = dump(old.state, "server");
        const kept = checkpointed(old.state);
        play(lost, old, changer, player);
        sendPatch(old, player);

        const room = reopened(kept, () => new State());
        expect(dump(room.state, "server")).toStrictEqual(was);
        play(meanwhile, room, changer);
        sendPatch(room);
        const listener = new Listener(player.decoder);
        player.join(room);
        expectSees(player, room);
        listener.expectOnlyTrueDifferences();
        const newcomer = new PlayerSide(room);
        expectSees(newcomer, room);
        play(after, room, changer, player, newcomer);
        sendPatch(room, player, newcomer);
        for (const each of [player, newcomer]) expectSees(each, room);
      }),
      { ...RUNS, numRuns: 300 },
    );
  }, 20_000);
});

describe("views of a state of any types", () => {
  // What remove() leaves visible out of reach, the library's decoder reports as damage; see state-views.ts.
  beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));
  afterEach(() => vi.restoreAllMocks());

  function playViews(
    script: number[][],
    room: RoomOf<Schema>,
    changer: Changer,
    viewers: readonly PlayerSide[],
    ...players: PlayerSide[]
  ): void {
    for (const numbers of script) {
      const pick = pickBy(numbers);
      const what = pick(6);
      const { view } = viewers[pick(2)]?.end ?? {};
      if (what < 3) sendPatch(room, ...players);
      // A tick of its own: shown in the one in which it is replaced, an instance stays in the decoder for ever, with
      // no restore about.
      if (what < 2 && view !== undefined) {
        changeView(view, room.state, pick);
        sendPatch(room, ...players);
      } else if (what > 2) changer.change(room.state, pick);
    }
  }

  /** But for the order of instances in an array: of one that a view shows in part the library does not tell it. */
  function seenBy(player: PlayerSide): unknown {
    const { root, refs } = dump(player.state, "player") as { root: unknown; refs: Map<number, Dumped> };
    return {
      root,
      refs: new Map([...refs].map(([refId, { fields, entries }]) => [refId, fields ?? unordered(entries)])),
    };
  }

  function unordered(entries: Dumped["entries"]): unknown {
    const ids = entries?.map(([key, value]) =>
      typeof key === "number" ? (value as { refId?: number } | undefined)?.refId : undefined,
    );
    return ids?.every((id) => id !== undefined) ? ids.sort((a, b) => a - b) : entries;
  }

  const newcomerLike = ({ end: { view } }: PlayerSide, room: RoomOf<Schema>): PlayerSide =>
    new PlayerSide(room, view && (() => view));

  test("[CKP1] come back: each sees what it may, then and ever after, and nothing else", () => {
    fc.assert(
      fc.property(types, steps, steps, steps, steps, (specs, before, lost, meanwhile, after) => {
        const classes = classesOf(specs, true);
        const State = classes.at(-1) as SchemaClass;
        const changer = new Changer(classes);
        const old = createRoom(() => new State());
        const viewers = [0, 1].map(() => new PlayerSide(old, () => new StateView()));
        const players = [...viewers, new PlayerSide(old)];
        playViews(before, old, changer, viewers, ...players);
        sendPatch(old, ...players);
        const was = players.map((player) => seenBy(newcomerLike(player, old)));
        const kept = checkpointed(old.state, ...players);
        playViews(lost, old, changer, viewers, ...players);
        sendPatch(old, ...players);

        const room = reopened(kept, () => new State(), ...players);
        expect(players.map((player) => seenBy(newcomerLike(player, room)))).toStrictEqual(was);
        playViews(meanwhile, room, changer, []);
        sendPatch(room);
        // As an author's onReconnect may. (What a view is told while nobody takes its patches grows old in the library.)
        for (const [at, numbers] of meanwhile.slice(0, 6).entries()) {
          changeView(viewers[at % 2]?.end.view as StateView, room.state, pickBy(numbers));
        }
        const twins = players.map((player) => {
          const listener = new Listener(player.decoder);
          player.join(room);
          listener.expectOnlyTrueDifferences();
          const twin = newcomerLike(player, room);
          expect(seenBy(player)).toStrictEqual(seenBy(twin));
          // From here on both are told the same.
          for (const channel of ["raw", "rawUnreliable"] as const) {
            const [tell, tellTwin] = [player.end[channel], twin.end[channel]];
            player.end[channel] = (bytes: Uint8Array) => {
              tell?.(bytes);
              tellTwin?.(bytes);
            };
          }
          return twin;
        });
        // Instances that a decoder never let go (state-restore.ts) have their former contents when they are shown again.
        const { changeTrees } = serializerOf(room)["encoder"].root;
        const hasLeaked = players.map(({ decoder: { root } }, at) =>
          [...root.refs.keys()].some(
            (id) => id in changeTrees && twins[at]?.decoder.root.refs.has(id) !== true,
          ),
        );
        playViews(after, room, changer, viewers, ...players);
        sendPatch(room, ...players);
        for (const [at, player] of players.entries()) {
          if (hasLeaked[at] !== true) expect(seenBy(player)).toStrictEqual(seenBy(twins[at] as PlayerSide));
        }
      }),
      { ...RUNS, numRuns: 300 },
    );
  }, 20_000);
});
