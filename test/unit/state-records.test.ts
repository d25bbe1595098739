// States as migrateCheckpoint edits them. Images are captured from Colyseus's own states; nothing is replaced.

import { deserialize, serialize } from "node:v8";
import { defineCustomTypes, encode, decode, schema, t } from "@colyseus/schema";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StateImage } from "../../src/colyseus/state-image.ts";
import type { SchemaClass } from "../../src/colyseus/state-internals.ts";
import type { SavedRecord } from "../../src/colyseus/saved-record.ts";
import { SavedRecords } from "../../src/colyseus/state-records.ts";
import { captureState, REF_ID_GAP } from "../../src/colyseus/state-tree.ts";
import { createRoom, refused } from "../kit/state-rooms.ts";
import { Item, Link, Player, Weapon, World } from "../kit/state-world.ts";

const custom = defineCustomTypes({
  json: {
    encode: (bytes, value: unknown, it) => encode.string(bytes, JSON.stringify(value), it),
    decode: (bytes, it): unknown => JSON.parse(decode.string(bytes, it)),
  },
});
const Plain = schema(
  {
    spawn: t.stream(Item),
    nothing: t.ref(Item).optional(),
    world: t.ref(World).optional(),
    numbers: t.set("number"),
  },
  "Plain",
);
// Decorator style, as defineCustomTypes has it.
class Odd extends Plain {
  declare shape: unknown;
}
custom("json")(Odd.prototype, "shape");

const imageOf = (state: object): StateImage => deserialize(serialize(captureState(state))) as StateImage;

function worldWith(fill: (world: World) => void): StateImage {
  const room = createRoom(() => new World());
  fill(room.state);
  return imageOf(room.state);
}

/** The image's instances of a class, by refId, with their fields by name. */
function rowsOf(image: StateImage, type: string): Record<number, Record<string, unknown>> {
  const rows: Record<number, Record<string, unknown>> = {};
  for (const shape of image.shapes.filter((one) => one.type === type)) {
    const names = [...shape.values, ...shape.links];
    shape.refIds.forEach((refId, i) => {
      rows[refId] = Object.fromEntries(names.map((name, at) => [name, shape.rows[i]?.[at]]));
    });
  }
  return rows;
}

interface Found {
  readonly kind: string;
  readonly entries: unknown[];
  readonly keys: string[] | undefined;
  readonly indexes: number[] | undefined;
  readonly nextIndex: number | undefined;
}

function collectionOf(image: StateImage, refId: unknown): Found {
  for (const { kind, refIds, entries, keys, indexes, nextIndexes } of image.collections) {
    const at = refIds.indexOf(refId as number);
    if (at < 0) continue;
    return {
      kind,
      entries: entries[at] ?? [],
      keys: keys[at],
      indexes: indexes[at],
      nextIndex: nextIndexes[at],
    };
  }
  throw new Error(`no collection ${String(refId)}`);
}

const rootOf = (image: StateImage, type = "World"): Record<string, unknown> =>
  rowsOf(image, type)[image.rootRefId] ?? {};
const mapOf = (record: SavedRecord, field: string): Map<string, SavedRecord> =>
  record[field] as Map<string, SavedRecord>;

const numbers = fc.array(fc.nat(30), { maxLength: 12 });
const values = fc.array(fc.constantFrom(0, -0, 1, NaN, Infinity, -7.5), { maxLength: 8 });

describe("without edits", () => {
  test("[CKP5] any image comes out as it went in", () => {
    fc.assert(
      fc.property(numbers, numbers, numbers, values, fc.boolean(), (joins, leaves, items, odds, isShared) => {
        const room = createRoom(() => new Odd());
        const { state } = room;
        const world = (state.world = new World());
        state.shape = odds.length > 4 ? [1, { $type: "no" }] : new Map([[1, odds]]);
        for (const n of joins) world.players.set(`k${n}`, new Player({ name: `p${n}` }));
        for (const n of leaves) world.players.delete(`k${n}`);
        const everyone = [...world.players.values()];
        for (const n of items) {
          const item =
            n % 2 === 0
              ? new Item({ name: "i", power: n })
              : new Weapon({ name: "w", power: 1, ammo: 2, marks: ["m"] });
          everyone[n % (everyone.length || 1)]?.bag.set(`b${n}`, item);
          state.spawn.add(item);
          world.pile.add(item);
          world.log.add(n);
        }
        for (const value of odds) {
          world.numbers.push(value);
          if (!Number.isNaN(value)) state.numbers.add(value);
        }
        for (const player of everyone.slice(0, 3)) {
          world.order.push(player);
          world.crew.add(player);
          player.score = -0;
        }
        if (isShared && everyone[0] !== undefined) {
          const first = new Link({ name: "first", power: 0 });
          first.next = new Link({ name: "second", power: 0, next: first }); // a cycle
          everyone[0].hand = first;
          world.winner = everyone[0];
        }
        state.spawn.maxPerTick = 3;
        const image = imageOf(state);
        const before = imageOf(state);
        expect(new SavedRecords(image).toImage()).toStrictEqual(before);
        expect(image).toStrictEqual(before);
      }),
    );
  });

  test("shared instances are one record, and a cycle is one", () => {
    const image = worldWith((world) => {
      const player = new Player({ name: "ada" });
      const link = new Link({ name: "l", power: 0 });
      link.next = link;
      player.hand = link;
      world.players.set("a", player);
      world.winner = player;
      world.order.push(player);
    });
    const { root } = new SavedRecords(image);
    const ada = mapOf(root, "players").get("a");
    expect(root["winner"]).toBe(ada);
    expect((root["order"] as unknown[])[0]).toBe(ada);
    const hand = ada?.["hand"] as SavedRecord;
    expect(hand["next"]).toBe(hand);
  });
});

describe("edits", () => {
  const two = (): StateImage =>
    worldWith((world) => {
      world.players.set("a", new Player({ name: "ada", score: 1 }));
      world.players.set("b", new Player({ name: "bob", score: 2 }));
      world.players.set("c", new Player({ name: "cyd", score: 3 }));
      world.players.delete("b");
    });

  test("[CKP5] fields are renamed, added, removed and change their type; their instances keep their refIds", () => {
    const image = two();
    const records = new SavedRecords(image);
    for (const player of records.instancesOf("Player")) {
      player["title"] = player["name"];
      delete player["name"];
      player["score"] = String(player["score"]);
    }
    const after = records.toImage();
    const [before, now] = [rowsOf(image, "Player"), rowsOf(after, "Player")];
    expect(Object.keys(now)).toEqual(Object.keys(before));
    const fields = Object.values(now).map(({ title, score, name }) => ({ title, score, name }));
    expect(fields).toEqual([
      { title: "ada", score: "1", name: undefined },
      { title: "cyd", score: "3", name: undefined },
    ]);
    expect(after.shapes.flatMap((shape) => [...shape.values, ...shape.links])).not.toContain("name");
    expect(after.nextRefId).toBe(image.nextRefId);
    expect(after.collections).toStrictEqual(image.collections);
  });

  test("[CKP5] a renamed class counts wherever its instances are", () => {
    const image = worldWith((world) => {
      world.pile.add(new Weapon({ name: "bow", power: 1, ammo: 1 })); // declared as Item
      world.pile.add(new Item({ name: "rock", power: 1 }));
    });
    const records = new SavedRecords(image);
    for (const weapon of records.instancesOf("Weapon")) weapon.$type = "Arm";
    expect(records.instancesOf("Arm")).toHaveLength(1);
    records.root.$type = "Realm";
    const after = records.toImage();
    const arm = after.shapes.find(({ type }) => type === "Arm");
    expect([...(arm?.exact ?? [])]).toEqual(arm?.refIds);
    expect(after.shapes.find(({ type }) => type === "Item")?.exact.size).toBe(0);
    expect(rootOf(after, "Realm")).toEqual(rootOf(image));
  });

  test("[CKP5] new instances get refIds that nobody can have met", () => {
    const image = two();
    const records = new SavedRecords(image);
    for (const player of records.instancesOf("Player")) {
      player["stats"] = { $type: "Stats", score: player["score"] };
      delete player["score"];
    }
    const after = records.toImage();
    const stats = rowsOf(after, "Stats");
    expect(Object.values(stats)).toEqual([{ score: 1 }, { score: 3 }]);
    const fresh = Object.keys(stats).map(Number);
    expect(fresh).toEqual([image.nextRefId + REF_ID_GAP, image.nextRefId + REF_ID_GAP + 1]);
    expect(after.nextRefId).toBe(image.nextRefId + REF_ID_GAP + 2);
    expect(Object.values(rowsOf(after, "Player")).map((row) => row["stats"])).toEqual(fresh);
    expect(after.shapes.find(({ type }) => type === "Stats")?.exact.size).toBe(2);
  });

  test("[CKP5] entries that stay in a map keep their wire indexes; new ones get ones that nobody can have met", () => {
    const image = two();
    const was = collectionOf(image, rootOf(image)["players"]);
    expect(was.indexes).toEqual([0, 2]);
    const records = new SavedRecords(image);
    const players = mapOf(records.root, "players");
    players.delete("a");
    players.set("d", { $type: "Player", name: "dan" });
    const after = records.toImage();
    const now = collectionOf(after, rootOf(after)["players"]);
    const first = (was.nextIndex ?? 0) + REF_ID_GAP;
    expect(now).toMatchObject({ kind: "map", keys: ["c", "d"], indexes: [2, first], nextIndex: first + 1 });
    // What only the deleted one led to is gone too.
    expect(Object.values(rowsOf(after, "Player")).map(({ name }) => name)).toEqual(["cyd", "dan"]);
    const bags = Object.values(rowsOf(after, "Player")).map((row) => row["bag"]);
    expect(bags[1]).toBeUndefined();
  });

  test("[CKP5] entries that stay in a set or a collection keep theirs", () => {
    const image = worldWith((world) => {
      for (const word of ["x", "y", "z"]) world.words.add(word);
      for (const n of [5, 5, 6]) world.log.add(n);
    });
    const records = new SavedRecords(image);
    const words = records.root["words"] as Set<string>;
    words.delete("x");
    words.add("new");
    const log = records.root["log"] as number[];
    log.splice(0, 1); // one of two equal ones
    log.push(5, 5);
    const after = records.toImage();
    const root = rootOf(after);
    const [wasWords, wasLog] = [
      collectionOf(image, root["words"]).indexes ?? [],
      collectionOf(image, root["log"]).indexes ?? [],
    ];
    const nextWord = (collectionOf(image, root["words"]).nextIndex ?? 0) + REF_ID_GAP;
    const nextLog = (collectionOf(image, root["log"]).nextIndex ?? 0) + REF_ID_GAP;
    expect(collectionOf(after, root["words"])).toMatchObject({
      entries: ["y", "z", "new"],
      indexes: [wasWords[1], wasWords[2], nextWord],
    });
    const log2 = collectionOf(after, root["log"]);
    expect(log2.entries).toEqual([5, 6, 5, 5]);
    expect(log2.indexes).toEqual([wasLog[0], wasLog[2], wasLog[1], nextLog]);
  });

  test("[CKP5] an array becomes a map of the same instances", () => {
    const image = worldWith((world) =>
      world.order.push(new Player({ name: "ada" }), new Player({ name: "bob" })),
    );
    const records = new SavedRecords(image);
    const order = records.root["order"] as SavedRecord[];
    records.root["order"] = new Map(order.map((player) => [player["name"], player]));
    const after = records.toImage();
    const refId = rootOf(after)["order"] as number;
    expect(refId).toBeGreaterThanOrEqual(image.nextRefId + REF_ID_GAP);
    expect(collectionOf(after, refId)).toMatchObject({
      kind: "map",
      keys: ["ada", "bob"],
      indexes: [0, 1],
      nextIndex: 2,
      entries: collectionOf(image, rootOf(image)["order"]).entries,
    });
  });

  test("[CKP5] what a new collection is, and an empty one holds, is for the class to say", () => {
    const records = new SavedRecords(worldWith(() => {}));
    Object.assign(records.root, {
      pile: [{ $type: "Item" }],
      labels: new Map(),
      crew: new Set(),
      title: null,
    });
    const links = { kind: "schema", klass: Item as unknown as SchemaClass } as const; // as it is at run time
    const after = records.toImage(records.root, (_type, field) => {
      if (field === "pile") return { kind: "collection", child: links, rawChild: Item };
      if (field === "labels") return { kind: "map", child: links, rawChild: Item };
      return field === "title" ? links : undefined;
    });
    const root = rootOf(after);
    expect(collectionOf(after, root["pile"])).toMatchObject({ kind: "collection", indexes: [0] });
    expect(collectionOf(after, root["crew"])).toMatchObject({ kind: "set", entries: [] });
    const labels = after.collections.find(({ refIds }) => refIds.includes(root["labels"] as number));
    expect(labels).toMatchObject({ kind: "map", holds: "links" });
    expect(after.shapes.find(({ type }) => type === "World")?.links).toContain("title");
  });

  test("what a custom type holds is a value, however it looks", () => {
    const { state } = createRoom(() => new Odd());
    state.shape = [{ $type: "World" }];
    const records = new SavedRecords(imageOf(state));
    records.root["other"] = records.root["shape"];
    const after = records.toImage();
    expect(rootOf(after, "Odd")).toMatchObject({ shape: [{ $type: "World" }], other: [{ $type: "World" }] });
    expect(after.shapes.map(({ type, values }) => [type, values])).toEqual([["Odd", ["shape", "other"]]]);
  });

  test("what is no state is refused, and says what is wrong", () => {
    const records = new SavedRecords(two());
    mapOf(records.root, "players").set("d", { name: "dan" } as unknown as SavedRecord);
    expect(refused(() => records.toImage())).toMatchObject({
      code: "INTERNAL",
      facts: { why: expect.stringMatching(/no \$type/) as unknown },
    });
    expect(refused(() => records.toImage({} as SavedRecord)).code).toBe("INTERNAL");
  });

  test.each([
    ["a link that leads nowhere", (image: StateImage) => image.shapes.splice(1)],
    ["no root", (image: StateImage) => Object.assign(image, { rootRefId: 999 })],
    ["something else", (image: StateImage) => Object.assign(image, { shapes: [1] })],
  ])("[CKP2] an image with %s is refused before anybody edits it", (_what, damage) => {
    const image = two();
    damage(image);
    expect(refused(() => new SavedRecords(image)).code).toBe("SNAPSHOT_UNREADABLE");
  });
});
