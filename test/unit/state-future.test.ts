// A state that is gone back to, as far back as it may be: what was given out since is not given out again.

import { describe, expect, test } from "vitest";

import { withFutureOf } from "../../src/colyseus/state-future.ts";
import { type RawMap, rawOf } from "../../src/colyseus/state-internals.ts";
import { REF_ID_GAP, restoreState, type StateImage } from "../../src/colyseus/state-tree.ts";
import {
  createRoom,
  dump,
  expectSees,
  PlayerSide,
  type RoomOf,
  saved,
  sendPatch,
  serializerOf,
} from "../kit/state-rooms.ts";
import { Player, World } from "../kit/state-world.ts";

type Kind = StateImage["collections"][number]["kind"];

/** An image of nothing but collections: for each, its refId and the index that it gives out next. */
function imageOf(nextRefId: number, collections: Partial<Record<Kind, [number, number][]>>): StateImage {
  return {
    rootRefId: 0,
    nextRefId,
    shapes: [],
    collections: Object.entries(collections).map(([kind, all]) => ({
      kind: kind as Kind,
      holds: "values",
      refIds: all.map(([refId]) => refId),
      entries: all.map(() => []),
      keys: [],
      indexes: [],
      nextIndexes: kind === "array" ? [] : all.map(([, next]) => next),
      perTick: new Map(),
    })),
  };
}

const nextOf = ({ nextRefId, collections }: StateImage): unknown => [
  nextRefId,
  ...collections.map(({ kind, refIds, nextIndexes }) => [kind, refIds, nextIndexes]),
];

describe("[REC6] the numbers of an image that is gone back to", () => {
  const chosen = imageOf(10, { map: [[1, 4]], set: [[2, 9]], array: [[3, 0]] });

  test.each<[string, StateImage, unknown]>([
    [
      "go on where the later one has them, whichever order it lists them in",
      imageOf(90, {
        set: [
          [50, 70],
          [2, 12],
        ],
        map: [[1, 30]],
        array: [[3, 0]],
      }),
      [90, ["map", [1], [30]], ["set", [2], [12]], ["array", [3], []]],
    ],
    [
      "stay where the later one has lower ones: a map that was emptied begins anew",
      imageOf(9, { map: [[1, 0]], set: [[2, 3]] }),
      [10, ["map", [1], [4]], ["set", [2], [9]], ["array", [3], []]],
    ],
    [
      "stay for a collection that the later one does not have",
      imageOf(11, { stream: [[7, 8]] }),
      [11, ["map", [1], [4]], ["set", [2], [9]], ["array", [3], []]],
    ],
  ])("%s", (_what, later, expected) => {
    const before = structuredClone([chosen, later]);
    expect(nextOf(withFutureOf(chosen, later))).toEqual(expected);
    expect([chosen, later], "neither is changed").toEqual(before);
  });
});

/** As if so many instances had come and gone. */
function spendRefIds(room: RoomOf<World>, upTo: number): void {
  serializerOf(room)["encoder"].root["nextUniqueId"] = upTo;
}

const goneBackTo = (image: StateImage): RoomOf<World> => {
  const room = createRoom(() => new World());
  restoreState(room, image);
  return room;
};

describe("[REC6] [CKP1] a player who has seen more than REF_ID_GAP of what is undone", () => {
  test("does not take a new instance for one that they still hold", () => {
    const room = createRoom(() => new World());
    room.state.players.set("ada", new Player({ name: "ada" }));
    room.state.winner = new Player({ name: "first" });
    const chosen = saved(room.state);
    const player = new PlayerSide(room);
    // This one gets the refId that the first new one after a failover would get; the SDK's decoder goes on holding it.
    spendRefIds(room, chosen.nextRefId + REF_ID_GAP);
    room.state.winner = new Player({ name: "later", nick: "not to be eve's" });
    sendPatch(room, player);
    expectSees(player, room);

    const back = goneBackTo(withFutureOf(chosen, saved(room.state)));
    expect(dump(back.state, "player")).toEqual(dump(goneBackTo(chosen).state, "player"));
    player.join(back);
    expectSees(player, back);
    back.state.players.set("eve", new Player({ name: "eve" }));
    sendPatch(back, player);
    expectSees(player, back);
  });

  test("does not lose an entry of a map with one that only bears its former number", () => {
    const room = createRoom(() => new World());
    room.state.labels.set("ada", "then");
    const chosen = saved(room.state);
    const player = new PlayerSide(room);
    room.state.labels.delete("ada");
    sendPatch(room, player);
    const { journal } = rawOf<RawMap>(room.state.labels);
    journal.nextIndex = 1 + REF_ID_GAP; // as if so many entries had come and gone
    room.state.labels.set("ada", "since");
    sendPatch(room, player);
    expectSees(player, room);

    const back = goneBackTo(withFutureOf(chosen, saved(room.state)));
    player.join(back);
    expectSees(player, back);
    back.state.labels.set("eve", "new");
    back.state.labels.delete("eve");
    sendPatch(back, player);
    expectSees(player, back);
    back.state.labels.set("eve", "again");
    sendPatch(back, player);
    expectSees(player, back);
  });
});
