// A state and the classes it is restored into: changed ones, unknown ones, nameless ones.

import { $refId, type Schema, schema, t } from "@colyseus/schema";
import { describe, expect, test } from "vitest";

import {
  captureState,
  isSchemaState,
  REF_ID_GAP,
  restoreState,
  type StateImage,
} from "../../src/colyseus/state-tree.ts";
import {
  createRoom,
  dump,
  expectSees,
  PlayerSide,
  refused,
  restored,
  saved,
  sendPatch,
  serializerOf,
} from "../kit/state-rooms.ts";
import { Item, Player, Weapon, World } from "../kit/state-world.ts";

describe("a changed room class", () => {
  const Old = schema(
    { kept: t.number(), dropped: t.string(), list: t.array(Item), gone: t.map(Item) },
    "Shape",
  );

  test("[CKP1] still reads the image: added fields keep what onCreate gave them, removed ones are dropped", () => {
    const state = new Old();
    Object.assign(state, { kept: 4, dropped: "x" });
    state.list.push(new Item({ name: "a", power: 1 }));
    state.gone.set("g", new Item({ name: "g", power: 1 }));
    const New = schema(
      { added: t.string().default("hello"), list: t.array(Item), extra: t.map(Item), kept: t.number() },
      "Shape",
    );
    const made = new New();
    made.extra.set("e", new Item({ name: "e", power: 2 }));
    const room = restored(createRoom(() => state).state, () => made);

    expect(room.state.toJSON()).toStrictEqual({
      kept: 4,
      added: "hello",
      list: [{ name: "a", power: 1 }],
      extra: { e: { name: "e", power: 2 } },
    });
    // A player of the old class knew other things under the ids that onCreate gave to the added ones.
    const { nextRefId } = captureState(state);
    for (const added of [room.state.extra, room.state.extra.get("e")]) {
      expect((added as { [$refId]?: number })[$refId]).toBeGreaterThanOrEqual(nextRefId + REF_ID_GAP);
    }
    const player = new PlayerSide(room);
    room.state.extra.set("f", new Item({ name: "f", power: 3 }));
    sendPatch(room, player);
    expectSees(player, room);
  });

  test.each([
    ["another root class", () => new Player(), { saved: "Shape", now: "Player" }],
    [
      "a value where a collection was",
      () => new (schema({ list: t.string() }, "Shape"))(),
      { place: "Shape.list" },
    ],
    [
      "another kind of collection",
      () => new (schema({ list: t.map(Item) }, "Shape"))(),
      { saved: "array", now: "map" },
    ],
    [
      "values where instances were",
      () => new (schema({ list: t.array("string") }, "Shape"))(),
      { now: "value" },
    ],
    [
      "another type of value",
      () => new (schema({ kept: t.string() }, "Shape"))(),
      { saved: "number", now: "string" },
    ],
    ["a class that is gone", () => new (schema({ list: t.array(Player) }, "Shape"))(), { saved: "Weapon" }],
    ["no state at all", () => undefined, { roomName: undefined }],
  ])(
    "[CKP1] that has %s refuses it, and nothing has changed",
    (_what, make: () => Schema | undefined, facts) => {
      const state = new Old();
      state.kept = 4;
      state.list.push(new Weapon({ name: "w", power: 1, ammo: 1, marks: [] }));
      const image = saved(createRoom(() => state).state);
      const room = createRoom(make);
      const serializer = serializerOf(room);
      const was = room.state === undefined ? undefined : dump(room.state, "server");
      const error = refused(() => restoreState(room, image));
      expect(error.code).toBe("SNAPSHOT_UNREADABLE");
      expect(error.facts).toMatchObject(facts);
      expect(room.state === undefined ? undefined : dump(room.state, "server")).toStrictEqual(was);
      expect(serializerOf(room)).toBe(serializer);
    },
  );

  test("[CKP1] refuses an image that does not hold together", () => {
    const image = saved(createRoom(() => new World()).state);
    const broken = structuredClone(image);
    broken.collections[0]?.refIds.pop();
    expect(
      refused(() =>
        restoreState(
          createRoom(() => new World()),
          broken,
        ),
      ).code,
    ).toBe("SNAPSHOT_UNREADABLE");
    const empty = { rootRefId: 0, nextRefId: 1 } as unknown as StateImage; // as if read from other bytes
    expect(
      refused(() =>
        restoreState(
          createRoom(() => new World()),
          empty,
        ),
      ).code,
    ).toBe("SNAPSHOT_UNREADABLE");
  });
});

describe("what cannot be restored", () => {
  test("[CKP1] is refused when it is captured: a class that Colyseus does not know, a state without a room", () => {
    class Untold extends Item {}
    const state = new World();
    state.pile.add(new Untold());
    expect(refused(() => captureState(createRoom(() => state).state))).toMatchObject({
      code: "INTERNAL",
      facts: { type: "Untold" },
    });
    expect(refused(() => captureState(new World())).code).toBe("INTERNAL");
    expect(refused(() => captureState({ plain: 1 })).code).toBe("INTERNAL");
    expect([new World(), { plain: 1 }, null, undefined].map(isSchemaState)).toStrictEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(isSchemaState(createRoom(() => new World()).state)).toBe(true);
  });

  test("[CKP1] is not an unnamed class, nor two of one name", () => {
    const A = Item.extend({ a: t.number() });
    const B = Item.extend({ b: t.number() });
    const B2 = Item.extend({ b: t.number() });
    const Any = schema({ all: t.array(Item) }, "AnyOf");
    const state = new Any();
    state.all.push(
      new B({ name: "b", power: 1, b: 1 }),
      new A({ name: "a", power: 1, a: 2 }),
      new B2({ name: "b2", power: 1, b: 3 }),
    );
    const room = restored(createRoom(() => state).state, () => new Any());
    expect(room.state.all.map((item) => item.constructor)).toStrictEqual([B, A, B2]);
  });
});
