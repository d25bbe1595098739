// One kind of room through the releases of its game: as it was first, as it is later, and as it went wrong.

import { Room, type Client } from "@colyseus/core";
import { schema, t, type Schema, type SchemaType } from "@colyseus/schema";
import type { SavedRecord, SavedRoom } from "../../src/index.ts";

interface JoinOptions {
  readonly name?: string;
}

/** Tells its lines to whoever reads the node's output. */
function tell(room: Room, what: string): void {
  console.log(`${what} ${room.roomId}`);
}

/** What all of them do. */
abstract class AnyRelease extends Room<{ state: Schema }> {
  override messages = {
    state: (): unknown => {
      this.broadcastPatch();
      return this.state.toJSON();
    },
    rise: (client: Client, levels: unknown): void => this.rise(client.sessionId, Number(levels)),
    userData: (client: Client): unknown => client.userData,
  };

  override onCreate(): void {
    tell(this, "onCreate");
  }

  override onJoin(client: Client, options: JoinOptions | undefined): void {
    client.userData = options?.name;
    this.welcome(client.sessionId, options?.name ?? "");
  }

  override onDrop(client: Client): void {
    this.allowReconnection(client, 60).catch(() => undefined);
  }

  override onDispose(): void {
    tell(this, "onDispose");
  }

  protected abstract welcome(sessionId: string, name: string): void;
  protected abstract rise(sessionId: string, levels: number): void;
}

// ---- the first release ----

const Pet = schema({ kind: t.string().default("cat") }, "Pet");
const Orc = Pet.extend({ rage: t.uint8().default(1) }, "Orc");
const FirstPlayer = schema(
  {
    name: t.string().default(""),
    level: t.uint8().default(1),
    obsolete: t.string().default("gone"),
    pet: t.ref(Pet).optional(),
  },
  "Player",
);
const FirstState = schema({ players: t.map(FirstPlayer), order: t.array(FirstPlayer) }, "GameState");

export class FirstRelease extends AnyRelease {
  static readonly checkpointVersion: number = 1;
  override state: SchemaType<typeof FirstState> = new FirstState();

  protected override welcome(sessionId: string, name: string): void {
    const player = new FirstPlayer({ name });
    player.pet = new Orc({ kind: "orc", rage: 9 });
    this.state.players.set(sessionId, player);
    this.state.order.push(player);
  }

  protected override rise(sessionId: string, levels: number): void {
    const player = this.state.players.get(sessionId);
    if (player !== undefined) player.level += levels;
  }
}

// ---- a later one: `name` is `title`, `level` a word, Orc is Monster, `obsolete` is gone and `stats` new ----

const Stats = schema({ hp: t.uint8().default(0), luck: t.uint8().default(3) }, "Stats");
const LaterPet = schema({ kind: t.string().default("cat") }, "Pet");
const Monster = LaterPet.extend({ rage: t.uint8().default(1) }, "Monster");
const LaterPlayer = schema(
  {
    stats: t.ref(Stats).optional(),
    title: t.string().default(""),
    level: t.string().default(""),
    pet: t.ref(LaterPet).optional(),
    mood: t.string().default("fine"),
  },
  "Player",
);
const LaterState = schema(
  {
    round: t.uint8().default(5),
    order: t.map(LaterPlayer),
    players: t.map(LaterPlayer),
    boss: t.ref(Monster).optional(),
  },
  "GameState",
);

export class LaterRelease extends AnyRelease {
  static readonly checkpointVersion: number = 2;
  override state: SchemaType<typeof LaterState> = new LaterState();

  migrateCheckpoint(saved: SavedRoom, _fromVersion: number): void {
    for (const player of saved.instancesOf("Player")) {
      player["title"] = player["name"];
      player["stats"] = { $type: "Stats", hp: 10 * Number(player["level"]) };
      player["level"] = `level ${String(player["level"])}`;
    }
    for (const orc of saved.instancesOf("Orc")) orc.$type = "Monster";
    const order = saved.state["order"] as SavedRecord[];
    saved.state["order"] = new Map(order.map((player, place) => [String(place), player]));
    for (const player of Object.values(saved.players)) player.userData = { name: player.userData };
  }

  protected override welcome(sessionId: string, title: string): void {
    this.state.players.set(sessionId, new LaterPlayer({ title, level: "level 1" }));
  }

  protected override rise(sessionId: string, levels: number): void {
    const player = this.state.players.get(sessionId);
    if (player !== undefined) player.level = `risen by ${levels}`;
  }
}

/** The later one, before somebody tried it. */
export class BrokenRelease extends LaterRelease {
  override migrateCheckpoint(): never {
    throw new Error("nobody tried this");
  }
}

// ---- one that nobody thought through: `level` is a word, and what was saved is not asked about ----

const CarelessPlayer = schema({ name: t.string().default(""), level: t.string().default("") }, "Player");
const CarelessState = schema({ players: t.map(CarelessPlayer) }, "GameState");

export class CarelessRelease extends AnyRelease {
  static readonly checkpointVersion: number = 2;
  override state: SchemaType<typeof CarelessState> = new CarelessState();

  protected override welcome(sessionId: string, name: string): void {
    this.state.players.set(sessionId, new CarelessPlayer({ name }));
  }

  protected override rise(): void {}
}
