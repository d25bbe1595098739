// Every kind of thing that a state can hold comes back as it was.

import {
  $changes,
  $refId,
  ArraySchema,
  decode,
  defineCustomTypes,
  encode,
  schema,
  t,
} from "@colyseus/schema";
import { describe, expect, test } from "vitest";

import { captureState, REF_ID_GAP, restoreState } from "../../src/colyseus/state-tree.ts";
import { createRoom, dump, expectSees, PlayerSide, restored, saved, sendPatch } from "../kit/state-rooms.ts";
import { Item, Link, Player, Weapon, World } from "../kit/state-world.ts";

describe("a state", () => {
  type Cents = { cents: number };
  const custom = defineCustomTypes({
    cents: {
      encode: (bytes, value: Cents, it) => encode.uint32(bytes, value.cents, it),
      decode: (bytes, it): Cents => ({ cents: decode.uint32(bytes, it) }),
    },
  });
  const Extremes = schema(
    {
      any: t.array("float64"),
      number: t.number(),
      integer: t.int64(),
      wide: t.bigint64(),
      wider: t.biguint64(),
      single: t.float32(),
      flag: t.boolean().default(true),
      empty: t.string().default("not empty"),
      long: t.string(),
      gone: t.string().default("there"),
      never: t.string(),
      nothing: t.number().default(7),
      yaw: t.quantized({ min: 0, max: 6.3, bits: 16, mode: "wrap" }),
      big: t.map("bigint64"),
      words: t.array("string"),
    },
    "Extremes",
  );
  // Decorator style, as defineCustomTypes has it.
  class Wallet extends Extremes {
    declare held: Cents;
  }
  custom("cents")(Wallet.prototype, "held");

  test("[CKP1] keeps every primitive exactly: NaN, infinities, -0, 64 bits, empty and long, null and undefined", () => {
    const state = new Wallet();
    state.any.push(NaN, Infinity, -Infinity, -0, 0, Number.MIN_VALUE, Number.MAX_VALUE, Number.EPSILON);
    Object.assign(state, {
      number: -0,
      integer: Number.MAX_SAFE_INTEGER,
      wide: -(2n ** 63n),
      wider: 2n ** 64n - 1n,
      single: 0.1,
      flag: false,
      empty: "",
      long: "\u{1f3ae}\0\ud800".repeat(50_000),
      gone: null,
      nothing: undefined,
      yaw: 1.234567,
      held: { cents: 4_200 },
    });
    state.big.set("least", -(2n ** 63n));
    state.words.push("", "é", "\ud800");
    const old = createRoom(() => state);
    const room = restored(old.state, () => new Wallet());

    expect(dump(room.state, "server")).toStrictEqual(dump(state, "server"));
    expect(room.state.any.toArray()).toStrictEqual(state.any.toArray());
    expect(Object.is(room.state.number, -0)).toBe(true);
    expect([room.state.gone, room.state.never, room.state.nothing]).toStrictEqual([
      null,
      undefined,
      undefined,
    ]);
    expect(room.state.held).toStrictEqual({ cents: 4_200 });
    expect(room.state.yaw).toBe(state.yaw);
  });

  test("[CKP1] keeps subclasses where a base class is declared, shared instances and cycles", () => {
    const Any = schema(
      { field: t.ref(Item), list: t.array(Item), map: t.map(Item), set: t.set(Item) },
      "Any",
    );
    const state = new Any();
    const weapon = new Weapon({ name: "bow", power: 3, ammo: 9, marks: ["a"] });
    const link = new Link({ name: "self", power: 1 });
    link.next = link;
    state.field = weapon;
    state.list.push(link, weapon, new Item({ name: "plain", power: 0 }), weapon);
    state.map.set("bow", weapon);
    state.set.add(link);
    const old = createRoom(() => state);
    const room = restored(old.state, () => new Any());

    expect(dump(room.state, "server")).toStrictEqual(dump(state, "server"));
    const back = room.state.field as InstanceType<typeof Weapon>;
    expect(back).toBeInstanceOf(Weapon);
    expect([back.ammo, back.marks.toArray()]).toStrictEqual([9, ["a"]]);
    expect(room.state.list[1]).toBe(back);
    expect(room.state.list[3]).toBe(back);
    expect(room.state.map.get("bow")).toBe(back);
    const self = room.state.list[0] as InstanceType<typeof Link>;
    expect(self.next).toBe(self);
    expect(room.state.set.has(self)).toBe(true);

    // They are tracked as one: a change is told once, and the last place to let go ends it.
    const player = new PlayerSide(room);
    back.power = 77;
    room.state.list.splice(3, 1);
    sendPatch(room, player);
    room.state.list.splice(1, 1);
    sendPatch(room, player);
    room.state.map.delete("bow");
    sendPatch(room, player);
    expectSees(player, room);
    expect(back[$changes]?.root).toBeDefined();
    room.state.field = new Item({ name: "other", power: 0 });
    sendPatch(room, player);
    expectSees(player, room);
    expect(back[$changes]?.root).toBeUndefined();
  });

  test("[CKP1] does not keep what is not synchronized: that is for onCacheRoom", () => {
    const state = new World();
    const player = Object.assign(new Player({ name: "ann" }), { note: "mine", besides: 1 });
    state.players.set("a", player);
    const room = restored(createRoom(() => state).state, () => new World());
    const back = room.state.players.get("a");
    expect(back).toMatchObject({ name: "ann", note: "fresh" });
    expect(back).not.toHaveProperty("besides");
  });

  test("[CKP1] is captured with its pending changes, which stay pending and go out as ever", () => {
    const old = createRoom(() => new World());
    const player = new PlayerSide(old);
    old.state.tick = 5;
    old.state.players.set("a", new Player({ name: "ann" }));
    old.state.numbers.push(1, 2, 3);
    sendPatch(old, player);
    old.state.numbers.shift();
    old.state.players.delete("a");
    old.state.labels.set("x", "y");
    const image = saved(old.state);
    sendPatch(old, player);
    expectSees(player, old);
    const room = createRoom(() => new World());
    restoreState(room, image);
    expect(dump(room.state, "server")).toStrictEqual(dump(old.state, "server"));
  });

  test("[CKP1] can be captured and restored again and again; refIds only ever rise", () => {
    const first = createRoom(() => new World());
    first.state.players.set("a", new Player({ name: "ann" }));
    first.state.words.add("one");
    const player = new PlayerSide(first);
    let state = first.state;
    for (let turn = 1; turn <= 3; turn++) {
      const { nextRefId } = captureState(state);
      const room = restored(state, () => new World());
      player.join(room);
      expect(captureState(room.state)).toStrictEqual({
        ...captureState(room.state),
        nextRefId: nextRefId + REF_ID_GAP,
      });
      room.state.players.set(`p${turn}`, new Player({ name: "new" }));
      room.state.words.add(`word ${turn}`);
      sendPatch(room, player);
      expectSees(player, room);
      state = room.state;
    }
  });
});

describe("what onCreate made", () => {
  test("[CKP1] stays the same instance where it fits, so that the author's closures hold; the rest goes", () => {
    const old = createRoom(() => new World());
    old.state.tick = 9;
    old.state.players.set("a", new Player({ name: "ann" }));
    old.state.numbers.push(1, 2);

    const made = new World();
    const { players, numbers } = made;
    const ann = new Player({ name: "not yet" });
    const bob = new Player({ name: "bob" });
    made.players.set("a", ann);
    made.players.set("b", bob);
    made.numbers.push(7, 8, 9);
    made.title = "made";
    const room = restored(old.state, () => made);

    expect(room.state).toBe(made);
    expect(made.players).toBe(players);
    expect(made.numbers).toBe(numbers);
    expect(made.players.get("a")).toBe(ann);
    expect([ann.name, made.title, [...players.keys()], numbers.toArray()]).toStrictEqual([
      "ann",
      undefined,
      ["a"],
      [1, 2],
    ]);
    expect(dump(made, "server")).toStrictEqual(dump(old.state, "server"));

    // What the author kept of the rest is new to the room, should it be attached again: all of it is sent.
    const player = new PlayerSide(room);
    players.set("back", bob);
    expect(bob[$refId as keyof Player]).toBeGreaterThanOrEqual(REF_ID_GAP);
    bob.bag.set("x", new Item({ name: "x", power: 1 }));
    sendPatch(room, player);
    expectSees(player, room);
  });

  test("[CKP1] is made without its constructor where that wants arguments", () => {
    const Strict = schema(
      {
        size: t.number(),
        items: t.array(Item),
        initialize(options: { size: number }) {
          this.size = options.size;
        },
      },
      "Strict",
    );
    const Holder = schema({ all: t.map(Strict) }, "Holder");
    const state = new Holder();
    const one = new Strict({ size: 3 });
    one.items = new ArraySchema(new Item({ name: "a", power: 1 }));
    state.all.set("one", one);
    const room = restored(createRoom(() => state).state, () => new Holder());
    expect(dump(room.state, "server")).toStrictEqual(dump(state, "server"));
    expect(room.state.all.get("one")).toBeInstanceOf(Strict);
    const player = new PlayerSide(room);
    expectSees(player, room);
    room.state.all.get("one")?.items.push(new Item({ name: "b", power: 2 }));
    sendPatch(room, player);
    expectSees(player, room);
  });
});

describe("what has left a state", () => {
  test("[CKP1] is not spoken of to players, though a set that was cleared leaves it with the encoder", () => {
    const room = createRoom(() => new World());
    const player = new PlayerSide(room);
    room.state.labels.set("a", "1");
    room.state.crew.add(new Player({ name: "seen by nobody" })); // and it has fields without a value
    room.state.crew.clear();
    sendPatch(room, player);
    room.state.labels.delete("a");
    sendPatch(room);
    player.join(room);
    expectSees(player, room);
  });
});
