// A state of many kinds of fields and collections, which the tests of checkpoints share.

import { schema, t } from "@colyseus/schema";

export const Item = schema({ name: t.string(), power: t.number() }, "Item");
export type Item = InstanceType<typeof Item>;
export const Weapon = Item.extend({ ammo: t.number(), marks: t.array("string") }, "Weapon");
export const Link = Item.extend({ next: t.ref(Item).optional() }, "Link");
export const Player = schema(
  {
    name: t.string(),
    score: t.number().default(10),
    nick: t.string().optional(),
    hand: t.ref(Item).optional(),
    bag: t.map(Item),
    trail: t.array("number"),
    note: t.string().default("fresh").noSync(),
  },
  "Player",
);
export type Player = InstanceType<typeof Player>;
export const World = schema(
  {
    tick: t.number().default(0),
    title: t.string().optional(),
    winner: t.ref(Player).optional(),
    players: t.map(Player),
    order: t.array(Player),
    labels: t.map("string"),
    numbers: t.array("number"),
    words: t.set("string"),
    crew: t.set(Player),
    log: t.collection("number"),
    pile: t.collection(Item),
  },
  "World",
);
export type World = InstanceType<typeof World>;
