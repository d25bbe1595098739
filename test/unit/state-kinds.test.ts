// Kinds of fields one by one: each with its extremes, and what a returning player is told of it.

import { type Decoder, getDecoderStateCallbacks, Schema, schema, StateView, t } from "@colyseus/schema";
import { afterEach, describe, expect, test, vi } from "vitest";

import { restoreState } from "../../src/colyseus/state-tree.ts";
import {
  checkpointed,
  createRoom,
  dump,
  expectSees,
  expectSeesWhatItMay,
  PlayerSide,
  reopened,
  restored,
  type RoomOf,
  saved,
  sendPatch,
  serializerOf,
} from "../kit/state-rooms.ts";
import { Item } from "../kit/state-world.ts";

afterEach(() => vi.restoreAllMocks());

describe("a primitive field", () => {
  const Numbers = schema(
    {
      number: t.number(),
      int8: t.int8(),
      uint8: t.uint8(),
      int16: t.int16(),
      uint16: t.uint16(),
      int32: t.int32(),
      uint32: t.uint32(),
      int64: t.int64(),
      uint64: t.uint64(),
      float32: t.float32(),
      float64: t.float64(),
      bigint64: t.bigint64(),
      biguint64: t.biguint64(),
      string: t.string(),
      boolean: t.boolean(),
    },
    "Numbers",
  );
  type Name = keyof InstanceType<typeof Numbers> & string;

  // Those in the last list are kept too, but of them the library itself tells its players something else.
  const EXTREMES: [Name, unknown[], unknown[]?][] = [
    [
      "number",
      [0, 127, 128, 255, 65_536, -(2 ** 31), 2 ** 53, 0.5, 1e300],
      [NaN, Infinity, -Infinity, -0, 0.1],
    ],
    ["int8", [-128, 127, 0], [300]],
    ["uint8", [0, 255], [-1]],
    ["int16", [-32_768, 32_767]],
    ["uint16", [0, 65_535]],
    ["int32", [-(2 ** 31), 2 ** 31 - 1]],
    ["uint32", [0, 2 ** 32 - 1]],
    ["int64", [Number.MIN_SAFE_INTEGER, -1, Number.MAX_SAFE_INTEGER]],
    ["uint64", [0, 2 ** 32, Number.MAX_SAFE_INTEGER]],
    ["float32", [NaN, Infinity, -Infinity, Math.fround(0.1)], [0.1, -0]],
    ["float64", [NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE, 0.1], [-0]],
    ["bigint64", [-(2n ** 63n), 2n ** 63n - 1n, 0n]],
    ["biguint64", [0n, 2n ** 64n - 1n]],
    [
      "string",
      ["", "\0", "é", "🎮", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(65_536)],
      ["\ud800"],
    ],
    ["boolean", [true, false]],
  ];
  const cases = EXTREMES.flatMap(([name, values, others = []]) => [
    ...[undefined, null, ...values].map((value) => ({ name, value, isTold: true })),
    ...others.map((value) => ({ name, value, isTold: false })),
  ]);

  test.each(cases.map((each) => ({ ...each, shown: String(each.value).slice(0, 20) })))(
    "[CKP1] $name keeps $shown",
    ({ name, value, isTold }) => {
      vi.spyOn(console, "warn").mockImplementation(() => {}); // of a buffer that had to grow
      const old = createRoom(() => new Numbers());
      const player = new PlayerSide(old);
      (old.state as Record<string, unknown>)[name] = value;
      sendPatch(old, player);
      const image = saved(old.state);
      const wasSeen = player.state[name as keyof Schema] as unknown;
      // Something else, which the player has seen when the owner dies.
      (old.state as Record<string, unknown>)[name] =
        value === undefined || value === null ? valueFor(name) : undefined;
      sendPatch(old, player);

      const room = createRoom(() => new Numbers());
      restoreState(room, image);
      expect(Object.is((room.state as Record<string, unknown>)[name], value)).toBe(true);
      player.join(room);
      expect(player.state[name as keyof Schema] as unknown).toStrictEqual(wasSeen);
      if (isTold) expectSees(player, room);
    },
  );

  const valueFor = (name: Name): unknown => EXTREMES.find(([known]) => known === name)?.[1].at(-1);
});

describe("an @unreliable field", () => {
  const Mover = schema(
    {
      name: t.string(),
      x: t.number().unreliable(),
      yaw: t.quantized({ min: 0, max: 6, bits: 8 }),
    },
    "Mover",
  );
  const Field = schema({ movers: t.map(Mover) }, "Field");

  test("[CKP1] comes back with what datagrams have and have not told, and goes on by datagrams", () => {
    const old = createRoom(() => new Field());
    const mover = new Mover({ name: "m", x: 1, yaw: 1 });
    old.state.movers.set("m", mover);
    const player = new PlayerSide(old);
    mover.x = 2;
    sendPatch(old, player);
    expectSees(player, old);
    mover.x = 3; // on no datagram yet
    const image = saved(old.state);
    expect(serializerOf(old)["encoder"].hasUnreliableChanges).toBe(true);
    mover.x = 4; // on one that the player heard, and lost with the owner
    mover.yaw = 2;
    sendPatch(old, player);

    const room = createRoom(() => new Field());
    restoreState(room, image);
    expect(room.state.movers.get("m")?.x).toBe(3);
    expect(serializerOf(room)["encoder"].hasUnreliableChanges).toBe(false);
    player.join(room);
    expectSees(player, room);
    const back = room.state.movers.get("m") as InstanceType<typeof Mover>;
    back.x = 5;
    expect(serializerOf(room)["encoder"].hasChanges).toBe(false);
    back.yaw = 3;
    sendPatch(room, player);
    expectSees(player, room);
    back.x = undefined as never;
    sendPatch(room, player);
    player.join(room);
    expectSees(player, room);
  });
});

describe("an @unreliable field of an instance in a hidden place and in a public one", () => {
  test("[CKP1] is not taken for changed by a restore", () => {
    const Dot = schema({ x: t.number().unreliable(), y: t.number() }, "Dot");
    const Both = schema({ open: t.map(Dot), hidden: t.array(Dot).view() }, "Both");
    const old = createRoom(() => new Both());
    const dot = new Dot({ x: 1, y: 1 });
    old.state.hidden.push(dot);
    old.state.open.set("dot", dot);
    const encoder = serializerOf(restored(old.state, () => new Both()))["encoder"];
    expect([encoder.hasChanges, encoder.hasUnreliableChanges]).toStrictEqual([false, false]);
  });
});

describe("a quantized field", () => {
  const Aim = schema(
    {
      axis: t.quantized({ min: -1, max: 1, bits: 8 }),
      pitch: t.quantized({ min: -1.5, max: 1.5 }),
      yaw: t.quantized({ min: 0, max: 2 * Math.PI, mode: "wrap", bits: 32 }),
    },
    "Aim",
  );

  test.each([-1, 0, 1, -9, 9, 0.333_333, 6.28, 100])("[CKP1] keeps what %d was snapped to", (value) => {
    const old = createRoom(() => new Aim());
    Object.assign(old.state, { axis: value, pitch: value, yaw: value });
    const player = new PlayerSide(old);
    const { axis, pitch, yaw } = old.state;
    const room = restored(old.state, () => new Aim());
    expect([room.state.axis, room.state.pitch, room.state.yaw]).toStrictEqual([axis, pitch, yaw]);
    const calls: string[] = [];
    const $ = getDecoderStateCallbacks(player.decoder as Decoder<InstanceType<typeof Aim>>);
    for (const name of ["axis", "pitch", "yaw"] as const)
      $(player.state as InstanceType<typeof Aim>).listen(name, () => calls.push(name), false);
    player.join(room);
    expectSees(player, room);
    expect(calls).toStrictEqual([]);
  });

  test("[CKP1] is snapped anew where its range has changed", () => {
    const [Old, New] = [
      schema({ x: t.quantized({ min: 0, max: 100, bits: 8 }) }, "Snap"),
      schema({ x: t.quantized({ min: 0, max: 10, bits: 8 }) }, "Snap"),
    ];
    const old = createRoom(() => new Old());
    old.state.x = 55;
    expect(restored(old.state, () => new New()).state.x).toBe(10);
  });
});

describe("a @deprecated field", () => {
  test("[CKP1] neither stops a checkpoint nor is read, and gives way to a field that took its place", () => {
    const Old = schema({ gone: t.string(), kept: t.number() }, "Deprecating");
    const Now = schema(
      { gone: t.string().deprecated(), kept: t.number(), instead: t.string().default("new") },
      "Deprecating",
    );
    const old = createRoom(() => new Old());
    Object.assign(old.state, { gone: "x", kept: 4 });
    const room = restored(old.state, () => new Now());
    expect([room.state.kept, room.state.instead]).toStrictEqual([4, "new"]);
    expect(() => room.state.gone).toThrow("deprecated");
    // And on from there: through another checkpoint, to a player.
    const next = restored(room.state, () => new Now());
    expect(next.state.kept).toBe(4);
    const player = new PlayerSide(next);
    next.state.kept = 5;
    sendPatch(next, player);
    expect((player.state as InstanceType<typeof Now>).kept).toBe(5);
  });
});

describe("a field that is told at one time only", () => {
  const Notice = schema(
    {
      text: t.string().patchOnly(),
      list: t.array("number").patchOnly(),
      map: t.string().fullStateOnly(),
      tick: t.number(),
    },
    "Notice",
  );

  test("[CKP1] comes back, and is told when it always is", () => {
    const old = createRoom(() => new Notice());
    const player = new PlayerSide(old);
    Object.assign(old.state, { text: "ping", map: "big", tick: 1 });
    old.state.list.push(1, 2);
    sendPatch(old, player);
    const room = restored(old.state, () => new Notice());
    expect(dump(room.state, "server")).toStrictEqual(dump(old.state, "server"));
    player.join(room);
    const seen = player.state as InstanceType<typeof Notice>;
    expect([seen.text, seen.map, seen.tick, seen.list.toArray()]).toStrictEqual(["ping", "big", 1, [1, 2]]);
    room.state.text = "pong";
    room.state.list.push(3);
    sendPatch(room, player);
    expectSees(player, room);
    room.state.map = "bigger";
    sendPatch(room, player);
    expect([seen.text, seen.map]).toStrictEqual(["pong", "big"]);
    player.join(room);
    expect(seen.map).toBe("bigger");
  });
});

describe("a streamed collection", () => {
  const Space = schema(
    { map: t.map(Item).stream(), set: t.set(Item).stream(), all: t.stream(Item), tick: t.number() },
    "Streams",
  );
  type Space = InstanceType<typeof Space>;
  /** Filled when it belongs to a room: what is in a stream before that, the library never tells. */
  const space = (): RoomOf<Space> => {
    const room = createRoom(() => new Space());
    for (let i = 0; i < 4; i++) {
      room.state.map.set(`k${i}`, new Item({ name: `m${i}`, power: i }));
      room.state.set.add(new Item({ name: `s${i}`, power: i }));
      room.state.all.add(new Item({ name: `a${i}`, power: i }));
    }
    return room;
  };
  const namesIn = (player: PlayerSide): string[] =>
    [
      ...(player.state as Space).map.values(),
      ...(player.state as Space).set.values(),
      ...(player.state as Space).all.values(),
    ].map(({ name }) => name);

  test("[CKP1] of any kind comes back, and reaches returning players whole", () => {
    const old = space();
    for (const each of [old.state.map, old.state.set, old.state.all]) each.maxPerTick = 1;
    const player = new PlayerSide(old);
    sendPatch(old, player);
    const room = restored(old.state, () => new Space());
    expect(dump(room.state, "server")).toStrictEqual(dump(old.state, "server"));
    expect([room.state.map.maxPerTick, room.state.set.maxPerTick, room.state.all.maxPerTick]).toStrictEqual([
      1, 1, 1,
    ]);
    expect(namesIn(player)).toStrictEqual(["m0", "s0", "a0"]);
    player.join(room);
    // Of a map or set the decoder takes an empty list for an emptied one: that is sent again.
    expect(namesIn(player)).toStrictEqual(["a0"]);
    for (let i = 0; i < 4; i++) sendPatch(room, player);
    expectSees(player, room);
  });

  test("[CKP1] is shown by a view as before: what was sent at once, what waited when its turn comes", () => {
    const old = space();
    old.state.all.maxPerTick = 1;
    const view = new StateView();
    const player = new PlayerSide(old, () => view);
    const [one, two, three] = [...old.state.all.values()] as [Item, Item, Item];
    for (const item of [two, three]) view.add(item);
    const outsider = new PlayerSide(old);
    sendPatch(old, player, outsider);
    expect(namesIn(player)).toStrictEqual(["a1"]);
    const room = reopened(checkpointed(old.state, player, outsider), () => new Space(), player, outsider);
    for (const each of [player, outsider]) each.join(room);
    expect(namesIn(player)).toStrictEqual(["a1"]);
    sendPatch(room, player, outsider);
    expect(namesIn(player)).toStrictEqual(["a1", "a2"]);
    const back = [...room.state.all.values()];
    (back[1] as Item).power = 77;
    (back[0] as Item).power = 78;
    (player.end.view as StateView).remove(back[2] as Item);
    sendPatch(room, player, outsider);
    expect([...(player.state as Space).all.values()].map(({ name, power }) => [name, power])).toStrictEqual([
      ["a1", 77],
    ]);
    // Nobody else was shown anything, and nobody is when the last view is gone.
    (player.end.view as StateView).dispose();
    sendPatch(room, outsider);
    expect(namesIn(outsider)).toStrictEqual([]);
    expect(one.name).toBe("a0");
  });

  test("[CKP1] that a view subscribed to goes on reaching it", () => {
    const old = space();
    const view = new StateView();
    view.subscribe(old.state.all);
    const player = new PlayerSide(old, () => view);
    sendPatch(old, player);
    const room = reopened(checkpointed(old.state, player), () => new Space(), player);
    room.state.all.add(new Item({ name: "meanwhile", power: 0 }));
    player.join(room);
    room.state.all.add(new Item({ name: "later", power: 0 }));
    sendPatch(room, player);
    expect(namesIn(player)).toStrictEqual(["a0", "a1", "a2", "a3", "meanwhile", "later"]);
  });
});

describe("a state larger than the encoder's buffer", () => {
  test("[CKP1] reaches a player with a view, and one without, whole", () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const Big = schema({ open: t.array("string"), hidden: t.map("string").view(), gone: t.string() }, "Big");
    const old = createRoom(() => new Big());
    for (let i = 0; i < 3; i++) old.state.open.push(`${i}`.repeat(9_000));
    for (let i = 0; i < 3; i++) old.state.hidden.set(`${i}`, `${i}`.repeat(9_000));
    const view = new StateView();
    view.add(old.state);
    const [insider, outsider] = [new PlayerSide(old, () => view), new PlayerSide(old)];
    const kept = checkpointed(old.state, insider, outsider);
    old.state.gone = "lost";
    sendPatch(old, insider, outsider);
    const room = reopened(kept, () => new Big(), insider, outsider);
    for (const player of [outsider, insider, outsider]) {
      player.join(room);
      expectSeesWhatItMay(player, room);
    }
    expectSees(insider, room);
    expect((outsider.state as InstanceType<typeof Big>).hidden).toBeUndefined();
    expect(warned).toHaveBeenCalled();
  });
});

describe("a class of the author's that is no Schema", () => {
  test("[CKP1] comes back as it was, where Metadata.setFields() made it one to synchronize", async () => {
    const { Metadata } = await import("@colyseus/schema");
    class Plain {
      declare x: number;
      declare item: Item | undefined;
      constructor() {
        Schema.initialize(this);
      }
    }
    Metadata.setFields(Plain, { x: "number", item: Item });
    const Holder = schema({ plain: t.ref(Plain), all: t.map(Plain as never) }, "PlainHolder");
    const old = createRoom(() => new Holder());
    old.state.plain.x = 7;
    old.state.plain.item = new Item({ name: "i", power: 1 });
    const player = new PlayerSide(old);
    const room = restored(old.state, () => new Holder());
    expect(room.state.plain).toBeInstanceOf(Plain);
    expect([room.state.plain.x, room.state.plain.item?.name]).toStrictEqual([7, "i"]);
    player.join(room);
    room.state.plain.x = 8;
    sendPatch(room, player);
    expect(player.state.toJSON()).toStrictEqual({ plain: { x: 8, item: { name: "i", power: 1 } }, all: {} });
  });
});
