// What becomes of a checkpoint in a room whose class has another version than the one that saved it.

import { Room } from "@colyseus/core";
import { schema, t, type Schema, type SchemaType } from "@colyseus/schema";
import { afterEach, describe, expect, test } from "vitest";
import { Activation } from "../../src/actor/activation.ts";
import { MigrationError } from "../../src/actor/migrate.ts";
import { restoreInto } from "../../src/actor/restore.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "../../src/checkpoint/snapshot.ts";
import { internals } from "../../src/colyseus/room-internals.ts";
import { hasCode } from "../../src/errors.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import type { SavedRecord, SavedRoom } from "../../src/index.ts";
import { dump, PlayerSide } from "../kit/state-rooms.ts";

const rooms: Room[] = [];
afterEach(() => {
  for (const room of rooms.splice(0)) room["_events"].emit("dispose"); // stops its timers
});

// The first version.
const Pet = schema({ kind: t.string().default("cat") }, "Pet");
const Orc = Pet.extend({ rage: t.uint8().default(1) }, "Orc");
const OldPlayer = schema(
  { name: t.string().default(""), level: t.uint8().default(1), hp: t.uint8().default(9), gone: t.string() },
  "Player",
);
const OldState = schema(
  {
    players: t.map(OldPlayer),
    best: t.ref(OldPlayer).optional(),
    order: t.array(OldPlayer),
    pets: t.array(Pet),
    words: t.array("string"),
  },
  "GameState",
);

class OldGame extends Room<{ state: SchemaType<typeof OldState> }> {
  static readonly checkpointVersion: number = 1;
  override state = new OldState();
  override onCacheRoom(): unknown {
    return { secret: 7 };
  }
}

// The second: `name` is `title`, `level` a string, `hp` in an instance of its own, Orc is Monster, `order` is a map.
const Stats = schema({ hp: t.uint8().default(100), luck: t.uint8().default(3) }, "Stats");
const NewPet = schema({ kind: t.string().default("cat") }, "Pet");
const Monster = NewPet.extend({ rage: t.uint8().default(1), hue: t.string().default("green") }, "Monster");
const NewPlayer = schema(
  {
    added: t.string().default("new"),
    title: t.string().default(""),
    level: t.string().default(""),
    stats: t.ref(Stats),
  },
  "Player",
);
const NewState = schema(
  {
    round: t.uint8().default(5),
    players: t.map(NewPlayer),
    best: t.ref(NewPlayer).optional(),
    order: t.map(NewPlayer),
    pets: t.array(NewPet),
    monster: t.ref(Monster).optional(), // so that Colyseus knows the class
    words: t.set("string"),
  },
  "NewState",
);

class NewGame extends Room<{ state: SchemaType<typeof NewState> }> {
  static readonly checkpointVersion: number = 2;
  override state = new NewState();
  restored: unknown;

  migrateCheckpoint(saved: SavedRoom, fromVersion: number): SavedRoom | void {
    expect(fromVersion).toBe(1);
    for (const player of saved.instancesOf("Player")) {
      player["title"] = player["name"];
      player["level"] = String(player["level"]);
      player["stats"] = { $type: "Stats", hp: player["hp"] };
    }
    for (const orc of saved.instancesOf("Orc")) orc.$type = "Monster";
    const { state } = saved;
    state.$type = "NewState";
    const order = state["order"] as SavedRecord[];
    state["order"] = new Map(order.map((player, at) => [`no ${at}`, player]));
    state["words"] = new Set(state["words"] as string[]);
    (state["players"] as Map<string, SavedRecord>).delete("c");
    saved.cached = { secret: [(saved.cached as { secret: number }).secret] };
    saved.maxClients = 12;
    for (const player of Object.values(saved.players)) player.userData = { was: player.userData };
  }

  override onRestoreRoom(saved?: unknown): void {
    this.restored = saved;
  }
}

function open<Game extends Room>(Klass: new () => Game): Game {
  const room = new Klass();
  room["__init"]();
  internals(room)._listing = { clients: 0, private: false, unlisted: false, locked: false } as never; // not listed yet
  void room.onCreate?.({});
  rooms.push(room);
  return room;
}

function activate(room: Room): Activation {
  return new Activation("room" as RoomId, "game", 2 as Epoch, room);
}

function restore(room: Room, snapshot: Snapshot): Snapshot | undefined {
  const bytes = encodeSnapshot(snapshot, 1e6);
  const checkpoint = { seq: 4, epoch: 1 as Epoch, bytes, base: undefined, ageMs: 0 };
  return restoreInto(activate(room), { checkpoint, snapshot: decodeSnapshot(bytes), newestSeq: 5 }, 0);
}

function oldGame(): OldGame {
  const room = open(OldGame);
  room.maxClients = 4;
  const { state } = room;
  for (const [id, name] of Object.entries({ a: "ada", b: "bob", c: "cyd" })) {
    state.players.set(id, new OldPlayer({ name, level: 7, hp: 3, gone: "x" }));
  }
  state.best = state.players.get("b");
  state.order.push(state.players.get("b")!, state.players.get("a")!);
  state.pets.push(new Orc({ kind: "orc", rage: 8 }), new Pet({ kind: "dog" }));
  state.words.push("x", "y", "x");
  return room;
}

const captured = (room: Room): Snapshot => ({
  ...activate(room).capture(),
  players: { a: { userData: { n: 1 } }, b: { userData: undefined, joining: true } },
});

function refIdsOf(state: Schema): Map<number, unknown> {
  return (dump(state, "server") as { refs: Map<number, unknown> }).refs;
}

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("a later version of the class", () => {
  test("[CKP5] reads what the former one saved, by what its migrateCheckpoint makes of it", () => {
    const old = oldGame();
    const room = open(NewGame);
    const snapshot = restore(room, captured(old));
    const player = (title: string): unknown => ({
      added: "new",
      title,
      level: "7",
      stats: { hp: 3, luck: 3 },
    });
    expect(room.state.toJSON()).toEqual({
      round: 5,
      players: { a: player("ada"), b: player("bob") },
      best: player("bob"),
      order: { "no 0": player("bob"), "no 1": player("ada") },
      pets: [{ kind: "orc", rage: 8, hue: "green" }, { kind: "dog" }],
      words: ["x", "y"],
    });
    expect(room.state.best).toBe(room.state.players.get("b"));
    expect(room.state.order.get("no 1")).toBe(room.state.players.get("a"));
    expect(room.state.pets[0]).toBeInstanceOf(Monster);
    expect(room.maxClients).toBe(12);
    expect(room.restored).toEqual({ secret: [7] });
    expect(snapshot?.players).toEqual({
      a: { userData: { was: { n: 1 } } },
      b: { userData: { was: undefined }, joining: true },
    });
    expect(snapshot?.classVersion).toBe(2);
    // Whoever comes now sees all of it, and no instance is two things.
    expect((new PlayerSide(room).state as Schema).toJSON()).toEqual(room.state.toJSON());
    const stayed = [old.state.players.get("a"), old.state.best, old.state.pets[0], old.state.players];
    for (const refId of stayed.map((one) => [...refIdsOf(one as never).keys()][0] ?? -1)) {
      expect(refIdsOf(room.state).has(refId)).toBe(true);
    }
  });

  test("[CKP5] what migrateCheckpoint returns takes the place of what it was given", () => {
    class Replacing extends NewGame {
      override migrateCheckpoint(saved: SavedRoom): SavedRoom {
        return { ...saved, state: { $type: "NewState", round: 9 }, cached: "other" };
      }
    }
    const room = open(Replacing);
    restore(room, captured(oldGame()));
    expect(room.state.toJSON()).toMatchObject({ round: 9, players: {}, pets: [] });
    expect(room.restored).toBe("other");
  });

  test("[CKP5] migrateCheckpoint is not asked about what its own version saved", () => {
    class Again extends OldGame {
      migrateCheckpoint(): never {
        throw new Error("there is nothing to do");
      }
    }
    const old = oldGame();
    const room = open(Again);
    restore(room, captured(old));
    expect(room.state.toJSON()).toEqual(old.state.toJSON());
  });

  test("[CKP5] without migrateCheckpoint fields are added with their defaults and removed as ever", () => {
    class Plain extends Room {
      static readonly checkpointVersion = 9;
      override state = new (schema(
        { words: t.array("string"), more: t.string().default("more") },
        "GameState",
      ))();
    }
    const room = open(Plain);
    restore(room, captured(oldGame()));
    expect(room.state.toJSON()).toEqual({ words: ["x", "y", "x"], more: "more" });
  });

  test("[CKP5] without migrateCheckpoint what does not fit is refused as unreadable", () => {
    class Bare extends NewGame {}
    Object.defineProperty(Bare.prototype, "migrateCheckpoint", { value: undefined });
    expect(
      hasCode(
        thrown(() => restore(open(Bare), captured(oldGame()))),
        "SNAPSHOT_UNREADABLE",
      ),
    ).toBe(true);
  });

  test.each<[string, (saved: SavedRoom) => unknown, RegExp]>([
    ["throws", () => [][0]!["x"], /undefined/],
    [
      "names a class that nobody knows",
      (saved) => void (saved.instancesOf("Orc")[0]!.$type = "Nobody"),
      /fit/,
    ],
    ["leaves what does not fit", () => undefined, /does not fit/],
    ["makes no state", (saved) => ({ ...saved, state: {} }), /no \$type/],
    ["returns something else", () => ({ state: { $type: "NewState" } }), /other than a saved room/],
    ["is async", () => Promise.resolve(), /must not be async/],
    ["is async and rejects", () => Promise.reject(new Error("later")), /must not be async/],
  ])(
    "[CKP5] it is the author's failure, not the checkpoint's, when migrateCheckpoint %s",
    (_what, work, why) => {
      class Broken extends NewGame {
        override migrateCheckpoint(saved: SavedRoom): SavedRoom {
          return work(saved) as SavedRoom;
        }
      }
      const error = thrown(() => restore(open(Broken), captured(oldGame())));
      expect(error).toBeInstanceOf(MigrationError);
      expect(hasCode(error, "SNAPSHOT_UNREADABLE")).toBe(false);
      expect(String((error as MigrationError).facts["why"])).toMatch(why);
    },
  );
});

test("[CKP5] an earlier version of the class does not guess at what a later one saved", () => {
  const room = open(OldGame);
  const error = thrown(() => restore(room, { ...captured(oldGame()), classVersion: 2 }));
  expect(error).toMatchObject({ code: "SNAPSHOT_UNREADABLE", facts: { saved: 2, now: 1 } });
  expect(room.state.toJSON()).toMatchObject({ players: {}, words: [] });
});
