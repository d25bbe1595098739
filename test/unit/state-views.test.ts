// What only some players see: @view fields, and the StateViews that show them, over a restore.

import { $changes, schema, StateView, t } from "@colyseus/schema";
import { afterEach, describe, expect, test, vi } from "vitest";

import { restoreState } from "../../src/colyseus/state-tree.ts";
import { type SavedView, viewMaker } from "../../src/colyseus/state-views.ts";
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

describe("fields that not everybody sees", () => {
  const Card = schema({ face: t.string(), owner: t.string().view() }, "Card");
  // The public place comes first: the library's full state shows a shared instance in the order of the fields.
  const Table = schema(
    {
      pot: t.number(),
      open: t.map(Card),
      secret: t.string().view(),
      deck: t.array(Card).view(),
      hint: t.string().optional(),
    },
    "Table",
  );
  const seesAll = (room: RoomOf<InstanceType<typeof Table>>) => (): StateView => {
    const view = new StateView();
    view.add(room.state);
    for (const card of [...room.state.deck, ...room.state.open.values()]) view.add(card);
    return view;
  };

  test("[CKP1] are kept, shown to those who may see them and to nobody else", () => {
    const old = createRoom(() => new Table());
    Object.assign(old.state, { pot: 5, secret: "ace" });
    old.state.deck.push(new Card({ face: "A", owner: "x" }), new Card({ face: "K", owner: "y" }));
    old.state.open.set("q", new Card({ face: "Q", owner: "z" }));
    // One card in a hidden place and in a public one.
    old.state.open.set("a", old.state.deck[0] as InstanceType<typeof Card>);
    const insider = new PlayerSide(old, seesAll(old));
    const outsider = new PlayerSide(old);
    expectSees(insider, old);
    const image = saved(old.state);
    old.state.hint = "lost";
    sendPatch(old, insider, outsider);

    const room = createRoom(() => new Table());
    restoreState(room, image);
    expect(dump(room.state, "server")).toStrictEqual(
      dump(Object.assign(old.state, { hint: undefined }), "server"),
    );
    expect(serializerOf(room)["encoder"].hasChanges).toBe(false);
    insider.end.view = seesAll(room)();
    insider.join(room);
    outsider.join(room);
    expectSees(insider, room);
    expect(serializerOf(room)["encoder"].hasChanges).toBe(false);
    const out = outsider.state as InstanceType<typeof Table>;
    expect([out.pot, out.secret, out.hint, out.open.get("a")?.face]).toStrictEqual([
      5,
      undefined,
      undefined,
      "A",
    ]);
    expect(out.open.get("a")?.owner).toBeUndefined();

    room.state.secret = "two";
    (room.state.deck[0] as InstanceType<typeof Card>).face = "B";
    (room.state.deck[1] as InstanceType<typeof Card>).face = "C";
    sendPatch(room, insider, outsider);
    expectSees(insider, room);
    expect([out.secret, out.open.get("a")?.face]).toStrictEqual([undefined, "B"]);
  });

  test("[CKP1] of a stream are kept and sent again; those that a player has are left as they are", () => {
    const Space = schema({ rocks: t.stream(Item) }, "Space");
    const old = createRoom(() => new Space());
    const player = new PlayerSide(old);
    old.state.rocks.maxPerTick = 2;
    for (let i = 0; i < 5; i++) old.state.rocks.add(new Item({ name: `r${i}`, power: i }));
    sendPatch(old, player); // two of five
    const room = restored(old.state, () => new Space());
    expect(dump(room.state, "server")).toStrictEqual(dump(old.state, "server"));
    expect(room.state.rocks.maxPerTick).toBe(2);
    player.join(room);
    const known = [...(player.state as InstanceType<typeof Space>).rocks.values()];
    expect(known).toHaveLength(2);
    for (let i = 0; i < 3; i++) sendPatch(room, player);
    expectSees(player, room);
    expect([...(player.state as InstanceType<typeof Space>).rocks.values()].slice(0, 2)).toStrictEqual(known);
    room.state.rocks.add(new Item({ name: "new", power: 1 }));
    sendPatch(room, player);
    expectSees(player, room);
  });
});

describe("the view of a player who returns", () => {
  const [GOLD, TEAM] = [1, 2];
  const Gem = schema({ name: t.string(), worth: t.number().view(GOLD) }, "Gem");
  type Gem = InstanceType<typeof Gem>;
  const Chest = schema({ label: t.string(), gems: t.array(Gem), best: t.ref(Gem).optional() }, "Chest");
  type Chest = InstanceType<typeof Chest>;
  const Hero = schema(
    {
      name: t.string(),
      plan: t.string().view(TEAM),
      hand: t.array(Gem).view(),
      chest: t.ref(Chest).optional().view(),
      marks: t.map("string").view(TEAM),
    },
    "Hero",
  );
  type Hero = InstanceType<typeof Hero>;
  const Hall = schema(
    {
      heroes: t.map(Hero),
      vault: t.map(Chest).view(),
      line: t.array(Gem).view(),
      bag: t.set(Gem).view(),
      shared: t.map(Gem).view(GOLD),
    },
    "Hall",
  );
  type Hall = InstanceType<typeof Hall>;

  const gem = (name: string, worth = 1): Gem => new Gem({ name, worth });
  const chest = (label: string): Chest => {
    const it = new Chest({ label });
    it.gems.push(gem(`${label}-1`), gem(`${label}-2`));
    it.best = gem(`${label}-best`);
    return it;
  };
  function hall(): RoomOf<Hall> {
    const state = new Hall();
    for (const name of ["ann", "bob"]) {
      const hero = new Hero({ name, plan: `${name}'s plan` });
      hero.hand.push(gem(`${name}-a`), gem(`${name}-b`));
      hero.chest = chest(name);
      hero.marks.set("m", name);
      state.heroes.set(name, hero);
    }
    for (const label of ["one", "two"]) state.vault.set(label, chest(label));
    state.line.push(gem("l1"), gem("l2"), gem("l3"));
    state.bag.add(gem("b1"));
    state.shared.set("s", gem("s1"));
    return createRoom(() => state);
  }
  const heroOf = (room: { state: Hall }, name: string): Hero => room.state.heroes.get(name) as Hero;
  const chestOf = (room: { state: Hall }, label: string): Chest => room.state.vault.get(label) as Chest;
  const viewOf = (player: PlayerSide): StateView => player.end.view as StateView; // it was given one
  const seen = (player: PlayerSide): Hall => player.state as Hall; // reflected from one

  /** A player who joined with what `show` adds to their view. */
  function joined(room: RoomOf<Hall>, show: (view: StateView, state: Hall) => unknown, isIterable = false) {
    const view = new StateView(isIterable);
    show(view, room.state);
    return new PlayerSide(room, () => view);
  }

  function crash(room: RoomOf<Hall>, ...players: PlayerSide[]): RoomOf<Hall> {
    const next = reopened(checkpointed(room.state, ...players), () => new Hall(), ...players);
    for (const player of players) player.join(next);
    return next;
  }

  test("[CKP1] shows the same as before, by what was added: items, tags, instances and what is beneath them", () => {
    const old = hall();
    const ann = joined(old, (view, { heroes, vault, line, bag }) => {
      view.add(heroes.get("ann") as Hero);
      view.add(heroes.get("bob") as Hero, TEAM);
      view.add(vault.get("one") as Chest);
      view.add(line[1] as Gem);
      for (const each of bag) view.add(each);
    });
    const bob = joined(old, (view, state) => {
      view.add(state.heroes.get("bob") as Hero);
      view.add(state.shared.get("s") as Gem, GOLD);
      view.add(state.line[0] as Gem, GOLD);
    });
    const nobody = joined(old, () => {});
    const outsider = new PlayerSide(old);
    const players = [ann, bob, nobody, outsider];
    sendPatch(old, ...players);
    const before = players.map((player) => dump(player.state, "player"));
    expect(
      seen(ann)
        .vault.get("one")
        ?.gems.map(({ name }) => name),
    ).toStrictEqual(["one-1", "one-2"]);
    expect([seen(ann).vault.size, seen(ann).line.length]).toStrictEqual([1, 1]);
    expect(heroOf({ state: seen(ann) }, "bob").plan).toBe("bob's plan");
    expect(heroOf({ state: seen(bob) }, "ann").plan).toBeUndefined();

    const room = crash(old, ...players);
    expect(players.map((player) => dump(player.state, "player"))).toStrictEqual(before);
    expect(outsider.end.view).toBeUndefined();
    expect([viewOf(nobody).id, viewOf(nobody).changes.size]).toStrictEqual([-1, 0]);

    // And so it goes on: what changes reaches those who may see it, and nobody else.
    heroOf(room, "bob").plan = "run";
    heroOf(room, "ann").hand.push(gem("ann-c"));
    (heroOf(room, "ann").chest as Chest).label = "mine";
    chestOf(room, "one").gems.push(gem("one-3"));
    chestOf(room, "two").label = "hidden";
    (room.state.line[1] as Gem).name = "renamed";
    (room.state.line[0] as Gem).worth = 50;
    room.state.shared.set("t", gem("s2", 7));
    room.state.vault.set("three", chest("three"));
    heroOf(room, "bob").marks.set("n", "new");
    sendPatch(room, ...players);
    expect(heroOf({ state: seen(ann) }, "bob").plan).toBe("run");
    expect(seen(ann).vault.get("one")?.gems.length).toBe(3);
    expect(seen(ann).vault.size).toBe(1);
    expect(seen(bob).vault?.size ?? 0).toBe(0);
    expect(seen(bob).line.map(({ name, worth }) => [name, worth])).toStrictEqual([["l1", 50]]);
    expect([...seen(bob).shared.keys()]).toStrictEqual(["s", "t"]);
    expect(heroOf({ state: seen(bob) }, "bob").plan).toBeUndefined();
    for (const player of players) expectSeesWhatItMay(player, room);
  });

  test("[CKP1] takes what is added and removed after the restore", () => {
    const old = hall();
    const ann = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    const bob = joined(old, () => {});
    sendPatch(old, ann, bob);
    const room = crash(old, ann, bob);
    viewOf(ann).add(chestOf(room, "two"));
    viewOf(bob).add(heroOf(room, "ann"), TEAM);
    const fresh = chest("fresh");
    room.state.vault.set("fresh", fresh);
    viewOf(bob).add(fresh);
    sendPatch(room, ann, bob);
    expect([...seen(ann).vault.keys()].sort()).toStrictEqual(["one", "two"]);
    expect([...seen(bob).vault.keys()]).toStrictEqual(["fresh"]);
    expect(heroOf({ state: seen(bob) }, "ann").plan).toBe("ann's plan");

    viewOf(ann).remove(chestOf(room, "one"));
    viewOf(bob).remove(fresh);
    sendPatch(room, ann, bob);
    for (const player of [ann, bob]) expectSeesWhatItMay(player, room);
    viewOf(bob).remove(heroOf(room, "ann"), TEAM);
    sendPatch(room, ann, bob);
    chestOf(room, "one").label = "unseen";
    heroOf(room, "ann").plan = "unseen";
    sendPatch(room, ann, bob);
    expect([...seen(ann).vault.keys()]).toStrictEqual(["two"]);
    expect(seen(bob).vault.size).toBe(0);
    expect(heroOf({ state: seen(bob) }, "ann").plan).toBeUndefined();
    // Their views are two, and stay two.
    expect(viewOf(ann).id).not.toBe(viewOf(bob).id);

    // What the library leaves visible of the hero, out of anybody's reach, does not come over.
    const next = crash(room, ann, bob);
    for (const player of [ann, bob]) expectSeesWhatItMay(player, next);
    heroOf(next, "ann").hand.push(gem("unseen"));
    sendPatch(next, ann, bob);
    expect(heroOf({ state: seen(bob) }, "ann").hand).toBeUndefined();
  });

  test("[CKP1] hides again what was shown after the checkpoint only, and shows what was hidden since", () => {
    const old = hall();
    const ann = joined(old, (view, { vault, heroes }) => {
      view.add(vault.get("one") as Chest);
      view.add(heroes.get("ann") as Hero);
    });
    const bob = new PlayerSide(old);
    sendPatch(old, ann, bob);
    const before = dump(ann.state, "player");
    const kept = checkpointed(old.state, ann, bob);
    // All of this is lost with the owner.
    viewOf(ann).add(chestOf(old, "two"));
    viewOf(ann).add(heroOf(old, "bob"));
    viewOf(ann).add(heroOf(old, "bob"), TEAM);
    viewOf(ann).add(old.state.line[2] as Gem);
    viewOf(ann).remove(chestOf(old, "one"));
    bob.end.view = new StateView();
    viewOf(bob).add(heroOf(old, "bob"));
    viewOf(bob).add(heroOf(old, "bob"), TEAM);
    sendPatch(old, ann, bob);
    expect(heroOf({ state: seen(ann) }, "bob").hand).toHaveLength(2);
    expect(heroOf({ state: seen(bob) }, "bob").plan).toBe("bob's plan");

    const room = reopened(kept, () => new Hall(), ann, bob);
    for (const player of [ann, bob]) {
      player.join(room);
      expectSeesWhatItMay(player, room);
    }
    expect(dump(ann.state, "player")).toStrictEqual(before);
    const bobs = heroOf({ state: seen(bob) }, "bob");
    expect([bobs.plan, bobs.hand, bobs.chest]).toStrictEqual([undefined, undefined, undefined]);
    chestOf(room, "one").label = "seen";
    chestOf(room, "two").label = "not seen";
    heroOf(room, "bob").plan = "not seen";
    sendPatch(room, ann, bob);
    for (const player of [ann, bob]) expectSeesWhatItMay(player, room);
  });

  test("[CKP1] is one view still where two players shared one", () => {
    const old = hall();
    const ann = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    const bob = new PlayerSide(old, () => viewOf(ann));
    const cid = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    sendPatch(old, ann, bob, cid);
    const room = crash(old, ann, bob, cid);
    expect(viewOf(bob)).toBe(viewOf(ann));
    expect(viewOf(cid)).not.toBe(viewOf(ann));
    viewOf(bob).add(chestOf(room, "two"));
    room.state.heroes.delete("bob"); // so that there is a patch for all: with none, the library tells one of the two
    sendPatch(room, ann, bob, cid);
    for (const player of [ann, bob, cid]) expectSeesWhatItMay(player, room);
    expect([seen(ann).vault.size, seen(bob).vault.size, seen(cid).vault.size]).toStrictEqual([2, 2, 1]);
  });

  test("[CKP1] remembers what an iterable view was given, in that order, and what a collection was subscribed to", () => {
    const old = hall();
    const ann = joined(
      old,
      (view, { vault, line }) => {
        view.add(line[2] as Gem);
        view.add(vault.get("two") as Chest);
        view.add(line[0] as Gem);
        view.subscribe(vault);
      },
      true,
    );
    viewOf(ann).items.push(gem("removed from the state since"));
    sendPatch(old, ann);
    const room = crash(old, ann);
    const view = viewOf(ann);
    expect(view.iterable).toBe(true);
    expect(view.items).toStrictEqual([room.state.line[2], chestOf(room, "two"), room.state.line[0]]);
    expect(view.isSubscribed(room.state.vault[$changes])).toBe(true);
    room.state.vault.set("new", chest("new"));
    room.state.line.push(gem("not subscribed"));
    sendPatch(room, ann);
    expect([...seen(ann).vault.keys()].sort()).toStrictEqual(["new", "one", "two"]);
    expect(seen(ann).line.map(({ name }) => name)).toStrictEqual(["l1", "l3"]);
    view.unsubscribe(room.state.vault);
    sendPatch(room, ann);
    expect(seen(ann).vault.size).toBe(0);
    view.clear();
    sendPatch(room, ann);
    expect([view.items, seen(ann).line.length]).toStrictEqual([[], 0]);
  });

  test("[CKP1] is saved again while its player is still away, and comes back from that", () => {
    const old = hall();
    const ann = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    sendPatch(old, ann);
    const second = reopened(checkpointed(old.state, ann), () => new Hall(), ann);
    chestOf(second, "one").gems.push(gem("meanwhile"));
    second.state.vault.set("secret", chest("secret"));
    sendPatch(second);
    const third = reopened(checkpointed(second.state, ann), () => new Hall(), ann);
    ann.join(third);
    expect(seen(ann).vault.toJSON()).toMatchObject({
      one: { label: "one", gems: [{ name: "one-1" }, { name: "one-2" }, { name: "meanwhile" }] },
    });
    expect([...seen(ann).vault.keys()]).toStrictEqual(["one"]);
    expectSeesWhatItMay(ann, third);
  });

  test("[CKP1] may be replaced, and then nobody sees by it", () => {
    const old = hall();
    const ann = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    sendPatch(old, ann);
    const room = reopened(checkpointed(old.state, ann), () => new Hall(), ann);
    const former = viewOf(ann);
    ann.end.view = new StateView(); // as onReconnect does it
    viewOf(ann).add(chestOf(room, "two"));
    ann.join(room);
    chestOf(room, "one").label = "unseen";
    sendPatch(room, ann);
    expect([...seen(ann).vault.keys()]).toStrictEqual(["two"]);
    expectSeesWhatItMay(ann, room);
    const { id } = former;
    former.dispose();
    const heir = joined(room, (view, { line }) => view.add(line[0] as Gem));
    expect(viewOf(heir).id).toBe(id);
    sendPatch(room, heir);
    expect(seen(heir).vault?.size ?? 0).toBe(0);
  });

  test("[CKP1] shows the first time what it shows the second: all of a set whose place is tagged", () => {
    const Bags = schema({ bag: t.set(Gem).view(GOLD) }, "Bags");
    const old = createRoom(() => new Bags());
    const view = new StateView();
    for (const name of ["a", "b"]) old.state.bag.add(gem(name));
    view.add([...old.state.bag.values()][0] as Gem, GOLD);
    const ann = new PlayerSide(old, () => view);
    for (const name of ["c", "d"]) old.state.bag.add(gem(name));
    const room = reopened(checkpointed(old.state, ann), () => new Bags(), ann);
    ann.join(room);
    expect((ann.state as InstanceType<typeof Bags>).bag.size).toBe(4);
  });

  test("[CKP1] drops what was lost, though it has bits for what it shows nowhere", () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const errors = vi.spyOn(console, "error").mockImplementation(() => {});
    const old = hall();
    const ann = joined(old, (view, { heroes, vault }) => {
      view.add(vault.get("one") as Chest);
      // In a field that only another tag shows.
      view.add(heroes.get("bob")?.marks as never);
    });
    sendPatch(old, ann);
    const kept = checkpointed(old.state, ann);
    old.state.heroes.set("lost", new Hero({ name: "lost", plan: "" }));
    const lost = chest("lost");
    old.state.vault.set("lost", lost);
    viewOf(ann).add(lost);
    sendPatch(old, ann);
    expect(seen(ann).vault.has("lost")).toBe(true);
    for (const spy of [warned, errors]) spy.mockClear();
    const room = reopened(kept, () => new Hall(), ann);
    ann.join(room);
    expect([...seen(ann).vault.keys()]).toStrictEqual(["one"]);
    expect([...seen(ann).heroes.keys()]).toStrictEqual(["ann", "bob"]);
    expectSeesWhatItMay(ann, room);
    for (const spy of [warned, errors]) expect(spy).not.toHaveBeenCalled();
  });

  test("[CKP1] empties an instance that it names and does not show any more", () => {
    const One = schema({ gem: t.ref(Gem).optional().view(), name: t.string().view() }, "One");
    const old = createRoom(() => new One());
    old.state.gem = gem("secret");
    old.state.name = "one";
    const view = new StateView();
    view.add(old.state);
    const ann = new PlayerSide(old, () => view);
    const room = reopened(checkpointed(old.state, ann), () => new One(), ann);
    viewOf(ann).remove(room.state.gem as Gem);
    ann.join(room);
    expect((ann.state as InstanceType<typeof One>).gem?.name).toBeUndefined();
    expectSeesWhatItMay(ann, room);
  });

  test("[CKP1] of a room that made it in onCreate shows what is still there, and nothing by another's number", () => {
    const old = hall();
    const ann = joined(old, (view, { vault }) => view.add(vault.get("one") as Chest));
    const kept = checkpointed(old.state, ann);
    // Made before the restore, as in onCreate; what is there by then is for the first encoder.
    const room = hall();
    const team = new StateView();
    team.add(chestOf(room, "two"));
    team.add(heroOf(room, "bob"), TEAM);
    team.subscribe(room.state.bag);
    const others = [0, 1].map(() => {
      const view = new StateView();
      view.add(room.state.vault);
      return view;
    });
    room.state.vault.set("gone", chest("gone"));
    team.add(chestOf(room, "gone"));
    restoreState(room, kept.image);
    const makeView = viewMaker(room.state);
    ann.end.view = makeView(kept.views[0] as SavedView);
    ann.join(room);
    expectSeesWhatItMay(ann, room);
    const bob = new PlayerSide(room, () => team);
    expect(new Set([viewOf(ann).id, team.id, ...others.map(({ id }) => id)]).size).toBe(4);
    expect([...seen(bob).vault.keys()]).toStrictEqual(["two"]);
    expect(seen(bob).bag.size).toBe(1);
    expect(heroOf({ state: seen(bob) }, "bob").plan).toBe("bob's plan");
    room.state.bag.add(gem("b2"));
    chestOf(room, "one").label = "for ann";
    sendPatch(room, ann, bob);
    expect(seen(bob).bag.size).toBe(2);
    for (const player of [ann, bob]) expectSeesWhatItMay(player, room);
  });
});
